"""A proxy before a real service that spoils some requests and answers, by rule."""

import asyncio
import contextlib
import re
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Self
from urllib.parse import urlsplit, urlunsplit

from support.listening import listening

PIECE = 64 * 1024


@dataclass(slots=True)
class Fault:
    """What happens to a request; of several kinds the first that is set."""

    status: int | None = None
    """Answered at once, the service sees nothing; with *body*."""
    body: bytes = b""
    refuses: bool = False
    """The connection ends before the service sees anything."""
    hangs: bool = False
    """Nothing is ever answered."""
    loses_answer: bool = False
    """The service has done all, and the connection ends."""
    cuts_request: int | None = None
    """The service sees so many bytes, head included, and the connections end."""
    flips: bool = False
    """The service sees one bit of the body that is another."""
    cuts_answer: int | None = None
    """So many bytes of the answer's body come."""
    header: tuple[bytes, bytes] | None = None
    """A header of the answer has this value."""


@dataclass(slots=True)
class Rule:
    """To the requests whose first line matches *pattern*, *skip* left out, *times* at most."""

    pattern: str
    fault: Fault
    times: int = 1
    skip: int = 0
    head: str = ""
    """A pattern that the rest of the head must match."""

    def applies(self, head: str) -> bool:
        first, _, rest = head.partition("\r\n")
        if not re.search(self.pattern, first) or not re.search(self.head, rest, re.IGNORECASE):
            return False
        if self.skip:
            self.skip -= 1
            return False
        self.times -= 1
        return self.times >= 0


@dataclass
class FaultProxy:
    """One request a connection; what it was asked is remembered."""

    target: str
    url: str = ""
    rules: list[Rule] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)
    """First lines."""

    @classmethod
    @asynccontextmanager
    async def before(cls, url: str, tls: ssl.SSLContext | None = None) -> AsyncIterator[Self]:
        """A proxy before the service at *url*; its own ``url`` has the same path."""
        proxy = cls(url)
        async with listening(proxy._serve, tls=tls) as port:
            scheme = "https" if tls else "http"
            address = f"127.0.0.1:{port}"
            proxy.url = urlunsplit(urlsplit(url)._replace(scheme=scheme, netloc=address))
            yield proxy

    def spoil(
        self, pattern: str, *, times: int = 1, skip: int = 0, head: str = "", **how: object
    ) -> None:
        """From now on do *how* (see Fault) to what matches (see Rule)."""
        self.rules.append(Rule(pattern, Fault(**how), times, skip, head))  # type: ignore[arg-type]

    def asked(self, pattern: str) -> int:
        """How many requests matched."""
        return sum(bool(re.search(pattern, line)) for line in self.requests)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            head = await reader.readuntil(b"\r\n\r\n")
            text = head.decode("latin-1")
            self.requests.append(text.partition("\r\n")[0])
            fault = next((rule.fault for rule in self.rules if rule.applies(text)), Fault())
            await self._exchange(head, fault, reader, writer)

    async def _exchange(
        self,
        head: bytes,
        fault: Fault,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        if fault.refuses:
            return
        if fault.hangs:
            await reader.read()
        if fault.status is not None:
            if b"100-continue" not in head:
                length = re.search(rb"content-length: *(\d+)", head, re.IGNORECASE)
                await reader.readexactly(int(length[1]) if length else 0)
            lines = f"HTTP/1.1 {fault.status} Spoilt\r\nContent-Length: {len(fault.body)}\r\n"
            writer.write(lines.encode() + b"Connection: close\r\n\r\n" + fault.body)
            await writer.drain()
            writer.close()
            await writer.wait_closed()
            return
        address = urlsplit(self.target)
        inner_reader, inner_writer = await asyncio.open_connection(
            address.hostname, address.port, limit=1024 * 1024
        )
        sending = asyncio.create_task(_pump_request(head, fault, reader, inner_writer))
        try:
            await _pump_answer(fault, inner_reader, writer)
        finally:
            sending.cancel()
            await asyncio.gather(sending, return_exceptions=True)
            inner_writer.transport.abort()


async def _pump_request(
    head: bytes, fault: Fault, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    left, flips = fault.cuts_request, fault.flips
    alone = re.sub(rb"(?i)\r\nconnection: [^\r]*", b"", head)
    data = alone.replace(b"\r\n", b"\r\nConnection: close\r\n", 1)
    try:
        while data and left != 0:
            if left is not None:
                data = data[:left]
                left -= len(data)
            writer.write(data)
            await writer.drain()
            if left != 0:
                data = await reader.read(PIECE)
                if flips and data:
                    data, flips = data[:-1] + bytes([data[-1] ^ 1]), False
    finally:
        writer.transport.abort()  # cut, or the client has gone


async def _pump_answer(
    fault: Fault, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    head = b"HTTP/1.1 100 "
    while head.startswith(b"HTTP/1.1 100 "):
        head = await reader.readuntil(b"\r\n\r\n")
        if head.startswith(b"HTTP/1.1 100 "):
            writer.write(head)
    if fault.loses_answer:
        await reader.read()
        return
    if fault.header is not None:
        name, value = fault.header
        head = re.sub(rb"(?i)\r\n%b: [^\r]*" % name, rb"\r\n%b: %b" % (name, value), head)
    writer.write(head)
    left = fault.cuts_answer
    while data := await reader.read(PIECE):
        if left is not None:
            data = data[:left]
            left -= len(data)
        writer.write(data)
        await writer.drain()
        if left == 0:
            break
    writer.close()
    await writer.wait_closed()
