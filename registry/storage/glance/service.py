"""ImageService on a real Glance."""

import time
from collections.abc import Callable, Mapping, Sequence
from http import HTTPMethod, HTTPStatus
from typing import Any, Final

from registry.oci.errors import StorageUnavailable
from registry.storage.cloud import open_session
from registry.storage.glance.client import DATA, PATCH, GlanceClient
from registry.storage.images import differences
from registry.storage.ports.images import Absent, Image, Refused, Taken
from registry.storage.sharing import PENDING

DOCKER: Final = "docker"
RAW: Final = "raw"
"""The disk format where Glance was not told of docker."""
FORMATS: Final = 600.0
"""Seconds for which it is remembered which of them Glance takes."""
CONFLICT: Final = frozenset({HTTPStatus.CONFLICT})
FORBIDDEN: Final = frozenset({HTTPStatus.FORBIDDEN})
STANDARD: Final = frozenset(
    [
        "id",
        "owner",
        "name",
        "disk_format",
        "container_format",
        "visibility",
        "size",
        "virtual_size",
        "status",
        "checksum",
        "protected",
        "min_ram",
        "min_disk",
        "os_hidden",
        "os_hash_algo",
        "os_hash_value",
        "created_at",
        "updated_at",
        "locations",
        "direct_url",
        "self",
        "file",
        "schema",
        "tags",
        "stores",
    ]
)
"""Fields that are no properties."""


class GlanceImageService:
    """The images of one Glance."""

    def __init__(
        self, client: GlanceClient, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """*clock*: seconds that do not jump."""
        self._client = client
        self._clock = clock
        self._disk_format = DOCKER
        self._formats_until = float("-inf")

    async def create(self, image: Image) -> None:
        document = {
            **image.properties,
            "id": image.id,
            "owner": image.owner,
            "name": image.name,
            "visibility": image.visibility,
            "os_hidden": image.hidden,
            "protected": image.protected,
            "disk_format": await self._find_format(),
            "container_format": DOCKER,
        }
        try:
            status, _ = await self._client.ask(HTTPMethod.POST, "/images", document, meant=CONFLICT)
        except Absent:
            raise StorageUnavailable("the image service's address is no Glance's") from None
        except Refused:
            self._formats_until = float("-inf")  # perhaps Glance was set up anew
            raise
        if status == HTTPStatus.CONFLICT:
            raise Taken(image.id)
        await self._fill(image.id)

    async def find(self, image: str) -> Image:
        _, document = await self._client.ask(HTTPMethod.GET, f"/images/{image}")
        return read(document)

    async def find_listed(self, images: Sequence[str]) -> list[Image]:
        found = []
        for hidden in ("false", "true"):
            query = {
                "id": f"in:{','.join(images)}",
                "os_hidden": hidden,
                "visibility": "all",  # else a list leaves community's out
                "limit": str(len(images)),
            }
            _, document = await self._client.ask(HTTPMethod.GET, "/images", query=query)
            found += [read(each) for each in document["images"]]
        return found

    async def change(self, before: Image, after: Image) -> None:
        steps = differences(before, after)
        if steps:
            await self._client.ask(HTTPMethod.PATCH, f"/images/{after.id}", steps, kind=PATCH)
        if not before.active:
            await self._fill(after.id)

    async def delete(self, image: str) -> None:
        path = f"/images/{image}"
        try:
            status, _ = await self._client.ask(HTTPMethod.DELETE, path, meant=FORBIDDEN)
            if status == HTTPStatus.FORBIDDEN:
                bare: list[dict[str, object]] = [
                    {"op": "replace", "path": "/protected", "value": False}
                ]
                await self._client.ask(HTTPMethod.PATCH, path, bare, kind=PATCH)
                await self._client.ask(HTTPMethod.DELETE, path)
        except Absent:
            return

    async def members(self, image: str) -> Mapping[str, str]:
        path = f"/images/{image}/members"
        status, document = await self._client.ask(HTTPMethod.GET, path, meant=FORBIDDEN)
        if status == HTTPStatus.FORBIDDEN:  # said of what is not shared
            return {}
        return {each["member_id"]: each["status"] for each in document["members"]}

    async def add_member(self, image: str, project: str, status: str) -> None:
        path, asked = f"/images/{image}/members", {"member": project}
        said, _ = await self._client.ask(HTTPMethod.POST, path, asked, meant=CONFLICT)
        if said != HTTPStatus.CONFLICT and status != PENDING:
            await self.set_member(image, project, status)

    async def set_member(self, image: str, project: str, status: str) -> None:
        path = f"/images/{image}/members/{project}"
        await self._client.ask(HTTPMethod.PUT, path, {"status": status})

    async def remove_member(self, image: str, project: str) -> None:
        try:
            await self._client.ask(HTTPMethod.DELETE, f"/images/{image}/members/{project}")
        except Absent:
            await self.find(image)  # the member may be absent, the image not

    async def close(self) -> None:
        """Let go of the connections."""
        await self._client.close()

    async def _fill(self, image: str) -> None:
        """Empty data, which make an image active; that it has some already is well."""
        path = f"/images/{image}/file"
        await self._client.ask(HTTPMethod.PUT, path, b"", kind=DATA, meant=CONFLICT)

    async def _find_format(self) -> str:
        if self._clock() >= self._formats_until:
            _, schema = await self._client.ask(HTTPMethod.GET, "/schemas/image")
            known = schema["properties"]["disk_format"].get("enum", [])
            self._disk_format = DOCKER if DOCKER in known else RAW
            self._formats_until = self._clock() + FORMATS
        return self._disk_format


def read(document: Mapping[str, Any]) -> Image:
    """An image as Glance writes it."""
    return Image(
        id=document["id"],
        owner=document["owner"] or "",
        name=document["name"] or "",
        visibility=document["visibility"],
        hidden=document["os_hidden"],
        protected=document["protected"],
        properties={
            name: str(value)
            for name, value in document.items()
            if name not in STANDARD and value is not None
        },
        active=document["status"] != "queued",
    )


def open_images(cloud: str | None = None) -> GlanceImageService:
    """The Glance of *cloud* in clouds.yaml, in OS_CLOUD, or in what OS_ says.

    Raises StorageUnavailable where they do not say enough.
    """
    opened = open_session("image", cloud)
    client = GlanceClient(
        opened.session,
        region=opened.region,
        interface=opened.interface,
        endpoint=opened.endpoint,
    )
    return GlanceImageService(client)
