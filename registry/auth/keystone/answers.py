"""What Keystone says of a token (Identity API v3, "Authentication and token management")."""

import math
from dataclasses import dataclass, field

from keystoneauth1.access import AccessInfoV3

from registry.auth import policy
from registry.oci.errors import Unauthorized


@dataclass(frozen=True, slots=True)
class Project:
    """A project, with the id of its domain."""

    id: str
    name: str
    domain: str


@dataclass(frozen=True, slots=True)
class CloudToken:
    """A token of Keystone's, whose it is, and what it is good for."""

    text: str = field(repr=False)
    user: str
    """The user's id."""
    name: str
    expires_at: float
    """Seconds since 1970."""
    roles: frozenset[str]
    """Those that mean something here, with all that they imply."""
    project: Project | None = None
    system: bool = False
    """Whether its roles are for the whole system."""
    scoped: bool = False
    """Whether it is for something already: a project, a domain, the system."""

    @property
    def admin(self) -> bool:
        """Whether it crosses projects: not so the administrator of a domain."""
        return "admin" in self.roles and (self.project is not None or self.system)


def read(access: AccessInfoV3) -> CloudToken:
    """What *access* says.

    Raises Unauthorized where it is limited in a way that is not understood here, and KeyError or
    TypeError where it is no token's document.
    """
    if access.application_credential_access_rules is not None:
        raise Unauthorized("an application credential with access rules is not good here")
    expires = access.expires
    project = None
    if access.project_scoped and not access.project_is_domain:
        project = Project(
            _text(access.project_id), _text(access.project_name), _text(access.project_domain_id)
        )
    return CloudToken(
        _text(access.auth_token),
        _text(access.user_id),
        _text(access.username),
        math.inf if expires is None else expires.timestamp(),
        frozenset(access.role_names or ()).intersection(policy.ACTIONS),
        project,
        access.system_scoped,
        access.scoped or access.application_credential_id is not None,
    )


def _text(value: str | None) -> str:
    if not value:
        raise TypeError("an empty value where Keystone must have one")
    return value
