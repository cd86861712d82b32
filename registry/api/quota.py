"""What projects and repositories use and may use: told, and limited."""

from collections.abc import Sequence
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from registry.api.endpoint import Call, Endpoint
from registry.auth import policy
from registry.auth.ports import Action
from registry.bodies import read_json
from registry.limits import RESOURCES, Allowance, Limits
from registry.oci.errors import Denied, NameUnknown, Unsupported
from registry.oci.names import RepositoryName
from registry.storage.ports.quota import Quotas

PULL = frozenset({Action.PULL})
_ANY = "any"
"""Stands for whatever repository of a project, where rights in the project are asked for."""


class QuotaApi:
    """The routes, over the *quotas* of a ledger."""

    def __init__(self, quotas: Quotas) -> None:
        self._quotas = quotas

    @property
    def routes(self) -> Sequence[BaseRoute]:
        """For the application's router, before those of whole repositories."""
        one = "/registry/v1/repositories/{name:path}/_quota"
        whole = "/registry/v1/projects/{project}/quota"
        return [
            Route("/registry/v1/quotas", Endpoint(GET=(self._list, PULL))),
            Route(one, Endpoint(GET=(self._show, PULL), PUT=(self._set, PULL))),
            Route(whole, Endpoint(GET=(self._show_project, PULL), PUT=(self._set_project, PULL))),
        ]

    async def _list(self, call: Call) -> Response:
        """GET: of each project that the caller may read and that has anything."""
        seen = call.guard.readable_projects(call.principal)
        projects = await self._quotas.list_projects()
        names = [each for each in projects if seen is None or each in seen]
        found = [await self._told(call, RepositoryName(each, "")) for each in names]
        return JSONResponse({"quotas": found})

    async def _show(self, call: Call) -> Response:
        """GET of a repository."""
        assert call.repository is not None
        return JSONResponse(await self._told(call, call.repository))

    async def _show_project(self, call: Call) -> Response:
        """GET of a project."""
        return JSONResponse(await self._told(call, await _find_project(call)))

    async def _set(self, call: Call) -> Response:
        """PUT of a repository's own limits: the project's managers do."""
        assert call.repository is not None
        project = call.repository.project
        if call.principal.grants is not None or not policy.may_share(call.principal, project):
            raise Denied(
                f"limiting a repository needs the role manager in {project}, and no token of a "
                "repository's"
            )
        return await self._replace(call, call.repository, ("bytes", "tags"))

    async def _set_project(self, call: Call) -> Response:
        """PUT of a project's limits: administrators do."""
        name = await _find_project(call)
        if call.principal.grants is not None or not call.principal.admin:
            raise Denied("limiting a project needs the role admin")
        return await self._replace(call, name, ("bytes", "repositories", "tags"))

    async def _replace(self, call: Call, name: RepositoryName, known: Sequence[str]) -> Response:
        limits = await _read(call.request, known)
        if not name.path:
            allowance = await call.storage.allowances.find(name.project)
            firm = sorted(allowance.firm.spelt().keys() & limits.spelt().keys())
            if firm:
                raise Denied(
                    f"{' and '.join(firm)} of a project are limited in Keystone: "
                    f"openstack limit set, of {RESOURCES[firm[0]][0]}"
                )
        await call.storage.flusher.flush(await self._quotas.set_limits(name, limits))
        return JSONResponse(await self._told(call, name))

    async def _told(self, call: Call, name: RepositoryName) -> dict[str, Any]:
        standing = await self._quotas.standing(name)
        allowance = await call.storage.allowances.find(name.project)
        used = standing.usage
        return {
            "project": name.project,
            "repository": name.path or None,
            "used": {
                "bytes": used.bytes,
                "trash": used.trash,
                "reserved": used.reserved,
                "repositories": used.repositories,
                "tags": used.tags,
            },
            "limits": _effective(name, standing.limits, allowance),
            "set": standing.limits.spelt(),
        }


async def _find_project(call: Call) -> RepositoryName:
    """The project that the path names; raises NameUnknown for those that may not read it."""
    text = call.request.path_params["project"]
    some = await call.guard.find_repository(call.principal, f"{text}/{_ANY}")
    if not policy.may(call.principal, some, Action.PULL):
        raise NameUnknown(f"there is no project {text} in which you have a role")
    return RepositoryName(some.project, "")


def _effective(name: RepositoryName, own: Limits, allowance: Allowance) -> dict[str, int | None]:
    """The limits that hold, each by its name; None: any number."""
    kinds: tuple[str, ...]
    if name.path:
        kinds, said = ("bytes", "tags"), own.over(allowance.repository)
    else:
        kinds = ("bytes", "repositories", "tags")
        said = allowance.firm.over(own).over(allowance.project)
    return {kind: limit if limit >= 0 else None for kind in kinds
            for limit in [said.spelt().get(kind, -1)]}  # fmt: skip


async def _read(request: Request, known: Sequence[str]) -> Limits:
    """The limits in a body; raises Unsupported where they are none, and RequestTimeout."""
    document = await read_json(request)
    if not isinstance(document, dict) or not set(document) <= set(known):
        raise Unsupported(f"limits are one JSON object of {', '.join(known)}")
    try:
        return Limits.read(document)
    except ValueError as error:
        raise Unsupported(str(error)) from None
