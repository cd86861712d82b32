"""Writable layers: each a directory with a limit, and an overlay of it on an image's layers."""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from volumes.faults import VolumeFailed
from volumes.mounts import unmount
from volumes.overlay import mount_overlay
from volumes.quota import Quota
from volumes.room import Room, Use

LIMITED: Final = "disk:limited"
"""A point: the directory and its limit are there, and nothing is mounted."""

_PER_FILE: Final = 4096
"""Bytes of a layer's limit for which it may have a file, where files can be limited."""


class Disks:
    """Root filesystems: ``root``, ``upper`` and ``work`` in a directory of each one's own.

    A disk's life: prepare -> used by a container -> release and prepare, any time -> remove.
    All methods raise VolumeFailed, and are no-ops where things are so already.
    """

    def __init__(
        self, root: Path, quota: Quota, reach: Callable[[str], None] = lambda _: None
    ) -> None:
        """*reach* is told each point at which whoever does this might die."""
        self._root = root
        self.quota = quota
        self._reach = reach
        self._trash = root / ".trash"
        self._trash.mkdir(mode=0o700, parents=True, exist_ok=True)

    def make(self, disk: str, most: int) -> Path:
        """A directory that takes *most* bytes; what was written into it earlier is in it still."""
        path = self._root / disk
        with _told(f"the writable layer {disk} cannot be made"):
            files = most // _PER_FILE if self.quota.counts_inodes else None
            self.quota.make(path, Room(most, files))
        self._reach(LIMITED)
        return path

    def prepare(self, disk: str, chain: Sequence[Path], most: int) -> Path:
        """Mount a root on an image's *chain*, topmost first; answer where.

        What is written into it, *most* bytes, is in it again the next time.
        """
        root = self._root / disk / "root"
        if os.path.ismount(root):
            return root
        place = self.make(disk, most)
        upper, work = place / "upper", place / "work"
        with _told(f"{root} cannot be mounted"):
            for each in (root, work):
                each.mkdir(mode=0o755, exist_ok=True)
            if not upper.exists():
                _make_upper(upper, chain)
            lowers = list(chain)
            if not lowers:  # an overlay has at least one
                nothing = place / "nothing"
                nothing.mkdir(mode=0o755, exist_ok=True)
                lowers = [nothing]
            mount_overlay(root, lowers, upper, work)
        return root

    def release(self, disk: str) -> None:
        """Unmount a root; what was written into it stays."""
        with _told(f"{disk} cannot be unmounted"):
            unmount(self._root / disk / "root")

    def remove(self, disk: str) -> None:
        """Unmount a root, and throw away what was written into it."""
        self.release(disk)
        with _told(f"{disk} cannot be removed"):
            self.quota.remove(self._root / disk, self._trash)

    def use(self, disk: str) -> Use:
        """What was written into it."""
        with _told(f"what {disk} has cannot be seen"):
            return self.quota.use(self._root / disk)

    def empty_trash(self) -> None:
        """Delete what was thrown away; slow, and of no hurry."""
        with _told("what was thrown away cannot be deleted"):
            self.quota.empty(self._trash)


@contextmanager
def _told(what: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise VolumeFailed(f"{what}: {error}") from error


def _make_upper(path: Path, chain: Sequence[Path]) -> None:
    """A container's root is as the topmost layer has it, not as the agent makes directories."""
    fresh = path.with_name(f".{path.name}")
    fresh.mkdir(mode=0o755, exist_ok=True)
    if chain:
        found = chain[0].stat()
        os.chown(fresh, found.st_uid, found.st_gid)
        fresh.chmod(found.st_mode & 0o7777)
    fresh.rename(path)
