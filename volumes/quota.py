"""The port Quota: directories that cannot have more than they may. And the one that holds none."""

import contextlib
import shutil
import uuid
from pathlib import Path
from typing import Protocol

from volumes.faults import CannotHold
from volumes.room import Room, Use


class Quota(Protocol):
    """What holds a limit on a directory.

    A directory's life: make -> limit, any time -> remove. Whoever dies in between makes it, or
    removes it, once more. Any method may raise OSError; make and limit also CannotHold.
    """

    name: str
    """As it is configured and told."""
    holds: bool
    counts_inodes: bool

    def make(self, path: Path, room: Room) -> None:
        """An empty directory with a limit; one that is there keeps what it has, and is limited."""
        ...

    def limit(self, path: Path, room: Room) -> None:
        """Another limit, at once. Raises CannotHold where more is used already."""
        ...

    def use(self, path: Path) -> Use:
        """What a directory has."""
        ...

    def remove(self, path: Path, trash: Path) -> None:
        """Leave nothing of a directory at its place; *trash* takes what is deleted later."""
        ...

    def empty(self, trash: Path) -> None:
        """Delete what was thrown away; slow, and of no hurry."""
        ...


class PlainQuota:
    """Directories whose limits are written down and not held: by choice, or where nothing can."""

    name = "directory"
    holds = False
    counts_inodes = False

    def make(self, path: Path, room: Room) -> None:
        path.mkdir(mode=0o755, parents=True, exist_ok=True)
        self.limit(path, room)

    def limit(self, path: Path, room: Room) -> None:
        """Nothing is held."""

    def use(self, path: Path) -> Use:
        _ = path
        return Use()

    def remove(self, path: Path, trash: Path) -> None:
        throw_away(path, trash)

    def empty(self, trash: Path) -> None:
        delete_all(trash)


def refuse_below(use: Use, room: Room) -> None:
    """Raise CannotHold where *use* is above *room*: nobody's bytes are taken away."""
    if room.bytes is not None and (use.bytes or 0) > room.bytes:
        raise CannotHold(f"{use.bytes} bytes are used, more than {room.bytes}: delete files first")
    if room.inodes is not None and (use.inodes or 0) > room.inodes:
        raise CannotHold(
            f"{use.inodes} files are there, more than {room.inodes}: delete some first"
        )


def throw_away(path: Path, trash: Path) -> None:
    """Move a directory to *trash*, of the same file system; nothing where it is not."""
    with contextlib.suppress(FileNotFoundError):
        path.rename(trash / uuid.uuid4().hex)


def delete_all(trash: Path) -> None:
    """Delete all below *trash*; what will not go now is tried again another time."""
    for each in list(trash.iterdir()):
        shutil.rmtree(each, ignore_errors=True)
