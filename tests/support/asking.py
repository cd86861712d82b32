"""Every endpoint, and what a refusal says."""

from collections.abc import Mapping

import httpx
from starlette.routing import BaseRoute

from registry.api.quota import QuotaApi
from registry.api.trash import TrashApi
from registry.auth import challenge
from registry.catalogue import imageapi
from registry.oci.digest import Digest
from registry.storage.ledger import SqlLedger
from registry.v2api import routes
from support.builders import image
from support.imagecalls import NOBODYS
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

_REPOSITORY = "/registry/v1/repositories/{name:path}"
CLOSED: Mapping[str, tuple[str, ...]] = {
    "/image/v2/images": ("GET",),
    "/image/v2/images/{image_id}": ("GET", "PATCH", "DELETE"),
    "/image/v2/images/{image_id}/file": ("GET",),
    "/image/v2/images/{image_id}/members": ("GET", "POST"),
    "/image/v2/images/{image_id}/members/{project}": ("GET", "PUT", "DELETE"),
    "/image/v2/schemas/{name}": ("GET",),
    "/registry/v1/quotas": ("GET",),
    "/registry/v1/projects/{project}/quota": ("GET", "PUT"),
    "/registry/v1/trash": ("GET",),
    _REPOSITORY: ("DELETE",),
    f"{_REPOSITORY}/_quota": ("GET", "PUT"),
    f"{_REPOSITORY}/_trash": ("GET",),
    f"{_REPOSITORY}/_undelete": ("POST",),
}
"""Paths outside /v2/ that ask who it is, with their methods."""
_FILLED = {"{name:path}": NAME, "{name}": "image", "{project}": "shoes", "{image_id}": NOBODYS}


def _filled(path: str) -> str:
    for name, value in _FILLED.items():
        path = path.replace(name, value)
    return path


OTHER_ENDPOINTS = [
    (method, _filled(path)) for path, methods in CLOSED.items() for method in methods
]


def other_routes(ledger: SqlLedger) -> list[BaseRoute]:
    """Of all those, over *ledger*."""
    trash = TrashApi(ledger.trash, 100.0)
    return [*imageapi.routes, *QuotaApi(ledger.quotas).routes, *trash.routes]


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
