"""Connections to one server, used again and never more than so many at once."""

import asyncio
import ssl
import time
import weakref
from typing import Final
from urllib.parse import urlsplit

from registry.storage.swift.wire import Connection, Disconnected

LIMIT: Final = 256
"""Connections at once: a slow pull holds one for as long as it takes."""
IDLE: Final = 20.0
"""Seconds after which an unused connection is not trusted any more (Swift's own limit is 60)."""
CONNECT: Final = 10.0
"""Seconds for a server to take a connection."""


class Pool:
    """Connections to the server of *url*, whose every wait ends after *seconds*."""

    def __init__(
        self, url: str, tls: ssl.SSLContext | None, *, limit: int = LIMIT, seconds: float
    ) -> None:
        parts = urlsplit(url)
        self._address = parts.hostname or "", parts.port or (443 if tls else 80)
        self._host = parts.netloc.rpartition("@")[2]
        self._tls = tls
        self._seconds = seconds
        self._slots = asyncio.Semaphore(limit)
        self._idle: list[tuple[float, Connection]] = []
        self._all: weakref.WeakSet[Connection] = weakref.WeakSet()
        self._closed = False

    async def take(self) -> Connection:
        """A connection on which an exchange may begin; raises Disconnected."""
        try:
            async with asyncio.timeout(self._seconds):
                await self._slots.acquire()
        except TimeoutError:
            raise Disconnected("every connection is in use") from None
        try:
            return self._take_idle() or await self._connect()
        except BaseException:
            self._slots.release()
            raise

    def give(self, connection: Connection) -> None:
        """Take *connection* back; where its exchange is not over it is dropped."""
        if connection.usable and not self._closed:
            self._idle.append((time.monotonic(), connection))
        else:
            connection.abort()
        self._slots.release()

    async def close(self) -> None:
        """Drop every connection, those in use too."""
        self._closed = True
        self._idle.clear()
        for connection in list(self._all):
            connection.abort()
            await connection.gone.wait()

    def _take_idle(self) -> Connection | None:
        while self._idle:
            since, connection = self._idle.pop()
            if connection.usable and time.monotonic() - since < IDLE:
                return connection
            connection.abort()
        return None

    async def _connect(self) -> Connection:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(min(CONNECT, self._seconds)):
                _, connection = await loop.create_connection(
                    lambda: Connection(self._host, self._seconds), *self._address, ssl=self._tls
                )
        except (OSError, TimeoutError) as error:  # ssl.SSLError is an OSError
            raise Disconnected(f"no connection: {type(error).__name__}") from error
        self._all.add(connection)
        return connection
