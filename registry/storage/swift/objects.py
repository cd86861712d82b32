"""Single objects in Swift: written, read, looked at, deleted."""

import asyncio
import contextlib
import hashlib
import json
from collections.abc import AsyncIterator, Coroutine, Iterable, Mapping, Sequence
from http import HTTPMethod, HTTPStatus
from typing import Any, Final, TypeVar
from urllib.parse import urlencode

from registry.oci.errors import RegistryError, StorageUnavailable
from registry.storage.swift import reading
from registry.storage.swift.account import Request, SwiftAccount
from registry.storage.swift.leftovers import Leftovers
from registry.storage.swift.names import Place
from registry.storage.swift.reading import NEWEST, Extent
from registry.storage.swift.sink import EarlySink, Sink
from registry.storage.swift.wire import Head
from registry.storage.work import in_thread

AT_ONCE: Final = 8
"""Requests of one caller, where many are wanted."""
PAGE: Final = 10_000
"""Entries of one listing: Swift's own limit."""
BYTES: Final = {"Content-Type": "application/octet-stream"}
FIRST_ONLY: Final = {"If-None-Match": "*"}
WRITTEN: Final = (HTTPStatus.CREATED, HTTPStatus.PRECONDITION_FAILED)
"""What a PUT is answered that is for the first one only."""

Answer = TypeVar("Answer")


async def all_of(work: Iterable[Coroutine[None, None, Answer]]) -> list[Answer]:
    """What all of *work*, done at once, answers; all of it has ended before any error is raised."""
    answers: list[Answer] = []
    for outcome in await asyncio.gather(*work, return_exceptions=True):
        if isinstance(outcome, BaseException):
            raise outcome
        answers.append(outcome)
    return answers


def _md5(content: bytes) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


class Objects:
    """Objects of one account."""

    def __init__(self, account: SwiftAccount) -> None:
        self.account = account
        self.leftovers = Leftovers()

    # -- writing --------------------------------------------------------------------------------

    async def put(
        self,
        place: Place,
        content: bytes,
        *,
        query: str = "",
        headers: Mapping[str, str] | None = None,
        accept: Sequence[int] = (HTTPStatus.CREATED,),
        etag: str | None = None,
    ) -> Head:
        """Store *content*, whose MD5 (or *etag*) Swift verifies; may be repeated."""
        if etag is None:
            etag = await in_thread(_md5, content)
        request = Request(
            method=HTTPMethod.PUT,
            container=place.container,
            name=place.name,
            query=query,
            headers={**BYTES, **(headers or {}), "ETag": etag},
            content=content,
            accept=accept,
        )
        head, _ = await self.account.ask(request)
        if head.status == HTTPStatus.CREATED and head.etag != etag:
            raise StorageUnavailable("what Swift stored is not what was sent to it")
        return head

    async def begin(self, place: Place, size: int | None, *, etag: str | None = None) -> Sink:
        """Begin an object of *size* bytes (None: as many as come); Swift waits for them.

        Where their MD5 is known beforehand (*etag*), Swift makes nothing of other ones.
        """
        length = {"Transfer-Encoding": "chunked"} if size is None else {"Content-Length": str(size)}
        request = Request(
            method=HTTPMethod.PUT,
            container=place.container,
            name=place.name,
            headers={**BYTES, **length, **({} if etag is None else {"ETag": etag})},
            content=None,
            accept=(),
        )
        return Sink(self.account, request, await self.account.reach(request))

    def begin_early(self, place: Place, size: int) -> EarlySink:
        """The same, which takes bytes before Swift waits for them."""
        return EarlySink(self.begin(place, size))

    async def make(self, containers: Sequence[str]) -> None:
        """Make *containers*, some at once. One that fails is made when it is first written to.

        That takes three requests, for which whoever writes first would wait.
        """
        requests = [Request(method=HTTPMethod.PUT, container=each) for each in containers]
        for at in range(0, len(requests), AT_ONCE):
            with contextlib.suppress(RegistryError):
                await all_of(map(self.account.ask, requests[at : at + AT_ONCE]))

    async def mark(self, place: Place, headers: Mapping[str, str]) -> None:
        """Give an object these X-Object-Meta headers, instead of those that it had."""
        await self.account.ask(
            Request(
                method=HTTPMethod.POST,
                container=place.container,
                name=place.name,
                headers=headers,
            )
        )

    # -- reading --------------------------------------------------------------------------------

    async def head(self, place: Place) -> Head | None:
        """An object's headers, from whichever replica was written last; None: it is not there."""
        request = Request(
            method=HTTPMethod.HEAD,
            container=place.container,
            name=place.name,
            headers=NEWEST,
            accept=(HTTPStatus.OK, HTTPStatus.NOT_FOUND),
        )
        head, _ = await self.account.ask(request)
        return head if head.status == HTTPStatus.OK else None

    async def get(self, place: Place, query: str = "") -> bytes | None:
        """All of a small object, from whichever replica was written last; None: not there."""
        request = Request(
            method=HTTPMethod.GET,
            container=place.container,
            name=place.name,
            query=query,
            headers=NEWEST,
            accept=(HTTPStatus.OK, HTTPStatus.NOT_FOUND),
        )
        head, content = await self.account.ask(request)
        return content if head.status == HTTPStatus.OK else None

    def read(
        self, place: Place, start: int, stop: int, *, whole: bool = False, etag: str = ""
    ) -> AsyncIterator[bytes]:
        """Bytes *start* to *stop*, never fewer; *whole*: they are all that the object has."""
        return reading.read(self.account, [Extent(place, start, stop, whole, etag)])

    # -- deleting and listing -------------------------------------------------------------------

    async def delete(self, place: Place) -> None:
        """Remove an object; of a large one its manifest only. Idempotent."""
        request = Request(
            method=HTTPMethod.DELETE,
            container=place.container,
            name=place.name,
            accept=(HTTPStatus.NO_CONTENT, HTTPStatus.NOT_FOUND),
        )
        await self.account.ask(request)

    async def delete_all(self, places: Sequence[Place]) -> None:
        """Remove *places*, some at once."""
        for at in range(0, len(places), AT_ONCE):
            await all_of(map(self.delete, places[at : at + AT_ONCE]))

    def forget(self, *places: Place) -> None:
        """Remove *places* some time soon: nobody will ask for them."""
        if places:
            self.leftovers.add(self.delete_all(places))

    async def listing(self, container: str, **query: str) -> AsyncIterator[dict[str, Any]]:
        """Entries of a container's listing, which may lag behind the container.

        All that match *query*, or as many as its ``limit`` says.
        """
        while True:
            request = Request(
                method=HTTPMethod.GET,
                container=container,
                query=urlencode({"format": "json", "limit": str(PAGE), **query}),
                accept=(HTTPStatus.OK, HTTPStatus.NO_CONTENT, HTTPStatus.NOT_FOUND),
            )
            head, content = await self.account.ask(request)
            page = json.loads(content) if head.status == HTTPStatus.OK else []
            for entry in page:
                yield entry
            if len(page) < PAGE or "limit" in query:
                return
            query["marker"] = str(page[-1].get("name") or page[-1].get("subdir"))
