"""What an operator chooses about local disk: checked, and frozen."""

from dataclasses import dataclass
from typing import Final

from setspec.units import parse_bytes

LEAST_POOL: Final = 256 << 20
"""Bytes; a smaller btrfs is full of itself."""
MOST_POOL: Final = 8192 << 40
"""Bytes; the kernel's own bound of a file is not much further."""
_WRITABLE = ("auto", "pool", "directory")
_VOLUMES = ("auto", "project", "loop", "directory")


@dataclass(frozen=True, slots=True, kw_only=True)
class StorageSettings:
    """[storage]"""

    writable: str = "auto"
    """What holds the limits of writable layers: ``auto``: the quotas of the file system of *state*
    where it has them, else a pool; ``pool``: a file system of the agent's own, in a file of *state*
    that has all its bytes; ``directory``: nothing."""
    pool: str = "auto"
    """How large that file is, as in "200Gi"; ``auto``: a fifth of what is free when it is made. A
    btrfs grows when more is said; none shrinks."""
    volumes: str = "auto"
    """What new volumes lie in: ``project``: directories, by project quotas of the file system of
    *state*; ``loop``: a file and file system each; ``directory``: directories that nothing limits;
    ``auto``: ``project`` where that can be, else ``loop``."""

    def __post_init__(self) -> None:
        for name, value, known in (
            ("writable", self.writable, _WRITABLE),
            ("volumes", self.volumes, _VOLUMES),
        ):
            if value not in known:
                raise ValueError(f"storage.{name} must be one of {', '.join(known)}")
        if self.pool != "auto" and not LEAST_POOL <= (self.pool_bytes or 0) <= MOST_POOL:
            raise ValueError("storage.pool must be at least 256Mi and at most 8192Ti")

    @property
    def pool_bytes(self) -> int | None:
        """Bytes; None: as many as are thought right."""
        if self.pool == "auto":
            return None
        try:
            return parse_bytes(self.pool)
        except ValueError as error:
            raise ValueError(f"storage.pool {error}") from None
