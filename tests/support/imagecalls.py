"""Calls of the Image API by people with roles, and images to call it about."""

import json
from typing import Any

import httpx

from registry.oci.descriptor import OCI_INDEX
from support.builders import Image, image, index
from support.pushing import push_image, push_manifest
from support.signing import basic

IMAGES = "/image/v2/images"
PATCH = {"Content-Type": "application/openstack-images-v2.1-json-patch"}
APP = image("base", "", "top")
ARM = image("base", "arm", architecture="arm64")
NOBODYS = "00000000-0000-4000-8000-000000000000"
"""The id of no record."""

Json = dict[str, Any]


class Caller:
    """Somebody who asks the Image API."""

    def __init__(self, client: httpx.AsyncClient, user: str) -> None:
        self.client = client
        self._headers = basic(user) if user else {}

    async def ask(self, method: str, url: str, **more: Any) -> httpx.Response:
        headers = self._headers | more.pop("headers", {})
        return await self.client.request(method, url, headers=headers, **more)

    async def list(self, **query: Any) -> list[Json]:
        answer = await self.ask("GET", IMAGES, params={"limit": 1000, **query})
        assert answer.status_code == 200, answer.text
        images: list[Json] = answer.json()["images"]
        return images

    async def names(self, **query: Any) -> set[str]:
        return {each["name"] for each in await self.list(**query) if each["name"]}

    async def find(self, name: str, **query: Any) -> Json:
        (found,) = await self.list(name=f"eq:{name}", **query)
        return found

    async def show(self, record: Json) -> httpx.Response:
        return await self.ask("GET", f"{IMAGES}/{record['id']}")

    async def delete(self, record: Json) -> httpx.Response:
        return await self.ask("DELETE", f"{IMAGES}/{record['id']}")

    async def patch(self, record: Json, *steps: Json) -> httpx.Response:
        url = f"{IMAGES}/{record['id']}"
        return await self.ask("PATCH", url, headers=PATCH, content=json.dumps(steps))

    async def set_visibility(self, record: Json, word: str) -> httpx.Response:
        return await self.patch(record, {"op": "replace", "path": "/visibility", "value": word})

    async def share(self, record: Json, project: str) -> httpx.Response:
        url = f"{IMAGES}/{record['id']}/members"
        return await self.ask("POST", url, json={"member": project})

    async def unshare(self, record: Json, project: str) -> httpx.Response:
        return await self.ask("DELETE", f"{IMAGES}/{record['id']}/members/{project}")

    async def answer(self, record: Json, project: str, word: str) -> httpx.Response:
        url = f"{IMAGES}/{record['id']}/members/{project}"
        return await self.ask("PUT", url, json={"status": word})

    async def members(self, record: Json) -> dict[str, str]:
        answer = await self.ask("GET", f"{IMAGES}/{record['id']}/members")
        assert answer.status_code == 200, answer.text
        return {each["member_id"]: each["status"] for each in answer.json()["members"]}


async def push(
    client: httpx.AsyncClient,
    name: str = "shoes/app",
    tag: str = "1",
    what: Image = APP,
    user: str = "alice",
) -> None:
    client.headers.update(basic(user))
    await push_image(client, name, tag, what)
    del client.headers["Authorization"]


async def push_pair(client: httpx.AsyncClient, tag: str = "all") -> None:
    """An index of two platforms in shoes/app."""
    for each in (APP, ARM):
        await push(client, tag=str(each.digest), what=each)
    client.headers.update(basic("alice"))
    put = await push_manifest(client, "shoes/app", tag, index(APP, ARM), OCI_INDEX)
    assert put.status_code == 201, put.text
    del client.headers["Authorization"]


def is_fault(answer: httpx.Response, status: int) -> bool:
    """An error as Glance's clients read it, with words in it."""
    told = f"{answer.request.url}: {answer.status_code} {answer.text}"
    assert answer.headers["content-type"] == "application/json", told
    assert answer.status_code == status, told
    error = answer.json()["error"]
    return error["code"] == status and bool(error["message"])
