"""What an access token says of its subject, and for which repositories it is good (pure)."""

from collections.abc import Mapping
from typing import Any

from registry.auth.ports import Action, Principal
from registry.auth.tokens import Claims
from registry.oci.names import RepositoryName, parse_repository


def describe(principal: Principal) -> dict[str, Any] | None:
    """What must be said of somebody who cannot be looked up later; None of anybody else."""
    if principal.expires_at is None:
        return None
    return {
        "name": principal.name,
        "roles": {project: sorted(roles) for project, roles in principal.roles.items()},
        "admin": principal.admin,
    }


def entry(name: str, repository: RepositoryName, actions: frozenset[Action]) -> dict[str, Any]:
    """An entry of the claim ``access``: docker's, and the id that the project's name stands for."""
    return {
        "type": "repository",
        "name": name,
        "project": repository.project,
        "actions": sorted(actions),
    }


def read(claims: Claims, default_project: str) -> Principal:
    """Who the token says that it is of, with what it is good for."""
    grants: dict[RepositoryName, frozenset[Action]] = {}
    projects: dict[str, str] = {}
    catalogue = False
    for each in claims.access:
        if each["type"] == "registry":
            catalogue = True
            continue
        spelt = parse_repository(each["name"], default_project=default_project)
        repository = RepositoryName(each.get("project", spelt.project), spelt.path)
        projects[spelt.project] = repository.project
        actions = frozenset(Action(action) for action in each["actions"])
        grants[repository] = grants.get(repository, frozenset()) | actions
    if not claims.subject:
        return Principal("", "anonymous", grants=grants, catalogue=False, projects=projects)
    said = claims.principal
    return Principal(
        claims.subject,
        said.get("name", claims.subject),
        _roles(said.get("roles", {})),
        said.get("admin", False),
        grants,
        catalogue,
        projects,
        claims.expires_at,
    )


def _roles(roles: Mapping[str, list[str]]) -> dict[str, frozenset[str]]:
    return {project: frozenset(names) for project, names in roles.items()}
