"""A real Glance for the registry's adapter, and what people see there."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx

from registry.storage.glance import GlanceImageService
from registry.storage.glance.client import GlanceClient
from support.openstack import OpenStack
from support.swift import service_session

Json = dict[str, Any]


@asynccontextmanager
async def images_of(
    cloud: OpenStack, endpoint: str | None = None, password: str | None = None
) -> AsyncIterator[GlanceImageService]:
    """The service user's images; *endpoint* is where Glance is reached if not where it is."""
    client = GlanceClient(service_session(cloud, password), endpoint=endpoint, timeout=10)
    service = GlanceImageService(client)
    try:
        yield service
    finally:
        await service.close()


class Looker:
    """Somebody at Glance, with his own token."""

    def __init__(self, cloud: OpenStack, user: str = "registry", token: str = "") -> None:
        """One of the cloud's users, or whoever *token* is of."""
        headers = {"X-Auth-Token": token or cloud.token(user)}
        self._http = httpx.Client(base_url=f"{cloud.image_url}/v2", headers=headers, timeout=60)

    def close(self) -> None:
        self._http.close()

    def show(self, image: str) -> Json | None:
        """An image's document; None where there is none for him."""
        answer = self._http.get(f"/images/{image}")
        if answer.status_code == httpx.codes.NOT_FOUND:
            return None
        shown: Json = answer.raise_for_status().json()
        return shown

    def list(self, **query: str) -> list[Json]:
        """What a list shows him, hidden images too."""
        found: list[Json] = []
        for hidden in ("false", "true"):
            query |= {"os_hidden": hidden, "limit": "1000"}
            answer = self._http.get("/images", params=query).raise_for_status()
            found += answer.json()["images"]
        return found

    def make(self, **document: object) -> httpx.Response:
        """Try to make an image."""
        formats = {"disk_format": "raw", "container_format": "bare"}
        return self._http.post("/images", json={**formats, **document})

    def set(self, image: str, **fields: object) -> httpx.Response:
        """Try to change an image."""
        steps = [{"op": "add", "path": f"/{name}", "value": fields[name]} for name in fields]
        kind = {"Content-Type": "application/openstack-images-v2.1-json-patch"}
        return self._http.patch(f"/images/{image}", json=steps, headers=kind)

    def delete(self, image: str) -> httpx.Response:
        """Try to delete an image."""
        return self._http.delete(f"/images/{image}")

    def share(self, image: str, project: str) -> httpx.Response:
        """Try to add a member."""
        return self._http.post(f"/images/{image}/members", json={"member": project})

    def unshare(self, image: str, project: str) -> httpx.Response:
        """Try to remove a member."""
        return self._http.delete(f"/images/{image}/members/{project}")
