"""An object on its way into Swift, whose bytes come piece by piece."""

import asyncio
import hashlib
from collections.abc import Coroutine, Sequence
from http import HTTPStatus
from typing import Final

from registry.oci.errors import StorageUnavailable
from registry.storage.swift.account import Request, SwiftAccount, refusal
from registry.storage.swift.wire import Connection, Disconnected, Head
from registry.storage.work import PIECE, hash_all, in_thread

LAST_CHUNK: Final = b"0\r\n\r\n"
AHEAD: Final = 4 * PIECE
"""Bytes that are held while Swift takes note of an object."""


class Sink:
    """The body of one PUT: there is an object only once ``finish`` has answered.

    Before that, ``abort`` leaves nothing. One caller at a time.
    """

    def __init__(self, account: SwiftAccount, request: Request, connection: Connection) -> None:
        self._account = account
        self._request = request
        self._connection: Connection | None = connection
        self._chunked = "Content-Length" not in request.headers
        self._md5 = hashlib.md5(usedforsecurity=False)
        self._hashing: asyncio.Future[None] | None = None

    async def send(self, buffers: Sequence[bytes]) -> None:
        """Send *buffers*, none empty; raises StorageUnavailable or StorageFull: nothing is left."""
        connection = self._open()
        try:
            await self._hashed()
            self._hashing = in_thread(hash_all, self._md5, buffers)
            if self._chunked:
                size = sum(map(len, buffers))
                buffers = [b"%x\r\n" % size, *buffers, b"\r\n"]
            if not await connection.send(buffers):
                self._check(await connection.head())
        except Disconnected as error:
            self.abort()
            raise _broken(error) from error
        except BaseException:
            self.abort()
            raise

    async def finish(self) -> str:
        """End the object; answer the MD5 of what was sent, which Swift has confirmed, in hex.

        Raises StorageUnavailable or StorageFull: then the object may be there all the same.
        """
        connection = self._open()
        try:
            await self._hashed()
            if self._chunked:
                await connection.send([LAST_CHUNK])
            connection.end()
            head = await connection.head()
            self._check(head)
            async for _ in connection.body():
                pass
        except Disconnected as error:
            raise _broken(error) from error
        finally:
            self._let_go()
        etag = self._md5.hexdigest()
        if head.etag != etag:
            raise StorageUnavailable("what Swift stored is not what was sent to it")
        return etag

    def abort(self) -> None:
        """Drop the connection, so that there is no object. Idempotent; not after ``finish``."""
        if self._connection is not None:
            self._connection.abort()
            self._let_go()

    def _check(self, head: Head) -> None:
        if head.status != HTTPStatus.CREATED:
            raise refusal(self._request, head)

    def _open(self) -> Connection:
        if self._connection is None:
            raise StorageUnavailable("the object's connection was dropped")
        return self._connection

    def _let_go(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            self._account.give(connection)

    async def _hashed(self) -> None:
        if self._hashing is not None:
            await asyncio.shield(self._hashing)


class EarlySink:
    """A sink that is only being opened: until it is, what is sent is held, AHEAD bytes of it.

    Swift takes some 15 ms for a beginning, in which as much as that comes and can be hashed.
    """

    def __init__(self, opening: Coroutine[None, None, Sink]) -> None:
        self._opening = asyncio.ensure_future(opening)
        self._held: list[bytes] = []
        self._size = 0

    async def send(self, buffers: Sequence[bytes]) -> None:
        """As of a sink; whether Swift wants the object may show later than with the first one."""
        self._held += buffers
        self._size += sum(map(len, buffers))
        if self._opening.done() or self._size > AHEAD:
            await self._flushed()

    async def finish(self) -> str:
        """As of a sink."""
        sink = await self._flushed()
        return await sink.finish()

    def abort(self) -> None:
        """As of a sink."""
        self._held = []
        if self._opening.done():
            _drop(self._opening)
        else:
            self._opening.add_done_callback(_drop)
            self._opening.cancel()

    async def _flushed(self) -> Sink:
        sink = await self._opening
        held, self._held, self._size = self._held, [], 0
        if held:
            await sink.send(held)
        return sink


def _drop(opening: asyncio.Future[Sink]) -> None:
    if not opening.cancelled() and opening.exception() is None:
        opening.result().abort()


def _broken(error: Disconnected) -> StorageUnavailable:
    return StorageUnavailable(f"Swift broke off an object on its way: {error}")
