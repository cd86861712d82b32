"""Members of an image: the projects that it is shared with (Image API v2, "Sharing")."""

import re
from http import HTTPStatus
from typing import Any

from starlette.responses import JSONResponse, Response

from registry import sharing
from registry.catalogue import answers
from registry.catalogue.answers import Call
from registry.oci.errors import Unsupported
from registry.sharing import Membership
from registry.storage.records import ImageRecord

_PROJECT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,254}", re.ASCII)
"""A project's id, as it can stand in a path (Glance: at most the column's width)."""


async def list_members(call: Call) -> Response:
    """GET /v2/images/{id}/members"""
    record = await _find(call)
    found = await sharing.list_members(call.storage, call.caller, record)
    shown = [answers.member(Membership(record, each)) for each in found]
    return JSONResponse({"members": shown, "schema": "/v2/schemas/members"})


async def get_member(call: Call) -> Response:
    """GET /v2/images/{id}/members/{project}"""
    record = await _find(call)
    found = await sharing.find_member(call.storage, call.caller, record, _project(call))
    return JSONResponse(answers.member(found))


async def post_member(call: Call) -> Response:
    """POST /v2/images/{id}/members: {"member": project}"""
    record = await _find(call)
    project = _text(await call.json(), "member")
    if not _PROJECT.fullmatch(project):
        raise Unsupported(
            "a project's id has 1 to 255 characters: letters, digits, '.', '_' and '-', "
            "and begins with a letter or a digit"
        )
    added = await sharing.add_member(call.storage, call.caller, record, project)
    return JSONResponse(answers.member(added))


async def put_member(call: Call) -> Response:
    """PUT /v2/images/{id}/members/{project}: {"status": accepted, rejected or pending}"""
    record = await _find(call)
    status = _text(await call.json(), "status")
    found = await sharing.answer_member(call.storage, call.caller, record, _project(call), status)
    return JSONResponse(answers.member(found))


async def delete_member(call: Call) -> Response:
    """DELETE /v2/images/{id}/members/{project}"""
    record = await _find(call)
    await sharing.remove_member(call.storage, call.caller, record, _project(call))
    return Response(None, HTTPStatus.NO_CONTENT)


async def _find(call: Call) -> ImageRecord:
    return await sharing.find(call.storage, call.caller, call.request.path_params["image_id"])


def _project(call: Call) -> str:
    project: str = call.request.path_params["project"]
    return project


def _text(body: Any, name: str) -> str:
    if not isinstance(body, dict) or not isinstance(body.get(name), str):
        raise Unsupported(f'send {{"{name}": "…"}}')
    text: str = body[name]
    return text
