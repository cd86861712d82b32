"""A layer's bytes: had from a registry, verified, unpacked in the same pass, and placed."""

import contextlib
import fcntl
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial as partial_call
from pathlib import Path
from typing import Final

from hostimages.cache import Cache
from hostimages.errors import (
    ContentCorrupt,
    LayerRefused,
    RegistryUnavailable,
)
from hostimages.image import Layer
from hostimages.registry_client import Repository, Tries
from hostimages.settings import LayerLimits, Patience
from hostimages.shelf import Shelf, on_disk
from hostimages.unpack import Unpacked, Unpacking, make_opaque, sync_file_system, unpacking
from hostimages.wire import Watch
from registry.oci.digest import Hasher, new_hasher

_PIECE: Final = 1 << 20


@dataclass(slots=True)
class LayerProgress:
    """How far one layer is; read while a thread works on it."""

    layer: Layer
    stage: str = "waiting"
    """``waiting``, ``pulling``, ``unpacking`` or ``writing``."""
    received: int = 0
    """Bytes of the blob that are here, those of an earlier try included."""
    resumed: int = 0
    """Bytes that were here already when this try began."""
    began_at: float = 0.0
    """Seconds of the monotonic clock."""
    error: str = ""

    @property
    def rate(self) -> float:
        """Bytes a second from the network."""
        passed = time.monotonic() - self.began_at
        return (self.received - self.resumed) / passed if passed > 0 and self.began_at else 0.0


class Content:
    """Fetches layers into a shelf; its methods are for threads."""

    def __init__(self, shelf: Shelf, cache: Cache, patience: Patience, limits: LayerLimits) -> None:
        self._shelf = shelf
        self._cache = cache
        self._patience = patience
        self._limits = limits

    def fetch(self, source: Repository, layer: Layer, watch: Watch, told: LayerProgress) -> None:
        """Have a layer unpacked in its place. Raises ImageError; then nothing of it is there.

        What came of the blob is kept for the next try, unless it is not what it should be.
        """
        watch.begin()
        with _Partial.open(self._shelf.partial, layer) as partial:
            _twice(lambda: self._unpack(source, layer, watch, told, partial), partial, told)

    def prove(self, source: Repository, layer: Layer, watch: Watch, told: LayerProgress) -> None:
        """Learn by its bytes that a blob is the layer that is already here."""
        watch.begin()
        with _Partial.open(self._shelf.partial, layer) as partial:
            _twice(lambda: self._hash(source, layer, watch, told, partial), partial, told)
            partial.discard()
        self._cache.add_origin(source.registry, layer.blob.digest, layer.diff_id)

    def _hash(
        self,
        source: Repository,
        layer: Layer,
        watch: Watch,
        told: LayerProgress,
        partial: "_Partial",
    ) -> None:
        with self._shelf.staging() as staged:
            self._read(source, layer, watch, told, partial, staged, hash_only=True)

    def _unpack(
        self,
        source: Repository,
        layer: Layer,
        watch: Watch,
        told: LayerProgress,
        partial: "_Partial",
    ) -> None:
        with self._shelf.staging() as staged:
            unpacked = self._read(source, layer, watch, told, partial, staged)
            told.stage = "writing"
            with on_disk():
                make_opaque(staged, unpacked.opaque)
                partial.discard()  # before the flush, so that it need not be written
                if unpacked.entries:
                    sync_file_system(staged)
            record = partial_call(
                self._cache.add,
                layer.diff_id,
                size=unpacked.bytes if unpacked.entries else 0,
                inodes=unpacked.inodes if unpacked.entries else 0,
                tree=unpacked.tree,
                registry=source.registry,
                digest=layer.blob.digest,
            )
            place = staged if unpacked.entries else None
            if not self._shelf.place(place, layer.diff_id, self._cache, record):
                self._cache.add_origin(source.registry, layer.blob.digest, layer.diff_id)

    def _read(
        self,
        source: Repository,
        layer: Layer,
        watch: Watch,
        told: LayerProgress,
        partial: "_Partial",
        staged: Path,
        *,
        hash_only: bool = False,
    ) -> Unpacked:
        """One pass: the blob is fetched, kept, hashed and unpacked; both digests are held."""
        told.stage, told.began_at, told.received = "pulling", time.monotonic(), 0
        hasher = new_hasher(layer.blob.digest.algorithm)
        algorithm = layer.diff_id.algorithm
        with unpacking(staged, self._limits, algorithm, hash_only=hash_only) as unpacker:
            for piece in partial.read():
                watch.check()
                hasher.update(piece)
                told.received += len(piece)
                if not unpacker.feed(piece):
                    break
            told.resumed = told.received
            taken = self._download(source, layer, watch, told, partial, hasher, unpacker)
            if taken and hasher.hexdigest() != layer.blob.digest.encoded:
                raise ContentCorrupt(f"what {source.registry} sends is not {layer.blob.digest}")
            told.stage = "unpacking"
            try:
                unpacked = unpacker.finish()
            except LayerRefused as error:
                raise LayerRefused(f"layer {layer.blob.digest} is refused: {error}") from None
        if unpacked.encoded != layer.diff_id.encoded:
            raise LayerRefused(
                f"layer {layer.blob.digest} is not {layer.diff_id}, as the image's config says; "
                f"it is {algorithm}:{unpacked.encoded}. Build and push the image anew"
            )
        return unpacked

    def _download(
        self,
        source: Repository,
        layer: Layer,
        watch: Watch,
        told: LayerProgress,
        partial: "_Partial",
        hasher: Hasher,
        unpacker: Unpacking,
    ) -> bool:
        """Bring the rest of the blob; answer whether all was taken by the unpacker."""
        size = layer.blob.size
        tries = Tries(self._patience, watch)
        while told.received < size:
            try:
                with source.blob(layer.blob.digest, told.received, watch) as (begins, answer):
                    unwanted = told.received - begins
                    while piece := answer.read_some(_PIECE):
                        fresh, unwanted = piece[unwanted:], max(0, unwanted - len(piece))
                        if not fresh:
                            continue
                        if told.received + len(fresh) > size:
                            raise ContentCorrupt(f"more than {size} bytes come for it")
                        partial.write(fresh)
                        hasher.update(fresh)
                        told.received += len(fresh)
                        tries.progressed()
                        if not unpacker.feed(fresh):
                            return False
            except RegistryUnavailable as error:
                told.error = str(error)
                tries.failed(error)
            else:
                if told.received < size:
                    early = f"{source.registry} ends {layer.blob.digest} early"
                    tries.failed(RegistryUnavailable(early))
        return True


class _Partial:
    """A blob on its way, in a file that outlives the agent."""

    def __init__(self, path: Path | None, handle: int) -> None:
        self._path = path
        self._handle = handle

    @classmethod
    @contextlib.contextmanager
    def open(cls, directory: Path, layer: Layer) -> Iterator["_Partial"]:
        """The file of *layer*'s blob; without a name, if another job is writing that one."""
        path = directory / f"{layer.blob.digest.algorithm}-{layer.blob.digest.encoded}"
        with on_disk():
            handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_APPEND, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            partial = cls(path, handle)
        except BlockingIOError:
            os.close(handle)
            with on_disk():
                handle = os.open(directory, os.O_RDWR | os.O_TMPFILE | os.O_CLOEXEC, 0o600)
            partial = cls(None, handle)
        try:
            if os.fstat(handle).st_size > layer.blob.size:
                os.truncate(handle, 0)
            yield partial
        finally:
            os.close(handle)

    def read(self) -> Iterator[bytes]:
        """What is there."""
        at = 0
        with on_disk():
            while piece := os.pread(self._handle, _PIECE, at):
                at += len(piece)
                yield piece

    def write(self, content: bytes) -> None:
        """Append."""
        rest = memoryview(content)
        with on_disk():
            while rest:
                rest = rest[os.write(self._handle, rest) :]

    def discard(self) -> None:
        """Throw it away; what is written from now on has no name."""
        with on_disk():
            os.truncate(self._handle, 0)
            if self._path is not None:
                self._path.unlink(missing_ok=True)
                self._path = None


def _twice(act: Callable[[], None], partial: _Partial, told: LayerProgress) -> None:
    """Once more from nothing, if bytes of an earlier try may be at fault.

    What lay in *partial* may have been cut by a fall of the power.
    """
    try:
        act()
    except (ContentCorrupt, LayerRefused):
        resumed = told.resumed
        partial.discard()
        if not resumed:
            raise
        act()
