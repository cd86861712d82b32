"""end-12: who is about a manifest."""

import json
from http import HTTPStatus

from starlette.responses import Response

from registry import discovery
from registry.oci.descriptor import OCI_INDEX, Descriptor
from registry.oci.digest import Digest
from registry.v2api import links
from registry.v2api.call import Call


async def list_referrers(call: Call) -> Response:
    """GET /v2/<name>/referrers/<digest>?artifactType=: an index, empty where nobody is."""
    subject = Digest.parse(call.reference)
    query = call.request.query_params
    artifact_type = query.get("artifactType")
    after = Digest.parse(query["last"]) if "last" in query else None
    page = await discovery.list_referrers(
        call.storage, call.repository, subject, artifact_type, after, call.opening
    )
    headers = {}
    if artifact_type is not None:
        headers["OCI-Filters-Applied"] = "artifactType"
    if page.more:
        following = [("last", str(page.items[-1].digest))]
        if artifact_type is not None:
            following.insert(0, ("artifactType", artifact_type))
        path = f"/v2/{call.name}/referrers/{subject}"
        headers["Link"] = links.following(path, following)
    index = {
        "schemaVersion": 2,
        "mediaType": OCI_INDEX,
        "manifests": [_spell(manifest.descriptor) for manifest in page.items],
    }
    return Response(json.dumps(index).encode(), HTTPStatus.OK, headers, OCI_INDEX)


def _spell(descriptor: Descriptor) -> dict[str, object]:
    """A descriptor as JSON (image-spec, descriptor.md); what is empty is left out."""
    spelt: dict[str, object] = {
        "mediaType": descriptor.media_type,
        "size": descriptor.size,
        "digest": str(descriptor.digest),
    }
    if descriptor.annotations:
        spelt["annotations"] = dict(descriptor.annotations)
    if descriptor.artifact_type is not None:
        spelt["artifactType"] = descriptor.artifact_type
    return spelt
