"""Every endpoint of the table, and what a refusal says."""

import httpx

from registry.auth import challenge
from registry.oci.digest import Digest
from registry.v2api import routes
from support.builders import image
from support.pushing import code, push_image
from support.signing import SERVICE, URL, Registry, basic

NAME = "shoes/app"
APP = image("base", "top")
BLOB = Digest.of(APP.config)
PATHS = {
    "BASE": "/v2/",
    "CATALOGUE": "/v2/_catalog",
    "UPLOADS": f"/v2/{NAME}/blobs/uploads/",
    "UPLOAD": f"/v2/{NAME}/blobs/uploads/1",
    "BLOB": f"/v2/{NAME}/blobs/{BLOB}",
    "MANIFEST": f"/v2/{NAME}/manifests/1",
    "TAGS": f"/v2/{NAME}/tags/list",
    "REFERRERS": f"/v2/{NAME}/referrers/{APP.digest}",
}
ENDPOINTS = [(method, path, kind) for kind, path in PATHS.items() for method in vars(routes)[kind]]
IN_REPOSITORY = [each for each in ENDPOINTS if NAME in each[1]]


async def push_app(registry: Registry, name: str = NAME, user: str = "alice") -> None:
    """Push APP under the tag 1, by somebody who may."""
    registry.client.headers.update(basic(user))
    await push_image(registry.client, name, "1", APP)
    del registry.client.headers["Authorization"]


def is_refusal(answer: httpx.Response, status: int, expected: str) -> bool:
    """A refusal of HEAD has no words."""
    without_body = answer.request.method == "HEAD" and not answer.content
    return answer.status_code == status and (without_body or code(answer) == expected)


def asked_for(answer: httpx.Response) -> dict[str, str]:
    """The parameters of a refusal's one challenge."""
    assert is_refusal(answer, 401, "UNAUTHORIZED"), answer.text
    (header,) = answer.headers.get_list("www-authenticate")
    found = challenge.read(header)
    assert (found.pop("realm"), found.pop("service")) == (f"{URL}/auth/token", SERVICE)
    return found
