"""The Image API v2, as far as records have it: listed, shown, shared, untagged."""

from http import HTTPStatus
from typing import Any
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from registry import sharing
from registry.catalogue import answers, listing, members, schemas
from registry.catalogue.answers import Call, Endpoint
from registry.oci.errors import Denied, Unsupported

MINOR_VERSIONS = ("v2.9", "v2.7", "v2.6", "v2.5", "v2.4", "v2.3", "v2.2", "v2.1", "v2.0")
PATCH_TYPE = "application/openstack-images-v2.1-json-patch"
OLD_PATCH_TYPE = "application/openstack-images-v2.0-json-patch"


async def list_versions(request: Request) -> Response:
    """GET /image (300, as Glance has it), /image/versions and /image/v2 (200)."""
    base = f"{request.url.scheme}://{request.url.netloc}/image/v2/"
    versions = [
        {
            "id": version,
            "status": "CURRENT" if version == MINOR_VERSIONS[0] else "SUPPORTED",
            "links": [{"rel": "self", "href": base}],
        }
        for version in MINOR_VERSIONS
    ]
    chosen = request.url.path.rstrip("/") != "/image"
    status = HTTPStatus.OK if chosen else HTTPStatus.MULTIPLE_CHOICES
    return JSONResponse({"versions": versions}, status)


async def list_images(call: Call) -> Response:
    """GET /v2/images: the newest first, page by page."""
    parameters = call.request.query_params
    query = listing.read(parameters)
    records, more = await listing.page(call.storage, call.caller, query)
    kept = [(name, value) for name, value in parameters.multi_items() if name != "marker"]
    body: dict[str, Any] = {
        "images": [answers.image(record) for record in records],
        "first": _link(kept),
        "schema": "/v2/schemas/images",
    }
    if more:
        body["next"] = _link([*kept, ("marker", records[-1].id)])
    return JSONResponse(body)


async def get_image(call: Call) -> Response:
    """GET /v2/images/{id}"""
    record = await sharing.find(call.storage, call.caller, call.request.path_params["image_id"])
    return JSONResponse(answers.image(record))


async def get_file(call: Call) -> Response:
    """GET /v2/images/{id}/file: a record has no data in the image service (Glance: 204)."""
    await sharing.find(call.storage, call.caller, call.request.path_params["image_id"])
    return Response(None, HTTPStatus.NO_CONTENT)


async def delete_image(call: Call) -> Response:
    """DELETE /v2/images/{id}: removes the tag; every other record is protected."""
    record = await sharing.find(call.storage, call.caller, call.request.path_params["image_id"])
    await sharing.untag(call.storage, call.caller, record)
    return Response(None, HTTPStatus.NO_CONTENT)


async def patch_image(call: Call) -> Response:
    """PATCH /v2/images/{id}: /visibility, and nothing else."""
    record = await sharing.find(call.storage, call.caller, call.request.path_params["image_id"])
    kind = call.request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind not in {PATCH_TYPE, OLD_PATCH_TYPE}:
        return answers.fault(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, f"send {PATCH_TYPE}")
    visibility = _visibility(await call.json())
    if visibility is not None:
        record = await sharing.set_visibility(call.storage, call.caller, record, visibility)
    return JSONResponse(answers.image(record))


async def get_schema(call: Call) -> Response:
    """GET /v2/schemas/{name}"""
    schema = schemas.SCHEMAS.get(call.request.path_params["name"])
    if schema is None:
        return answers.fault(HTTPStatus.NOT_FOUND, "there is no such schema")
    return JSONResponse(schema)


def _visibility(patch: Any) -> str | None:
    """What a JSON patch makes of /visibility in the end; None where it says nothing of it."""
    if not isinstance(patch, list):
        raise Unsupported("a JSON patch is a list of operations")
    value = None
    for step in patch:
        if not isinstance(step, dict):
            raise Unsupported("an operation of a JSON patch is an object")
        operator, path = step.get("op"), step.get("path")
        if operator is None:  # v2.0: {"replace": "/visibility", "value": ...}
            operator = next((each for each in ("add", "replace", "remove") if each in step), None)
            path = step.get(operator)
        if operator not in ("add", "replace", "remove") or not isinstance(path, str):
            raise Unsupported("an operation names op (add, replace or remove) and path")
        if path != "/visibility" or operator == "remove":
            raise Denied(f"{path!r} is told by what was pushed; only /visibility can be changed")
        value = step.get("value")
        if not isinstance(value, str):
            raise Unsupported("visibility must be a string")
    return value


def _link(query: list[tuple[str, str]]) -> str:
    return f"/v2/images?{urlencode(query)}" if query else "/v2/images"


_IMAGE = "/image/v2/images/{image_id}"
_MEMBERS = f"{_IMAGE}/members"
_MEMBER = f"{_MEMBERS}/{{project}}"
routes = [
    Route("/image", list_versions, methods=["GET"]),
    Route("/image/", list_versions, methods=["GET"]),
    Route("/image/versions", list_versions, methods=["GET"]),
    Route("/image/v2", list_versions, methods=["GET"]),
    Route("/image/v2/", list_versions, methods=["GET"]),
    Route("/image/v2/images", Endpoint(GET=list_images)),
    Route("/image/v2/schemas/{name}", Endpoint(GET=get_schema)),
    Route(_IMAGE, Endpoint(GET=get_image, DELETE=delete_image, PATCH=patch_image)),
    Route(f"{_IMAGE}/file", Endpoint(GET=get_file)),
    Route(_MEMBERS, Endpoint(GET=members.list_members, POST=members.post_member)),
    Route(
        _MEMBER,
        Endpoint(GET=members.get_member, PUT=members.put_member, DELETE=members.delete_member),
    ),
    Route("/image/{path:path}", Endpoint()),
]
