"""What an access token says of its subject, and for which repositories it is good (pure)."""

import base64
from collections.abc import Mapping
from typing import Any

from registry.auth.ports import CLOSED, WHOLE, Action, Opening, Principal
from registry.auth.tokens import Claims
from registry.oci.digest import Digest
from registry.oci.names import RepositoryName, parse_repository

_ALGORITHMS = {64: "sha256", 128: "sha512"}


def describe(principal: Principal) -> dict[str, Any] | None:
    """What must be said of somebody who cannot be looked up later; None of anybody else."""
    if principal.expires_at is None:
        return None
    return {
        "name": principal.name,
        "roles": {project: sorted(roles) for project, roles in principal.roles.items()},
        "admin": principal.admin,
    }


def entry(
    name: str,
    repository: RepositoryName,
    actions: frozenset[Action],
    opening: Opening = CLOSED,
) -> dict[str, Any]:
    """An entry of the claim ``access``: docker's, and the id that the project's name stands for.

    *opening* is what may be pulled without a role: it is listed, since by the token alone nobody
    can be asked again.
    """
    said = {
        "type": "repository",
        "name": name,
        "project": repository.project,
        "actions": sorted(actions),
    }
    return {**said, "opened": _spell(opening)} if opening else said


def read(claims: Claims, default_project: str) -> Principal:
    """Who the token says that it is of, with what it is good for."""
    grants: dict[RepositoryName, frozenset[Action]] = {}
    openings: dict[RepositoryName, Opening] = {}
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
        if "opened" in each:
            openings[repository] = _read_opening(each["opened"])
    if not claims.subject:
        return Principal(
            "",
            "anonymous",
            grants=grants,
            openings=openings,
            catalogue=False,
            projects=projects,
        )
    said = claims.principal
    return Principal(
        claims.subject,
        said.get("name", claims.subject),
        _roles(said.get("roles", {})),
        said.get("admin", False),
        grants,
        openings,
        catalogue,
        projects,
        claims.expires_at,
    )


def _spell(opening: Opening) -> dict[str, Any]:
    """In few bytes: a digest has 43 letters then, and a header some thousand at most."""
    if opening.whole:
        return {"whole": True}
    return {
        "tags": sorted(opening.tags),
        "manifests": [_pack(digest) for digest in sorted(opening.manifests)],
    }


def _read_opening(said: Mapping[str, Any]) -> Opening:
    if said.get("whole") is True:
        return WHOLE
    return Opening(
        tags=frozenset(said["tags"]), manifests=frozenset(map(_unpack, said["manifests"]))
    )


def _pack(digest: Digest) -> str:
    return base64.urlsafe_b64encode(bytes.fromhex(digest.encoded)).decode().rstrip("=")


def _unpack(text: str) -> Digest:
    encoded = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)).hex()
    return Digest(_ALGORITHMS[len(encoded)], encoded)


def _roles(roles: Mapping[str, list[str]]) -> dict[str, frozenset[str]]:
    return {project: frozenset(names) for project, names in roles.items()}
