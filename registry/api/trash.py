"""What was deleted: listed and taken back; repositories deleted as a whole."""

from collections.abc import Sequence
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from registry import undelete
from registry.api.endpoint import Call, Endpoint
from registry.auth import policy
from registry.auth.ports import Action
from registry.limits import Leave
from registry.oci.errors import Unsupported
from registry.oci.names import parse_reference
from registry.push import PushRules
from registry.storage.ports.trash import Trash, TrashEntry
from registry.v2api import links

PUSH = frozenset({Action.PULL, Action.PUSH})
DELETE = frozenset({Action.DELETE})
PAGE = 1000
"""Entries of one answer at most."""


class TrashApi:
    """The routes, over one *trash*."""

    def __init__(self, trash: Trash, term: float) -> None:
        """*term*: seconds for which what was deleted is kept."""
        self._trash = trash
        self._term = term

    @property
    def routes(self) -> Sequence[BaseRoute]:
        """For the application's router."""
        one = "/registry/v1/repositories/{name:path}"
        return [
            Route("/registry/v1/trash", Endpoint(GET=(self._list, DELETE))),
            Route(f"{one}/_trash", Endpoint(GET=(self._list, DELETE))),
            Route(f"{one}/_undelete", Endpoint(POST=(self._take_back, PUSH))),
            Route(one, Endpoint(DELETE=(self._delete, DELETE))),
            Route("/registry/{path:path}", Endpoint()),
        ]

    async def _list(self, call: Call) -> Response:
        """GET: the newest first; ``last`` is the ``next`` of the page before."""
        projects = None
        if call.repository is None:
            projects = policy.projects_for(call.principal, Action.DELETE)
        found = await self._trash.list(
            projects=projects, repository=call.repository, after=_mark(call.request), limit=PAGE
        )
        body: dict[str, Any] = {"trash": [_shown(each, self._term) for each in found]}
        if len(found) == PAGE:
            seconds, entry = found[-1].key
            body["next"] = f"{seconds!r}/{entry}"
        return JSONResponse(body)

    async def _take_back(self, call: Call) -> Response:
        """POST ?reference=<tag or digest>, or without it what went with the whole repository."""
        assert call.repository is not None
        named = call.request.query_params.getlist("reference")
        if len(named) > 1:
            raise Unsupported("name one reference, or none for what went with the repository")
        reference = parse_reference(named[0]) if named else None
        rules: PushRules = call.request.app.state.push_rules
        leave = Leave(await call.storage.allowances.find(call.repository.project))
        restored = await undelete.restore(
            call.storage, self._trash, rules, call.repository, reference, leave
        )
        body = {
            "repository": call.name,
            "restored": [
                {"digest": str(digest), "tags": list(tags)} for digest, tags in restored.manifests
            ],
            "taken": {tag: str(digest) for tag, digest in sorted(restored.taken.items())},
            "more": restored.more,
        }
        return JSONResponse(body, headers=links.warning(leave.warning))

    async def _delete(self, call: Call) -> Response:
        """DELETE: manifests and tags go to the trash; to be repeated while ``more`` is true."""
        assert call.repository is not None
        emptied = await undelete.empty(call.storage, self._trash, call.repository)
        body = {
            "repository": call.name,
            "manifests": emptied.manifests,
            "tags": emptied.tags,
            "more": emptied.more,
        }
        return JSONResponse(body)


def _shown(entry: TrashEntry, term: float) -> dict[str, Any]:
    return {
        "id": entry.id,
        "repository": str(entry.repository),
        "digest": str(entry.digest),
        "media_type": entry.media_type,
        "size": entry.size,
        "tags": list(entry.tags),
        "deleted_at": entry.deleted_at,
        "until": entry.deleted_at + term,
        "whole": entry.whole,
    }


def _mark(request: Request) -> tuple[float, str] | None:
    text = request.query_params.get("last")
    if text is None:
        return None
    seconds, _, entry = text.partition("/")
    try:
        return float(seconds), entry
    except ValueError:
        raise Unsupported("last must be the next of an answer before") from None
