"""Bytes out of Swift: extents of objects, one after the other, never fewer than were asked for."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace
from http import HTTPMethod, HTTPStatus
from itertools import zip_longest
from typing import Final

from registry.oci.errors import StorageUnavailable
from registry.storage.swift.account import Request, SwiftAccount
from registry.storage.swift.names import Place
from registry.storage.swift.wire import Connection, Disconnected
from registry.storage.work import PIECE

NEWEST: Final = {"X-Newest": "true"}
"""Ask every replica, and believe the one that was written last."""
RESUMES: Final = 3
"""How often one extent may be taken up again where it broke off."""
AHEAD: Final = 4 * PIECE
"""Bytes before an extent's end at which the next one is asked for."""


@dataclass(frozen=True, slots=True)
class Extent:
    """Bytes *start* to *stop* of an object; *whole*: all that it has."""

    place: Place
    start: int
    stop: int
    whole: bool = False
    etag: str = ""
    """What the object's must be, if known."""


async def read(account: SwiftAccount, extents: Sequence[Extent]) -> AsyncIterator[bytes]:
    """*extents* in order; the next one is asked for before one has wholly come.

    An extent that breaks off is taken up again where it broke off, a few times.
    """
    ahead: asyncio.Task[Connection] | None = None
    try:
        for extent, following in zip_longest(extents, extents[1:]):
            opened, ahead = ahead, None
            at, rest, resumes = extent.start, extent, 0
            while at < extent.stop:
                connection = await (opened or _open(account, rest))
                opened = None
                try:
                    async for piece in connection.body():
                        at += len(piece)
                        if ahead is None and following and extent.stop - at <= AHEAD:
                            ahead = asyncio.create_task(_open(account, following))
                        yield piece
                except Disconnected as error:
                    resumes += 1
                    if resumes > RESUMES:
                        raise StorageUnavailable(f"Swift broke off a reading: {error}") from error
                    rest = replace(extent, start=at, whole=False)
                finally:
                    account.give(connection)
    finally:
        if ahead is not None:
            ahead.add_done_callback(lambda task: _drop(account, task))
            ahead.cancel()


def _drop(account: SwiftAccount, task: asyncio.Task[Connection]) -> None:
    if not task.cancelled() and task.exception() is None:
        account.give(task.result())


async def _open(account: SwiftAccount, extent: Extent) -> Connection:
    """The connection on which exactly the bytes of *extent* come.

    A 404 is asked once more of all replicas; then StorageUnavailable is raised.
    """
    headers = {} if extent.whole else {"Range": f"bytes={extent.start}-{extent.stop - 1}"}
    expected = HTTPStatus.OK if extent.whole else HTTPStatus.PARTIAL_CONTENT
    for more in ({}, NEWEST):
        request = Request(
            method=HTTPMethod.GET,
            container=extent.place.container,
            name=extent.place.name,
            headers={**headers, **more},
            accept=(expected, HTTPStatus.NOT_FOUND, HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE),
        )
        connection = await account.reach(request)
        head = await connection.head()
        exact = head.status == expected and head.length == extent.stop - extent.start
        if exact and extent.etag in {"", head.etag}:
            return connection
        account.give(connection)
        if head.status != HTTPStatus.NOT_FOUND:
            raise StorageUnavailable("an object is not what was recorded: shorter, or another")
    raise StorageUnavailable("an object is missing")
