"""Whole objects, read as fast as Swift can give them: large ones segment by segment.

An object server hashes (MD5, on one core) what is read from an object's byte 0 on; from any other
byte on it is twice as fast. So the first bytes come by a request of their own. Nothing is lost by
it: who pulls checks the digest that he asked for, and Swift's auditors hash what lies there.
"""

import json
from collections import OrderedDict
from collections.abc import AsyncIterator
from http import HTTPMethod, HTTPStatus
from typing import Final

from registry.oci.errors import StorageUnavailable
from registry.storage.swift import reading
from registry.storage.swift.account import Request, SwiftAccount
from registry.storage.swift.names import Place
from registry.storage.swift.reading import NEWEST, Extent
from registry.storage.swift.wire import Head
from registry.storage.work import PIECE

SPLIT: Final = 16 * PIECE
"""Bytes from which an object or a segment is worth a request more."""
STEP: Final = 64 * 1024
KNOWN: Final = 1024
"""Objects of which it is remembered how they are made: that never changes."""


class Layouts:
    """How objects are made, and so how they are best read."""

    def __init__(self, account: SwiftAccount) -> None:
        self._account = account
        self._known: OrderedDict[tuple[Place, int], list[Extent]] = OrderedDict()

    async def read(self, place: Place, size: int) -> AsyncIterator[bytes]:
        """All of an object, whose *size* in bytes is SPLIT at least."""
        extents = self._known.get((place, size))
        if extents is None:
            head, content = await self._look(place)
            if head.is_large:
                extents = _of_segments(place, size, content)
            elif head.total != size:
                raise _other_length(place)
            else:
                yield content
                rest = Extent(place, len(content), size, etag=head.etag)
                async for piece in reading.read(self._account, [rest]):
                    yield piece
                self._know(place, size, _in_steps(place, size, head.etag))
                return
            self._know(place, size, extents)
        async for piece in reading.read(self._account, extents):
            yield piece

    async def _look(self, place: Place) -> tuple[Head, bytes]:
        """A large object's manifest, or the first PIECE of a plain one."""
        for more in ({}, NEWEST):
            request = Request(
                method=HTTPMethod.GET,
                container=place.container,
                name=place.name,
                query="multipart-manifest=get",
                headers={"Range": f"bytes=0-{PIECE - 1}", **more},
                accept=(HTTPStatus.PARTIAL_CONTENT, HTTPStatus.NOT_FOUND),
            )
            head, content = await self._account.ask(request)
            if head.status == HTTPStatus.PARTIAL_CONTENT:
                return head, content
        raise StorageUnavailable("an object is missing")

    def _know(self, place: Place, size: int, extents: list[Extent]) -> None:
        self._known[place, size] = extents
        if len(self._known) > KNOWN:
            self._known.popitem(last=False)


def _in_steps(place: Place, size: int, etag: str) -> list[Extent]:
    if size < SPLIT:
        return [Extent(place, 0, size, whole=True, etag=etag)]
    return [Extent(place, 0, STEP, etag=etag), Extent(place, STEP, size, etag=etag)]


def _of_segments(place: Place, size: int, manifest: bytes) -> list[Extent]:
    """The extents of a large object; nested ones are read as Swift puts them together."""
    extents: list[Extent] = []
    found = 0
    try:
        for entry in json.loads(manifest):
            container, _, name = str(entry["name"]).lstrip("/").partition("/")
            found += int(entry["bytes"])
            segment = Place(container, name)
            if entry.get("sub_slo"):
                extents.append(Extent(segment, 0, entry["bytes"], whole=True))
            else:
                extents += _in_steps(segment, entry["bytes"], entry["hash"])
    except (ValueError, TypeError, KeyError) as error:
        raise StorageUnavailable("Swift answered what is no manifest") from error
    if found != size:
        raise _other_length(place)
    return extents


def _other_length(place: Place) -> StorageUnavailable:
    return StorageUnavailable(f"{place.name} is not of the length that was recorded")
