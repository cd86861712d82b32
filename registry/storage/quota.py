"""What projects and repositories use and may use: the port beside Ledger, and its records."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Final, Protocol, Self

from registry.oci.names import RepositoryName
from registry.storage.records import Position

UNLIMITED: Final = -1
"""Said by whoever lifts a limit that would else hold by default."""


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


UNBOUNDED: Final = Allowance()


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """What a project or a repository has at one moment, in bytes and in numbers."""

    bytes: int
    """Of all distinct blobs and manifests, those included that only the trash needs."""
    trash: int
    """Of those that only the trash needs."""
    reserved: int
    """Of unfinished uploads: what they have, and what they announced."""
    repositories: int
    """Of a project: that hold anything; of a repository 1 or 0."""
    tags: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What there is beside what there may be."""

    usage: Usage
    limits: Limits
    """What the ledger itself has: those that an administrator set."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """A counter that is not what the rows say."""

    project: str
    repository: str
    """Its path; empty: the project's own counter."""
    counter: str
    counted: int
    found: int


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


class Quotas(Protocol):
    """What is used, by counters that change in the same transactions as what they count.

    A repository's name with an empty path stands for its whole project. Any method may raise
    StorageUnavailable.
    """

    async def standing(self, name: RepositoryName) -> Standing:
        """What a project or a repository has, and its own limits. Nothing where there is none."""
        ...

    async def is_bounded(self, name: RepositoryName, allowance: Allowance) -> bool:
        """At once: whether any limit holds for a repository."""
        ...

    async def list_projects(self) -> list[str]:
        """Those that have anything, or limits of their own, by id."""
        ...

    async def set_limits(self, name: RepositoryName, limits: Limits) -> Position:
        """Put *limits* in place of those that were set; none said: none is set any more."""
        ...

    async def differences(self, *, mend: bool = False) -> list[Difference]:
        """Counters that are not what the rows say; there must be none. *mend*: make them so."""
        ...
