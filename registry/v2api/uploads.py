"""end-4 to end-6, end-11, end-13 and end-14: upload sessions."""

from http import HTTPStatus

from starlette.responses import Response

from registry import pull, push
from registry.auth.ports import Action
from registry.limits import Leave
from registry.oci.digest import Digest, new_hasher
from registry.oci.errors import RangeInvalid, Unauthorized
from registry.oci.names import RepositoryName
from registry.storage.records import BlobRecord, Upload
from registry.v2api import links, ranges
from registry.v2api.call import Call

SOURCES = 100
"""Repositories at most in which an anonymous mount looks for the blob."""


async def post_upload(call: Call) -> Response:
    """POST …/blobs/uploads/: a session, a whole blob (?digest=), or a mount (?mount=)."""
    query = call.request.query_params
    leave = await call.leave()
    if "mount" in query:
        mounted = await _mount(call, Digest.parse(query["mount"]), query.get("from"), leave)
        if mounted is not None:
            return _created(call, mounted.digest, leave)
    elif "digest" in query:
        digest = call.digest()
        await push.put_blob(call.storage, call.repository, digest, call.length, call.body(), leave)
        return _created(call, digest, leave)
    if "digest-algorithm" in query:
        new_hasher(query["digest-algorithm"])
    upload = await push.begin_upload(call.storage, call.repository, call.principal.subject, leave)
    return _status(call, upload, HTTPStatus.ACCEPTED)


async def get_upload(call: Call) -> Response:
    """GET …/blobs/uploads/<id>: how far it is."""
    return _status(call, await _find(call), HTTPStatus.NO_CONTENT)


async def patch_upload(call: Call) -> Response:
    """PATCH …/blobs/uploads/<id>: a chunk, or a stream of unknown length."""
    session = await _find(call)
    at = ranges.parse_content_range(call.request.headers.get("content-range"), call.length)
    leave = await call.leave()
    try:
        upload = await push.append_chunk(
            call.storage, call.repository, session.id, at, call.length, call.body(), leave
        )
    except RangeInvalid as error:
        raise await _with_offset(call) from error
    return _status(call, upload, HTTPStatus.ACCEPTED, leave)


async def put_upload(call: Call) -> Response:
    """PUT …/blobs/uploads/<id>?digest=: the last chunk, the whole, or nothing more."""
    digest = call.digest()
    at = ranges.parse_content_range(call.request.headers.get("content-range"), call.length)
    await _find(call, finished=True)
    leave = await call.leave()
    try:
        await push.finish_upload(
            call.storage,
            call.repository,
            call.reference,
            at,
            digest,
            call.length,
            call.body(),
            leave,
        )
    except RangeInvalid as error:
        raise await _with_offset(call) from error
    return _created(call, digest, leave)


async def delete_upload(call: Call) -> Response:
    """DELETE …/blobs/uploads/<id>: 204, and the session is unknown from then on."""
    await _find(call)
    await push.cancel_upload(call.storage, call.repository, call.reference)
    return Response(None, HTTPStatus.NO_CONTENT)


async def _find(call: Call, *, finished: bool = False) -> Upload:
    """The session, if it is the caller's own: a capability widens time, not identity."""
    if finished:
        upload = await call.storage.ledger.find_upload(call.repository, call.reference)
    else:
        upload = await push.find_upload(call.storage, call.repository, call.reference)
    if upload.principal != call.principal.subject:
        raise Unauthorized("this upload was begun by somebody else")
    return upload


async def _mount(call: Call, digest: Digest, source: str | None, leave: Leave) -> BlobRecord | None:
    """Link from *source*, or from any repository where the caller has a role (anonymous mount)."""
    if source is None:
        candidates = await call.storage.ledger.list_links(digest, limit=SOURCES)
        readable = [
            each for each in candidates if await call.guard.may(call.principal, each, Action.PULL)
        ]
    else:
        readable = await _open_source(call, digest, source)
    return await push.mount_blob(call.storage, call.repository, readable, digest, leave)


async def _open_source(call: Call, digest: Digest, source: str) -> list[RepositoryName]:
    found = await call.guard.find_source(call.principal, source)
    if found is None:
        return []
    opening, repository = found
    is_open = await pull.opens(call.storage, opening, repository, digest)
    return [repository] if is_open else []


async def _with_offset(call: Call) -> RangeInvalid:
    """The same refusal, telling where the session really ends (distribution-spec, 416)."""
    upload = await _find(call)
    headers = {
        "Range": links.received(upload.offset),
        "Location": _location(call, upload),
        "Docker-Upload-UUID": upload.id,
    }
    return RangeInvalid(
        f"the upload has {upload.offset} bytes: go on at byte {upload.offset}", headers=headers
    )


def _location(call: Call, upload: Upload) -> str:
    state = call.guard.seal_upload(upload.id, call.repository, call.principal.subject)
    return links.upload(call.name, upload.id, state)


def _status(call: Call, upload: Upload, status: HTTPStatus, leave: Leave | None = None) -> Response:
    headers = {
        **links.warning(leave.warning if leave else ""),
        "Location": _location(call, upload),
        "Range": links.received(upload.offset),
        "Docker-Upload-UUID": upload.id,
    }
    if status is not HTTPStatus.NO_CONTENT:
        headers["Content-Length"] = "0"
    return Response(None, status, headers)


def _created(call: Call, digest: Digest, leave: Leave) -> Response:
    headers = {
        "Location": links.blob(call.name, digest),
        "Docker-Content-Digest": str(digest),
        **links.warning(leave.warning),
    }
    return Response(None, HTTPStatus.CREATED, headers)
