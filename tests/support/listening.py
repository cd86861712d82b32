"""A server of streams within a test: in its end nobody is connected to it any more.

asyncio's own leaves connections behind that come while it closes: one between its accepting and
its callback, one whose task is cancelled before its first step and so runs no `finally`.
"""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
BACKLOG = 100


@asynccontextmanager
async def listening(
    serve: Serve, *, limit: int = 1024 * 1024, tls: ssl.SSLContext | None = None
) -> AsyncIterator[int]:
    """Yield the port, on the loopback, of a server that has *serve* talk with each client.

    A connection ends with its talk. *limit*: bytes of a head at most.
    """
    loop = asyncio.get_running_loop()
    talks: set[asyncio.Task[None]] = set()

    async def talk(connection: socket.socket) -> None:
        reader = asyncio.StreamReader(limit)
        protocol = asyncio.StreamReaderProtocol(reader)
        try:
            transport, _ = await loop.connect_accepted_socket(lambda: protocol, connection, ssl=tls)
        except OSError:  # it does not trust us, or has gone
            return
        writer = asyncio.StreamWriter(transport, protocol, reader, loop)
        try:
            await serve(reader, writer)
        finally:
            transport.abort()

    def accept() -> None:
        with contextlib.suppress(BlockingIOError, ConnectionError):
            connection, _ = listener.accept()
            connection.setblocking(False)
            task = asyncio.create_task(talk(connection))
            talks.add(task)
            task.add_done_callback(talks.discard)
            task.add_done_callback(lambda _: connection.close())

    with socket.create_server(("127.0.0.1", 0), backlog=BACKLOG) as listener:
        listener.setblocking(False)
        loop.add_reader(listener, accept)
        try:
            yield listener.getsockname()[1]
        finally:
            loop.remove_reader(listener)
            ended = list(talks)
            for task in ended:
                task.cancel()
            await asyncio.gather(*ended, return_exceptions=True)
