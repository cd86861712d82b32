"""How much a directory may have, has, and a pool has left (pure)."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Room:
    """What is asked for: usable bytes and files; None: no limit of its own."""

    bytes: int | None
    inodes: int | None = None


@dataclass(frozen=True, slots=True)
class Use:
    """What a directory has; None: its driver does not count it."""

    bytes: int | None = None
    inodes: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Pool:
    """Local storage.

    *used* is what nobody can have any more, *reserved* what volumes were promised and have not
    taken: what is left to be promised is capacity without both.
    """

    name: str
    driver: str
    capacity_bytes: int
    used_bytes: int
    reserved_bytes: int = 0
    capacity_inodes: int | None = None
    """None: as many as there are bytes for."""
    used_inodes: int | None = None
    reserved_inodes: int = 0

    @property
    def free_bytes(self) -> int:
        """What can be promised still."""
        return max(self.capacity_bytes - self.used_bytes - self.reserved_bytes, 0)
