"""end-8: the tags of a repository; and the catalogue of repositories."""

import json
from http import HTTPStatus

from starlette.requests import Request
from starlette.responses import Response

from registry import discovery
from registry.oci.errors import Unsupported
from registry.v2api import links
from registry.v2api.call import Call

CATALOGUE_PAGE = 1000
"""Repositories in one answer where the client does not say."""


async def list_tags(call: Call) -> Response:
    """GET /v2/<name>/tags/list?n=&last=: in byte order."""
    limit = _limit(call.request)
    after = call.request.query_params.get("last", "")
    page = await discovery.list_tags(call.storage, call.repository, after, limit, call.opening)
    headers = {}
    if page.more:
        query = [("n", str(limit)), ("last", page.items[-1])]
        headers["Link"] = links.following(f"/v2/{call.name}/tags/list", query)
    return _json({"name": call.name, "tags": page.items}, headers)


async def list_repositories(call: Call) -> Response:
    """GET /v2/_catalog?n=&last=: what the caller may pull."""
    limit = _limit(call.request)
    limit = CATALOGUE_PAGE if limit is None else min(limit, CATALOGUE_PAGE)
    after = call.request.query_params.get("last", "")
    projects = call.guard.readable_projects(call.principal)
    page = await discovery.list_repositories(call.storage, projects, after, limit)
    headers = {}
    if page.more:
        query = [("n", str(limit)), ("last", str(page.items[-1]))]
        headers["Link"] = links.following("/v2/_catalog", query)
    return _json({"repositories": [str(name) for name in page.items]}, headers)


def _limit(request: Request) -> int | None:
    text = request.query_params.get("n")
    if text is None:
        return None
    if not (text.isascii() and text.isdecimal() and len(text) < 10):
        raise Unsupported("n must be a number of items, 0 or more")
    return int(text)


def _json(body: object, headers: dict[str, str]) -> Response:
    content = json.dumps(body).encode()
    return Response(content, HTTPStatus.OK, headers, "application/json")
