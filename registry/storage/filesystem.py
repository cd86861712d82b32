"""Bytes in a directory: any number of processes may serve it at once, and none waits for another.

``blobs/<algorithm>/<2 hex>/<hex>/<uuid>`` are objects: whole, durable, never changed.
``uploads/<upload>/<epoch>-<offset>`` are segments: a file has one writer in its life.
``uploads/put-<uuid>`` are objects on their way; those that a crash left go by ``sweep_aside``.
"""

import asyncio
import contextlib
import fcntl
import itertools
import os
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

import aiofiles

from registry.oci.digest import Digest, Hasher, new_hasher
from registry.oci.errors import DigestInvalid, SizeInvalid, StorageUnavailable
from registry.storage import shelf
from registry.storage.durable import (
    GrowingFile,
    ensure_directory,
    make_directory,
    sync_directory,
    sync_or_remove,
)
from registry.storage.faults import unavailable_on
from registry.storage.layout import Layout, new_object_name
from registry.storage.ports.blobs import SegmentWriter
from registry.storage.records import BlobRecord, Segment, StoredObject
from registry.storage.work import PIECE, Work, gathered, hash_all, heard, in_thread

PARKED: Final = 256
"""Files of uploads kept open between chunks; more only cost a copy at their commit."""
AHEAD: Final = 8 * PIECE
"""Bytes that the kernel is asked to read ahead where it has to wait for the disk."""
LISTED: Final = 500
"""Entries of a listing that are read at a time."""

Item = TypeVar("Item")


class FilesystemSegmentWriter:
    """Writes one segment: a file that is this epoch's alone."""

    def __init__(self, name: str, file: GrowingFile, park: Callable[[GrowingFile], None]) -> None:
        """*park* takes the file over when the writer is closed with all it wrote in place."""
        self._name = name
        self._file = file
        self._park = park
        self._closed = False
        self._writing: asyncio.Future[None] | None = None

    async def write(self, *buffers: bytes) -> None:
        if self._closed:
            raise StorageUnavailable("the writer was closed")
        await self._finish()
        self._writing = in_thread(self._file.write, buffers)
        self._writing.add_done_callback(heard)
        with unavailable_on(OSError):
            # The thread goes on where the caller is cancelled: checkpoint waits for it.
            await asyncio.shield(self._writing)

    async def checkpoint(self) -> Segment | None:
        await self._finish()
        return Segment(self._name, self._file.size) if self._file.size else None

    async def close(self) -> None:
        if not self._closed:
            self._closed = True
            await self._finish()
            self._park(self._file)

    async def _finish(self) -> None:
        if self._writing is not None:
            await asyncio.wait({self._writing})
            self._writing = None


@dataclass(frozen=True, slots=True)
class _Parked:
    """A segment's file between two chunks, kept open for the next one."""

    epoch: int
    end: int
    """The upload's offset behind it, in bytes."""
    name: str
    file: GrowingFile


class FilesystemBlobStore:
    """Objects and segments as files below *directory*."""

    def __init__(self, directory: Path) -> None:
        self._layout = Layout(directory)
        self._fans: set[Path] = set()
        """Directories ``<algorithm>/<2 hex>`` that this process has made durable."""
        self._parked: OrderedDict[str, _Parked] = OrderedDict()
        with unavailable_on(OSError):
            make_directory(self._layout.blobs)
            make_directory(self._layout.uploads)

    async def put(
        self, digest: Digest, size: int | None, chunks: AsyncIterator[bytes]
    ) -> BlobRecord:
        hasher = new_hasher(digest.algorithm)
        aside = GrowingFile(self._layout.aside())
        work = Work()
        received = 0
        try:
            async for buffers in gathered(chunks):
                await work.finish()
                received += sum(map(len, buffers))
                if size is not None and received > size:
                    break
                # The next ones are received while these are written and hashed, side by side.
                work.start(aside.write, buffers)
                work.start(hash_all, hasher, buffers)
            await work.finish()
            _verify(size, received, digest, hasher)
            name = new_object_name(digest)
            await work.carry_out(self._publish, aside, self._layout.object(name))
        except BaseException:
            await asyncio.shield(work.undo(aside))
            raise
        return BlobRecord(digest, name, received)

    async def writer(self, upload: str, epoch: int, offset: int) -> SegmentWriter:
        parked = self._unpark(upload)
        if parked is not None and (parked.epoch + 1, parked.end) == (epoch, offset):
            # Nobody was between: the file is still one writer's, and chunks stay one segment.
            name, file = parked.name, parked.file
        else:
            name = f"{upload}/{epoch}-{offset}"
            file = await self._begin_segment(name, parked)
        before = offset - file.size

        def park(written: GrowingFile) -> None:
            self._parked[upload] = _Parked(epoch, before + written.size, name, written)
            if len(self._parked) > PARKED:
                self._parked.popitem(last=False)[1].file.close()

        return FilesystemSegmentWriter(name, file, park)

    async def _begin_segment(self, name: str, parked: "_Parked | None") -> GrowingFile:
        if parked is not None:
            parked.file.close()
        file = GrowingFile(self._layout.segment(name))
        work = Work()
        try:
            await work.carry_out(file.create)
        except BaseException:
            await asyncio.shield(work.undo(file))
            raise
        return file

    def _unpark(self, upload: str) -> "_Parked | None":
        return self._parked.pop(upload, None)

    async def read_segments(self, segments: Sequence[Segment]) -> AsyncIterator[bytes]:
        for segment in segments:
            left = segment.size
            with unavailable_on(OSError):
                async with aiofiles.open(self._layout.segment(segment.name), "rb") as file:
                    while left:
                        piece = await file.read(min(left, PIECE))
                        if not piece:
                            raise StorageUnavailable("a segment is shorter than recorded")
                        left -= len(piece)
                        yield piece

    async def commit(self, upload: str, segments: Sequence[Segment], digest: Digest) -> BlobRecord:
        self._layout.upload(upload)
        if (parked := self._unpark(upload)) is not None:
            parked.file.close()
        name = new_object_name(digest)
        paths = [self._layout.segment(segment.name) for segment in segments]
        sizes = [segment.size for segment in segments]
        work = Work()
        aside = GrowingFile(self._layout.aside())
        try:
            await work.carry_out(self._commit, paths, sizes, aside, self._layout.object(name))
        except BaseException:
            await asyncio.shield(work.undo(aside))
            raise
        # The segments stay until ``discard``: a crash before the ledger knows of the object, or a
        # writer that was taken over, must not take them from whoever goes on.
        return BlobRecord(digest, name, sum(sizes))

    async def discard(self, upload: str, kept: str = "") -> None:
        del kept  # no segment becomes an object
        if (parked := self._unpark(upload)) is not None:
            parked.file.close()
        with unavailable_on(OSError):
            await asyncio.to_thread(_discard, self._layout.upload(upload))

    async def read(self, blob: BlobRecord, start: int, stop: int) -> AsyncIterator[bytes]:
        path = self._layout.object(blob.object)
        with unavailable_on(OSError):
            fd = os.open(path, os.O_RDONLY)
            try:
                while start < stop:
                    size = min(PIECE, stop - start)
                    if _is_at_hand(fd, start, size):
                        piece = os.pread(fd, size, start)
                    else:
                        ahead = min(AHEAD, stop - start)
                        os.posix_fadvise(fd, start, ahead, os.POSIX_FADV_WILLNEED)
                        piece = await in_thread(os.pread, fd, size, start)
                    if not piece:
                        raise StorageUnavailable("an object is shorter than recorded")
                    start += len(piece)
                    yield piece
            finally:
                # If this was cancelled a thread may be in it still; what it reads, nobody sees.
                os.close(fd)

    async def delete(self, object_name: str) -> None:
        with unavailable_on(OSError):
            await asyncio.to_thread(_delete, self._layout.object(object_name))

    async def objects(self, digest: Digest | None = None) -> AsyncIterator[StoredObject]:
        async for each in self._listed(shelf.objects(self._layout, digest)):
            yield each

    async def lists(self, object_name: str) -> bool:
        with unavailable_on(OSError):
            return await asyncio.to_thread(self._layout.object(object_name).exists)

    async def uploads(self) -> AsyncIterator[StoredObject]:
        async for each in self._listed(shelf.uploads(self._layout)):
            yield each

    async def sweep_aside(self, older_than: float) -> int:
        """Remove what broken puts left and nothing wrote to for *older_than* seconds; how many."""
        with unavailable_on(OSError):
            return await asyncio.to_thread(self._sweep_aside, time.time() - older_than)

    async def _listed(self, listing: Iterator[Item]) -> AsyncIterator[Item]:
        """Entries of a long listing, which a thread reads by pages."""
        while True:
            with unavailable_on(OSError):
                page = await asyncio.to_thread(lambda: list(itertools.islice(listing, LISTED)))
            for each in page:
                yield each
            if not page:
                return

    # -- in threads -----------------------------------------------------------------------------

    def _publish(self, aside: GrowingFile, target: Path) -> None:
        aside.sync()
        self._give_name(os.rename, aside.path, target)
        aside.moved(target)
        self._sync_names(target)
        aside.close()

    def _commit(
        self, paths: Sequence[Path], sizes: Sequence[int], aside: GrowingFile, target: Path
    ) -> None:
        if len(paths) == 1 and _seal(paths[0], sizes[0]):
            with contextlib.suppress(PermissionError):  # no hard links here: copy
                self._give_name(os.link, paths[0], target)
                aside.moved(target)
                self._sync_names(target)
                return
        for path, size in zip(paths, sizes, strict=True):
            with path.open("rb", buffering=0) as source:
                aside.append_from(source.fileno(), size)
        self._publish(aside, target)

    def _give_name(self, call: Callable[[Path, Path], None], source: Path, target: Path) -> None:
        while True:
            make_directory(target.parent.parent)
            ensure_directory(target.parent)
            try:
                call(source, target)
            except FileNotFoundError:
                # A delete of the digest's last other object has just pruned the directory.
                if not source.exists():
                    raise
            else:
                return

    def _sync_names(self, target: Path) -> None:
        sync_directory(target.parent)
        fan = target.parent.parent
        sync_directory(fan)
        if fan not in self._fans:  # another process may have made it, and not come to this yet
            sync_directory(fan.parent)
            sync_directory(self._layout.blobs)
            self._fans.add(fan)

    def _sweep_aside(self, before: float) -> int:
        count = 0
        for path in self._layout.uploads.glob("put-*"):
            with contextlib.suppress(FileNotFoundError):
                if path.stat().st_mtime < before:
                    path.unlink()
                    count += 1
        return count


def _verify(size: int | None, received: int, digest: Digest, hasher: Hasher) -> None:
    if size is not None and received != size:
        raise SizeInvalid(f"{size} bytes were announced, and {received} or more came")
    found = hasher.hexdigest()
    if found != digest.encoded:
        raise DigestInvalid(f"the {received} bytes that came are {digest.algorithm}:{found}")


def _seal(path: Path, size: int) -> bool:
    """Make the file exactly its first *size* bytes, durable; False if a writer still has it."""
    fd = os.open(path, os.O_RDWR)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        present = os.fstat(fd).st_size
        if present < size:
            raise StorageUnavailable("a segment is shorter than recorded")
        if present > size:
            os.ftruncate(fd, size)
        sync_or_remove(fd, path)
    except BlockingIOError:
        return False
    finally:
        os.close(fd)
    return True


def _discard(folder: Path) -> None:
    with contextlib.suppress(FileNotFoundError):
        for path in list(folder.iterdir()):
            path.unlink(missing_ok=True)
        folder.rmdir()


def _delete(path: Path) -> None:
    path.unlink(missing_ok=True)
    with contextlib.suppress(OSError):  # not empty, or gone: another object, or another delete
        path.parent.rmdir()


def _is_at_hand(fd: int, start: int, size: int) -> bool:
    """Whether reading would wait for no disk: the piece's first and last byte lie in memory.

    Such a piece takes 45 us, and a thread's hop as long again.
    """
    try:
        for at in (start, start + size - 1):
            if os.preadv(fd, [bytearray(1)], at, os.RWF_NOWAIT) == 0:
                break  # beyond the end: reading tells
    except OSError:
        return False
    return True
