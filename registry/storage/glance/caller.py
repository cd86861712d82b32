"""CallerImages on a real Glance: each right is a GET by id, made with the caller's own token."""

import asyncio
from collections.abc import Sequence
from http import HTTPMethod, HTTPStatus
from typing import Any, Final

from registry.oci.errors import StorageUnavailable
from registry.storage.cloud import open_session
from registry.storage.glance.client import GlanceClient
from registry.storage.ports.images import Absent

TIMEOUT: Final = 10.0
"""Seconds for which Glance may be silent while somebody waits."""
WAITING: Final = 200
"""Questions at most that wait for a thread; more are refused, so that nobody waits for minutes."""
REFUSED: Final = frozenset({HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN})


class GlanceCallerImages:
    """The images of one Glance, as whoever asks sees them."""

    def __init__(self, client: GlanceClient) -> None:
        self._client = client
        self._waiting = 0

    async def find_seen(
        self, token: str | None, project: str, images: Sequence[str]
    ) -> frozenset[str]:
        """As in CallerImages; a list only tells which of many are worth a look."""
        likely = images if len(images) == 1 else await self._list(token, images)
        looks = [self._sees(token, project, each) for each in likely]
        seen = await asyncio.gather(*looks)
        return frozenset(each for each, is_seen in zip(likely, seen, strict=True) if is_seen)

    async def close(self) -> None:
        """As in CallerImages."""
        await self._client.close()

    async def _sees(self, token: str | None, project: str, image: str) -> bool:
        found = await self._get(token, f"/images/{image}", {})
        if found is None or (found.get("id"), found.get("owner")) != (image, project):
            return False
        return token is not None or found.get("visibility") == "public"

    async def _list(self, token: str | None, images: Sequence[str]) -> Sequence[str]:
        query = {
            "id": f"in:{','.join(images)}",
            "visibility": "all" if token is not None else "public",
            "member_status": "all",  # else a list leaves out what nobody accepted
            "limit": str(len(images)),
        }
        found = await self._get(token, "/images", query)
        listed = {} if found is None else {each.get("id") for each in found["images"]}
        return [each for each in images if each in listed]

    async def _get(
        self, token: str | None, path: str, query: dict[str, str]
    ) -> dict[str, Any] | None:
        """The document there; None where it is not for the caller."""
        if self._waiting >= WAITING:
            raise StorageUnavailable("too many ask at once what is shared with them")
        self._waiting += 1
        meant = REFUSED if token is not None else frozenset[int]()
        try:
            _, document = await self._client.ask(
                HTTPMethod.GET, path, query=query, meant=meant, caller=token
            )
        except Absent:
            return None
        finally:
            self._waiting -= 1
        return document if isinstance(document, dict) else None


def open_caller_images(cloud: str | None = None) -> GlanceCallerImages:
    """Of *cloud* in clouds.yaml, in OS_CLOUD, or in what OS_ says; raises StorageUnavailable.

    The service user finds it in the catalogue, and asks where nobody has signed in.
    """
    opened = open_session("image", cloud)
    client = GlanceClient(
        opened.session,
        region=opened.region,
        interface=opened.interface,
        endpoint=opened.endpoint,
        timeout=TIMEOUT,
    )
    return GlanceCallerImages(client)
