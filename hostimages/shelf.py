"""The cache's directories: layers by diff ID, what is on its way in, what is on its way out.

Everything that comes or goes is renamed, under one lock; a layer's row is written after its
directory has its name, and a directory leaves its name before its row goes.
"""

import contextlib
import fcntl
import os
import shutil
import threading
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

from hostimages.cache import Cache
from hostimages.errors import CacheUnusable
from registry.oci.digest import Digest


class Shelf:
    """One cache below one directory, used by one agent."""

    def __init__(self, root: Path) -> None:
        """Open it, made if absent; raise CacheUnusable if another agent has it."""
        self.root = root
        self._lock = threading.Lock()
        with on_disk():
            root.mkdir(mode=0o700, parents=True, exist_ok=True)
            root.chmod(0o700)
            self._held = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.flock(self._held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(self._held)
            raise CacheUnusable(f"{root} is another agent's cache, which is running") from None
        with on_disk():
            for each in (self._layers, self._staging, self._trash, self.partial):
                each.mkdir(mode=0o700, exist_ok=True)

    @property
    def _layers(self) -> Path:
        return self.root / "layers"

    @property
    def _staging(self) -> Path:
        return self.root / "staging"

    @property
    def _trash(self) -> Path:
        return self.root / "trash"

    @property
    def partial(self) -> Path:
        """Where blobs lie that have not come whole."""
        return self.root / "partial"

    def close(self) -> None:
        """Let another agent have it."""
        os.close(self._held)

    def directory(self, diff_id: Digest) -> Path:
        """Where a layer lies, if it is here."""
        return self._layers / diff_id.encoded

    @contextlib.contextmanager
    def staging(self) -> Iterator[Path]:
        """An empty directory to unpack into; unless it was placed, it is thrown away at the end."""
        path = self._staging / uuid.uuid4().hex
        with on_disk():
            path.mkdir(mode=0o755)
        try:
            yield path
        finally:
            self.throw_away(path)

    def place(
        self, staged: Path | None, diff_id: Digest, cache: Cache, record: Callable[[], None]
    ) -> bool:
        """Give an unpacked directory its name, then *record* its row; None: the row alone.

        A layer that is there stays, for roots may stand on it; then the answer is False.
        """
        with self._lock, on_disk():
            if cache.find(diff_id) is not None:
                return False
            target = self.directory(diff_id)
            self.throw_away(target)
            if staged is not None:
                staged.rename(target)
                _flush(self._layers)
            record()
        return True

    def remove(self, diff_id: Digest, cache: Cache) -> bool:
        """Take a condemned layer from its place; answer whether it still was condemned."""
        with self._lock, on_disk():
            if diff_id not in cache.condemned():
                return False
            self.throw_away(self.directory(diff_id))
            _flush(self._layers)
            cache.forget(diff_id)
        return True

    def throw_away(self, path: Path) -> None:
        """Rename to the trash whatever is there; its space comes back with *empty_trash*."""
        with contextlib.suppress(FileNotFoundError):
            path.rename(self._trash / uuid.uuid4().hex)

    def empty_trash(self) -> None:
        """Delete what was thrown away; slow, and of no hurry."""
        empty(self._trash)

    def recover(self, cache: Cache) -> None:
        """After a start: finish or undo what was under way when the last agent ended."""
        with on_disk():
            for diff_id in cache.condemned():
                self.remove(diff_id, cache)
            for each in list(self._staging.iterdir()):
                self.throw_away(each)
            rows = {each.diff_id.encoded: each for each in cache.layers() if each.inodes}
            there = {each.name for each in self._layers.iterdir()}
            for name in there - rows.keys():
                self.throw_away(self._layers / name)
            for name in rows.keys() - there:
                cache.forget(rows[name].diff_id)


@contextlib.contextmanager
def on_disk() -> Iterator[None]:
    """Turn the file system's errors into CacheUnusable."""
    try:
        yield
    except OSError as error:
        raise CacheUnusable(f"the cache's directory cannot be used: {error}") from error


def empty(trash: Path) -> None:
    """Delete all below *trash*; what will not go now is tried again another time."""
    with on_disk():
        for each in list(trash.iterdir()):
            shutil.rmtree(each, ignore_errors=True)


def _flush(directory: Path) -> None:
    handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
