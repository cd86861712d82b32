"""What projects and repositories use and may use: the port beside Ledger, and its records."""

from dataclasses import dataclass
from typing import Protocol

from registry.limits import Limits
from registry.oci.names import RepositoryName
from registry.storage.records import Position


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


class Quotas(Protocol):
    """What is used, by counters that change in the same transactions as what they count.

    A repository's name with an empty path stands for its whole project. Any method may raise
    StorageUnavailable.
    """

    async def standing(self, name: RepositoryName) -> Standing:
        """What a project or a repository has, and its own limits. Nothing where there is none."""
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
