"""Static large objects: made of segments, looked at, and deleted with those that are their own.

Whoever closes an upload and whoever took it over may both make large objects of its segments, and
one of them is retracted then. So a large object owns its segments only once it says so, after the
ledger has taken it: until then a delete leaves them. Parts that bear its uuid are always its own.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from http import HTTPMethod, HTTPStatus
from typing import Any, Final

from registry.oci.errors import StorageUnavailable
from registry.storage.swift.account import Request
from registry.storage.swift.names import Names, Place, own_name
from registry.storage.swift.objects import Objects, all_of

MOST: Final = 1000
"""Segments of one manifest (``max_manifest_segments``); beyond it manifests hold manifests."""
INNER: Final = 1_000_000
"""The first of those is numbered so."""
PUT: Final = "multipart-manifest=put"
UPLOAD: Final = "x-object-meta-berth-upload"
OWNS: Final = "x-object-meta-berth-owns"


@dataclass(frozen=True, slots=True)
class Stored:
    """An object that is to be a segment, or that was made of segments."""

    place: Place
    size: int
    """Bytes."""
    etag: str


class LargeObjects:
    """Large objects whose segments lie in the container of uploads."""

    def __init__(self, objects: Objects, names: Names) -> None:
        self._objects = objects
        self._names = names

    async def put(
        self, name: str, upload: str, segments: Sequence[Stored], *, owns: bool = False
    ) -> None:
        """Make object *name* of *segments*, each of the size and ETag that is told; look at it."""
        number = INNER
        while len(segments) > MOST:
            groups = [segments[at : at + MOST] for at in range(0, len(segments), MOST)]
            segments = []
            for group in groups:
                whole, content = manifest(self._names.own_part(upload, name, number), group)
                await self._objects.put(whole.place, content, query=PUT, etag=whole.etag)
                segments.append(whole)
                number += 1
        whole, content = manifest(self._names.object(name), segments)
        headers = _owner(upload) if owns else {UPLOAD: upload}
        await all_of(
            [
                self._objects.put(
                    whole.place, content, query=PUT, etag=whole.etag, headers=headers
                ),
                # Whoever would drop the upload's segments looks for this first.
                self._objects.put(self._names.used(upload), name.encode()),
            ]
        )
        head = await self._objects.head(whole.place)
        if (
            head is None
            or not head.is_large
            or (head.length, head.etag)
            != (
                whole.size,
                whole.etag,
            )
        ):
            raise StorageUnavailable("Swift does not show the large object that it took")

    async def own(self, name: str, upload: str) -> None:
        """Let object *name*, which the ledger has taken, own all its segments."""
        await self._objects.mark(self._names.object(name), _owner(upload))

    async def delete(self, name: str) -> None:
        """Remove an object, large or not, with the segments that are its own. Idempotent."""
        place = self._names.object(name)
        head = await self._objects.head(place)
        if head is None:
            return
        if head.is_large and OWNS in head.headers:
            await self._delete_with_segments(place)
            self._objects.forget(self._names.used(head.headers[UPLOAD]))
            return
        if head.is_large:
            await self._objects.delete_all(await self._own_parts(place, own_name(name)))
        await self._objects.delete(place)

    async def _delete_with_segments(self, place: Place) -> None:
        request = Request(
            method=HTTPMethod.DELETE,
            container=place.container,
            name=place.name,
            query="multipart-manifest=delete",
            headers={"Accept": "application/json"},
            accept=(HTTPStatus.OK,),
        )
        _, content = await self._objects.account.ask(request)
        report = _parsed(content)
        # The answer is a 200 whatever happened: only this tells.
        status = str(report.get("Response Status"))
        if not status.startswith("200") or report.get("Errors") or not report.get("Number Deleted"):
            raise StorageUnavailable(f"Swift deleted a large object in part only: {status}")

    async def _own_parts(self, place: Place, own: str) -> list[Place]:
        content = await self._objects.get(place, "multipart-manifest=get")
        found: list[Place] = []
        for entry in _parsed(content or b"[]"):
            container, _, name = str(entry["name"]).lstrip("/").partition("/")
            part = Place(container, name)
            if name.split("/")[1:2] == [own]:
                if entry.get("sub_slo"):
                    found += await self._own_parts(part, own)
                found.append(part)
        return found


def manifest(place: Place, segments: Sequence[Stored]) -> tuple[Stored, bytes]:
    """What will be at *place*, and the manifest that makes it of *segments*."""
    etags = "".join(segment.etag for segment in segments)
    etag = hashlib.md5(etags.encode(), usedforsecurity=False).hexdigest()
    entries = [
        {"path": segment.place.path, "size_bytes": segment.size, "etag": segment.etag}
        for segment in segments
    ]
    size = sum(segment.size for segment in segments)
    return Stored(place, size, etag), json.dumps(entries).encode()


def _owner(upload: str) -> dict[str, str]:
    return {UPLOAD: upload, OWNS: "segments"}


def _parsed(content: bytes) -> Any:
    try:
        return json.loads(content)
    except ValueError as error:
        raise StorageUnavailable("Swift answered what is no JSON") from error
