"""Who asks: the port to whatever knows people, and the words for rights."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from registry.oci.names import RepositoryName


class Action(StrEnum):
    """What a request does to a repository (docker token spec: the actions of a scope)."""

    PULL = "pull"
    PUSH = "push"
    DELETE = "delete"


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
    catalogue: bool = True
    """Whether lists over repositories may be asked for: what the token was given for, if any."""

    @property
    def anonymous(self) -> bool:
        return not self.subject


ANONYMOUS = Principal("", "anonymous")


class Identity(Protocol):
    """Credentials to a principal with project roles."""

    async def authenticate(self, username: str, password: str) -> Principal:
        """Who these credentials are of.

        Raises Unauthorized if they are wrong, TooManyRequests where guesses come too fast, and
        StorageUnavailable where the service that knows does not answer.
        """
        ...

    async def find_principal(self, subject: str) -> Principal:
        """The present roles of somebody known before; raises Unauthorized if not known any more."""
        ...
