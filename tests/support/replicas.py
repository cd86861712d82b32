"""Several servers on one ledger and one store, behind a proxy that sends each request elsewhere."""

import asyncio
import contextlib
import re
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from support.environment import temporary_directory
from support.listening import listening
from support.server import Account, Server, Settings, running_server

PIECE = 64 * 1024


@dataclass
class Alternator:
    """A proxy on the loopback: every request goes to the server after the last one's.

    One request a connection, so that a client that keeps connections is sent round as well.
    """

    addresses: Sequence[str]
    address: str = ""
    sent: list[str] = field(default_factory=list)
    """Where each request went, by its number."""

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """In a thread of its own, with a loop of its own."""
        started = threading.Event()
        ended = asyncio.Event()
        loop = asyncio.new_event_loop()

        async def serve() -> None:
            async with listening(self._serve) as port:
                self.address = f"127.0.0.1:{port}"
                started.set()
                await ended.wait()

        thread = threading.Thread(target=lambda: loop.run_until_complete(serve()), daemon=True)
        thread.start()
        try:
            assert started.wait(30)
            yield
        finally:
            loop.call_soon_threadsafe(ended.set)
            thread.join(30)
            loop.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.transport.set_write_buffer_limits(0)  # drained is all sent
        with contextlib.suppress(OSError, asyncio.IncompleteReadError), contextlib.closing(writer):
            head = await reader.readuntil(b"\r\n\r\n")
            address = self.addresses[len(self.sent) % len(self.addresses)]
            self.sent.append(address)
            host, _, port = address.partition(":")
            inner, outer = await asyncio.open_connection(host, int(port))
            with contextlib.closing(outer.transport):
                head = re.sub(rb"(?i)\r\nconnection:[^\r]*", b"", head)
                outer.write(head.replace(b"\r\n", b"\r\nConnection: close\r\n", 1))
                sending = asyncio.create_task(_pump(reader, outer))
                try:
                    await _pump(inner, writer)
                finally:
                    sending.cancel()
                    await asyncio.gather(sending, return_exceptions=True)


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(PIECE):
        writer.write(data)
        await writer.drain()


@dataclass(frozen=True, slots=True)
class Replicas:
    """Servers that are one registry, and where a client finds them."""

    servers: Sequence[Server]
    alternator: Alternator

    @property
    def address(self) -> str:
        return self.alternator.address

    @property
    def url(self) -> str:
        return f"http://{self.address}"

    @property
    def account(self) -> Account | None:
        return self.servers[0].account

    def logs(self) -> str:
        """All that the servers wrote, one after the other."""
        return "".join(server.log.read_text("utf-8", "replace") for server in self.servers)


@contextlib.contextmanager
def running_replicas(settings: Settings, count: int = 2) -> Iterator[Replicas]:
    """Yield *count* servers on one ledger: the one that is named, else the file beside the data.

    With a cloud they share its containers of the prefix, else one directory.
    """
    with contextlib.ExitStack() as stack:
        data: Path | None = None
        if settings.cloud is None:
            data = stack.enter_context(temporary_directory("data"))
        servers = [
            stack.enter_context(running_server(replace(settings), data=data)) for _ in range(count)
        ]
        alternator = Alternator([server.address for server in servers])
        stack.enter_context(alternator.running())
        yield Replicas(servers, alternator)
