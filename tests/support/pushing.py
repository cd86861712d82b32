"""Pushes through the API, for tests that are about what comes after."""

import httpx

from registry.oci.digest import Digest
from support.builders import Image


async def push_blob(client: httpx.AsyncClient, name: str, content: bytes) -> str:
    digest = str(Digest.of(content))
    answer = await client.post(f"/v2/{name}/blobs/uploads/?digest={digest}", content=content)
    assert answer.status_code == 201, answer.text
    return digest


async def push_manifest(
    client: httpx.AsyncClient, name: str, reference: str, content: bytes, media_type: str
) -> httpx.Response:
    return await client.put(
        f"/v2/{name}/manifests/{reference}",
        content=content,
        headers={"Content-Type": media_type},
    )


async def push_image(
    client: httpx.AsyncClient, name: str, reference: str, image: Image
) -> httpx.Response:
    for blob in image.blobs:
        await push_blob(client, name, blob)
    answer = await push_manifest(client, name, reference, image.manifest, image.media_type)
    assert answer.status_code == 201, answer.text
    return answer


def code(answer: httpx.Response) -> str:
    """The one error code of an answer, whose form the specification fixes."""
    assert answer.headers["content-type"] == "application/json"
    errors = answer.json()["errors"]
    assert len(errors) == 1
    assert set(errors[0]) == {"code", "message", "detail"}
    return str(errors[0]["code"])
