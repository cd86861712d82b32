"""Who asks: the ports to whatever knows people and projects, and the words for rights."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from registry.oci.digest import Digest
from registry.oci.names import RepositoryName


class Action(StrEnum):
    """What a request does to a repository (docker token spec: the actions of a scope)."""

    PULL = "pull"
    PUSH = "push"
    DELETE = "delete"


@dataclass(frozen=True, slots=True)
class Opening:
    """What of a repository somebody may pull."""

    whole: bool = False
    tags: frozenset[str] = frozenset()
    """Those that are open, where not all is."""
    manifests: frozenset[Digest] = frozenset()
    """Those that an open tag reaches; their blobs with them."""

    def __bool__(self) -> bool:
        return self.whole or bool(self.manifests)

    def __and__(self, other: "Opening") -> "Opening":
        """What both open."""
        if self.whole:
            return other
        if other.whole:
            return self
        return Opening(tags=self.tags & other.tags, manifests=self.manifests & other.manifests)


WHOLE = Opening(whole=True)
CLOSED = Opening()


@dataclass(frozen=True, slots=True)
class Principal:
    """Who asks. *subject* is stable and unique; the empty one is the anonymous caller."""

    subject: str
    name: str
    roles: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """Project id -> roles there: ``reader``, ``member``, ``manager``, ``admin``."""
    admin: bool = False
    """May cross projects."""
    grants: Mapping[RepositoryName, frozenset[Action]] | None = None
    """What the token that was shown is good for, within the roles; None: no token was shown."""
    openings: Mapping[RepositoryName, Opening] = field(default_factory=dict)
    """What of others' repositories the token was given for, whatever the roles."""
    catalogue: bool = True
    """Whether lists over repositories may be asked for: what the token was given for, if any."""
    projects: Mapping[str, str] = field(default_factory=dict)
    """Project as the client spells it -> its id, as far as the credentials tell; "": no such."""
    expires_at: float | None = None
    """When the credentials themselves end, in seconds since 1970; None: they stay good."""
    cloud_tokens: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Project id -> the cloud's own token there: by it other services are asked as the caller."""
    proof: str | None = field(default=None, repr=False)
    """A token of the cloud's that can be verified anew; None: the subject will do."""

    @property
    def anonymous(self) -> bool:
        return not self.subject


ANONYMOUS = Principal("", "anonymous")


@dataclass(frozen=True, slots=True)
class Reach:
    """Where a caller's roles are wanted: in *projects*, as the client spells them, everywhere."""

    projects: frozenset[str] = frozenset()
    everywhere: bool = False


NOWHERE = Reach()
EVERYWHERE = Reach(everywhere=True)


class Identity(Protocol):
    """Credentials to a principal with project roles.

    A principal has his roles within the *reach* asked for, and may have more. Any method raises
    Unauthorized for what is wrong or not good any more, and StorageUnavailable where the service
    that knows does not answer.
    """

    async def authenticate(
        self, username: str, password: str, reach: Reach = EVERYWHERE
    ) -> Principal:
        """Who these credentials are of; raises TooManyRequests where guesses come too fast."""
        ...

    async def verify(
        self, token: str, reach: Reach = EVERYWHERE, *, anew: bool = False
    ) -> Principal:
        """Who a token of the cloud's is of; *anew*: whatever is remembered of it."""
        ...

    async def find_principal(self, subject: str, claimed: Principal | None = None) -> Principal:
        """The present roles of somebody known before.

        *claimed* is what a token of this registry said of him when it was signed, minutes ago: it
        is the answer where roles cannot be looked up of people who are absent.
        """
        ...

    async def close(self) -> None:
        """Let go of what it asks, if anybody."""
        ...


class ProjectNames(Protocol):
    """What a repository's first component stands for."""

    async def find_project(self, name: str) -> str:
        """The id of the project called *name*, or with that id.

        Raises NameUnknown where there is none, or more than one, and StorageUnavailable.
        """
        ...
