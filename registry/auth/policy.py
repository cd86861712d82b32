"""Project roles to actions on a repository (pure): the whole policy is here."""

from collections.abc import Mapping

from registry.auth.ports import Action, Principal
from registry.oci.names import RepositoryName

_ALL = frozenset(Action)
ACTIONS: Mapping[str, frozenset[Action]] = {
    "reader": frozenset({Action.PULL}),
    "member": _ALL,
    "manager": _ALL,
    "admin": _ALL,
}
SHARERS = frozenset({"manager", "admin"})
"""Roles that may say who else sees an image."""
NEEDED: Mapping[Action, str] = {
    Action.PULL: "reader",
    Action.PUSH: "member",
    Action.DELETE: "member",
}
"""The least role for an action, to be named in a refusal."""


def allowed(principal: Principal, repository: RepositoryName, action: Action) -> bool:
    """Whether both the principal's roles and the token shown, if any, are good for *action*."""
    return may(principal, repository, action) and (
        principal.grants is None or action in principal.grants.get(repository, frozenset())
    )


def may(principal: Principal, repository: RepositoryName, action: Action) -> bool:
    """Whether the principal's roles are good for *action*, whatever token was shown."""
    if principal.admin:
        return True
    roles = principal.roles.get(repository.project, frozenset())
    return any(action in ACTIONS.get(role, frozenset()) for role in roles)


def may_share(principal: Principal, project: str) -> bool:
    """Whether the principal may say who else sees the project's images."""
    return principal.admin or not SHARERS.isdisjoint(principal.roles.get(project, frozenset()))


def readable_projects(principal: Principal, public: frozenset[str]) -> frozenset[str] | None:
    """The projects whose repositories the principal may pull; None: all."""
    own = projects_for(principal, Action.PULL)
    return None if own is None else public | own


def projects_for(principal: Principal, action: Action) -> frozenset[str] | None:
    """The projects in which the principal's roles are good for *action*; None: all."""
    if principal.admin:
        return None
    return frozenset(
        project
        for project, roles in principal.roles.items()
        if any(action in ACTIONS.get(role, frozenset()) for role in roles)
    )
