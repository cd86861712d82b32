"""How much a directory may have, and has (pure)."""

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
