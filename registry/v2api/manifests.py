"""end-3, end-7 and end-9: manifests, read, pushed and deleted."""

from http import HTTPStatus

from starlette.responses import Response

from registry import management, pull, push
from registry.oci.errors import ManifestInvalid, ManifestTooLarge, Unsupported
from registry.oci.names import Tag, parse_reference
from registry.push import PushRules
from registry.v2api import links
from registry.v2api.call import Call

TAGS = 64
"""Tags at most in one push by digest; the spec asks for ten or more."""


async def get_manifest(call: Call) -> Response:
    """GET and HEAD /v2/<name>/manifests/<reference>: the very bytes that were pushed."""
    reference = parse_reference(call.reference)
    manifest = await pull.find_manifest(call.storage, call.repository, reference, call.opening)
    headers = {
        "Docker-Content-Digest": str(manifest.digest),
        "Content-Type": manifest.media_type,
        "ETag": f'"{manifest.digest}"',
    }
    if call.request.method == "HEAD":
        headers["Content-Length"] = str(len(manifest.content))
        return Response(None, HTTPStatus.OK, headers)
    return Response(manifest.content, HTTPStatus.OK, headers)


async def put_manifest(call: Call) -> Response:
    """PUT /v2/<name>/manifests/<reference>, by digest with ?tag= as often as wanted."""
    reference = parse_reference(call.reference)
    named = call.request.query_params.getlist("tag")
    tags = list(dict.fromkeys(Tag.parse(name) for each in named for name in each.split(",")))
    if tags and isinstance(reference, Tag):
        raise Unsupported("tag parameters go with a push by digest only")
    if len(tags) > TAGS:
        raise Unsupported(f"at most {TAGS} tag parameters in one push")
    media_type = call.request.headers.get("content-type", "").partition(";")[0].strip() or None
    content = await _content(call)
    rules: PushRules = call.request.app.state.push_rules
    leave = await call.leave()
    manifest = await push.put_manifest(
        call.storage, rules, call.repository, reference, tags, media_type, content, leave
    )
    headers = {
        **links.warning(leave.warning),
        "Location": links.manifest(call.name, manifest.digest),
        "Docker-Content-Digest": str(manifest.digest),
    }
    if manifest.subject is not None:
        headers["OCI-Subject"] = str(manifest.subject)
    arrived = call.request.app.state.arrived
    if arrived is not None and (tags or isinstance(reference, Tag)):
        warning: str | None = await arrived(call.repository.project)
        if warning is not None:
            headers["Warning"] = f'299 - "{warning}"'
    response = Response(None, HTTPStatus.CREATED, headers)
    for tag in tags:
        response.headers.append("OCI-Tag", str(tag))
    return response


async def delete_manifest(call: Call) -> Response:
    """DELETE /v2/<name>/manifests/<reference>: a tag alone, or a manifest with its tags."""
    reference = parse_reference(call.reference)
    await management.delete_manifest(call.storage, call.repository, reference)
    return Response(None, HTTPStatus.ACCEPTED)


async def _content(call: Call) -> bytes:
    limit: int = call.request.app.state.manifest_limit
    too_large = ManifestTooLarge(f"a manifest has at most {limit} bytes here")
    if (call.length or 0) > limit:
        raise too_large
    content = bytearray()
    async for chunk in call.body():
        content += chunk
        if len(content) > limit:
            raise too_large
    if not content:
        raise ManifestInvalid("the request has no body")
    return bytes(content)
