"""The port Driver: what a volume's bytes lie in. And the one that has limited directories."""

from pathlib import Path
from typing import Final, Protocol

from volumes.faults import CannotHold
from volumes.quota import Quota, refuse_below
from volumes.room import Room, Use

DATA: Final = "data"
"""What is mounted into containers, in a volume's directory."""


class Driver(Protocol):
    """What makes volumes, each in a directory *home* of its own, which is there already.

    A volume's life: make -> open -> resize, release and open, any time -> its directory goes.
    Whoever dies in between does the same once more; no method ever takes bytes away. Any method
    may raise VolumeFailed or OSError.
    """

    name: str
    limits_inodes: bool
    allocates: bool
    """A volume takes all of its bytes when it is made: later nobody can be without them."""

    def needed(self, room: Room) -> int:
        """Bytes that a volume takes of its pool, or must be promised."""
        ...

    def make(self, home: Path, room: Room) -> None:
        """Make a volume; one that is there stays as it is."""
        ...

    def open(self, home: Path) -> Path:
        """The directory to be mounted into containers, usable."""
        ...

    def is_open(self, home: Path) -> bool:
        """Whether that directory is what it should be, and nobody has unmounted it."""
        ...

    def objection(self, home: Path, former: Room, room: Room) -> str | None:
        """Why a volume cannot be resized now, and what to do; None: it can."""
        ...

    def resize(self, home: Path, former: Room, room: Room) -> None:
        """Have a volume take as much as *room* says. Raises CannotHold with the objection."""
        ...

    def use(self, home: Path) -> Use:
        """What is in a volume, as far as that can be seen now."""
        ...


class DirectoryDriver:
    """Directories, limited as a quota does it: by projects, or not at all."""

    allocates = False

    def __init__(self, quota: Quota) -> None:
        self._quota = quota
        self.name = quota.name
        self.limits_inodes = quota.counts_inodes

    def needed(self, room: Room) -> int:
        return (room.bytes or 0) if self._quota.holds else 0

    def make(self, home: Path, room: Room) -> None:
        self._quota.make(home / DATA, room)

    def open(self, home: Path) -> Path:
        return home / DATA

    def is_open(self, home: Path) -> bool:
        return (home / DATA).is_dir()

    def objection(self, home: Path, former: Room, room: Room) -> str | None:
        _ = former
        try:
            refuse_below(self.use(home), room)
        except CannotHold as refusal:
            return str(refusal)
        return None

    def resize(self, home: Path, former: Room, room: Room) -> None:
        _ = former
        self._quota.limit(home / DATA, room)

    def use(self, home: Path) -> Use:
        return self._quota.use(home / DATA)
