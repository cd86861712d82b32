"""Limits of what projects and repositories may have, and what a push asks for room with (pure)."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Final, Protocol, Self

UNLIMITED: Final = -1
"""Said by whoever lifts a limit that would else hold by default."""
RESOURCES: Final[Mapping[str, tuple[str, int]]] = {
    "bytes": ("registry_mebibytes", 1024 * 1024),
    "repositories": ("registry_repositories", 1),
}
"""What operators register in Keystone for each of ours, and how much one of it is here.

Keystone's numbers end at 2,147,483,647: bytes would be too few for any project at work.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The most that a project or a repository may have; None where nothing is said."""

    bytes: int | None = None
    """Of all distinct blobs and manifests, once each, and of what uploads in flight need."""
    repositories: int | None = None
    """Of a project: repositories that hold anything."""
    tags: int | None = None
    """Of a project: in all its repositories."""

    def over(self, others: Self) -> Self:
        """These, and *others* where nothing is said here."""
        said = {
            each.name: getattr(others if getattr(self, each.name) is None else self, each.name)
            for each in fields(self)
        }
        return type(self)(**said)

    @classmethod
    def read(cls, document: Mapping[str, Any]) -> Self:
        """Out of ``spelt``; raises ValueError, which says what is wrong."""
        known = [each.name for each in fields(cls)]
        for name, value in document.items():
            if name not in known:
                raise ValueError(f"there is no limit {name!r}; there are {', '.join(known)}")
            if value is not None and (
                not isinstance(value, int) or isinstance(value, bool) or not -1 <= value < 2**63
            ):
                raise ValueError(f"{name} must be a whole number, -1 for no limit, or null")
        return cls(**document)

    def spelt(self) -> dict[str, int]:
        """What is said, by name."""
        said = {each.name: getattr(self, each.name) for each in fields(self)}
        return {name: value for name, value in said.items() if value is not None}


NO_LIMITS: Final = Limits()


@dataclass(frozen=True, slots=True, kw_only=True)
class Allowance:
    """Limits of a project and of each of its repositories, where the ledger has none itself."""

    project: Limits = NO_LIMITS
    repository: Limits = NO_LIMITS
    firm: Limits = NO_LIMITS
    """Of the project, whatever the ledger has."""


UNBOUNDED: Final = Allowance()


@dataclass(slots=True)
class Leave:
    """What a push asks for room with; what there is to warn of comes back in it."""

    allowance: Allowance = UNBOUNDED
    warning: str = ""
    """In words, where the change was made and little room is left; else empty."""


class Allowances(Protocol):
    """Limits that are kept elsewhere: in the configuration, or by the cloud."""

    async def find(self, project: str) -> Allowance:
        """Those of *project*, an id; raises StorageUnavailable where they cannot be known."""
        ...

    async def close(self) -> None:
        """Let go of whatever is asked, if anything."""
        ...


class FixedAllowances:
    """Limits as the configuration says them."""

    def __init__(self, usual: Allowance, projects: Mapping[str, Limits]) -> None:
        """*usual* where *projects* say nothing else."""
        self._usual = UNBOUNDED if usual == UNBOUNDED else usual
        self._projects = projects

    async def find(self, project: str) -> Allowance:
        """As in Allowances."""
        own = self._projects.get(project)
        if own is None:
            return self._usual
        return Allowance(project=own.over(self._usual.project), repository=self._usual.repository)

    async def close(self) -> None:
        """As in Allowances."""
