"""What of shoes/app somebody from another project can pull, and its record shared with him."""

from registry.oci.digest import Digest
from support.asking import APP, NAME
from support.builders import Image, image
from support.imagecalls import ARM, Caller
from support.signing import Registry, basic

OTHER = image("another")
PULL = f"repository:{NAME}:pull"
NOBODY: dict[str, str] = {}
WAYS = ("basic", "token")


async def share(mona: Caller, name: str, project: str = "hats") -> None:
    record = await mona.find(name, os_hidden=":" not in name)
    assert (await mona.set_visibility(record, "shared")).status_code == 200
    assert (await mona.share(record, project)).status_code == 200


async def signed_in(registry: Registry, user: str, way: str, scope: str = PULL) -> dict[str, str]:
    return await registry.sign_in(user, scope) if way == "token" or not user else basic(user)


async def pulls(registry: Registry, headers: dict[str, str], what: str) -> int:
    """What is answered to a GET and to a HEAD of *what* in shoes/app."""
    url = f"/v2/{NAME}/{what}"
    answer = await registry.client.get(url, headers=headers)
    head = await registry.client.head(url, headers=headers)
    assert head.status_code == answer.status_code
    return answer.status_code


def parts(*images: Image) -> set[str]:
    """The paths of manifests by digest, and of all their blobs."""
    found = {f"manifests/{each.digest}" for each in images}
    return found | {f"blobs/{Digest.of(blob)}" for each in images for blob in each.blobs}


ALL = {"manifests/1", "manifests/2", "manifests/both", *parts(APP, OTHER, ARM)}


async def opened(registry: Registry, user: str, way: str) -> set[str]:
    """What a user can pull who signs in anew."""
    headers = await signed_in(registry, user, way)
    return {each for each in ALL if await pulls(registry, headers, each) == 200}
