"""HTTP/1.1 messages on their way through a proxy: a head that is read, a body that is passed on."""

import asyncio
import contextlib
import re
import socket
import struct
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Self

PIECE = 64 * 1024
END = b"\r\n\r\n"
_BODILESS = frozenset({204, 304})
PAUSE = 0.03
"""Seconds between the pieces of what comes slowly, which are few."""
SLOW_PIECES = 6


@dataclass(frozen=True, slots=True)
class Head:
    """A request's or an answer's first line and headers, as they came."""

    raw: bytes
    first: str
    headers: dict[str, str]
    """Names in lower case; the last of several."""

    @classmethod
    async def read(cls, reader: asyncio.StreamReader) -> Self:
        """Raises IncompleteReadError where the connection ends before."""
        raw = await reader.readuntil(END)
        first, *lines = raw.decode("latin-1").removesuffix("\r\n\r\n").split("\r\n")
        pairs = (line.partition(":") for line in lines)
        return cls(raw, first, {name.lower(): value.strip() for name, _, value in pairs})

    @property
    def method(self) -> str:
        return self.first.split(" ", 1)[0]

    @property
    def target(self) -> str:
        return self.first.split(" ")[1]

    @property
    def status(self) -> int:
        return int(self.first.split(" ")[1])

    @property
    def length(self) -> int | None:
        """Bytes of the body, if announced."""
        text = self.headers.get("content-length", "")
        return int(text) if text.isdecimal() else None

    @property
    def is_chunked(self) -> bool:
        return self.headers.get("transfer-encoding", "").lower() == "chunked"

    @property
    def has_body(self) -> bool:
        """Whether a request has one."""
        return self.is_chunked or bool(self.length)

    @property
    def waits(self) -> bool:
        """Whether a request's body comes only once it is asked for."""
        return self.headers.get("expect", "").lower() == "100-continue"

    def without(self, name: str) -> bytes:
        """The bytes, less one header."""
        return re.sub(rb"(?im)^%b:[^\r]*\r\n" % name.encode(), b"", self.raw)

    def replaced(self, name: str, value: str) -> bytes:
        """The bytes, one header with another value."""
        pattern = rb"(?im)^(%b:)[^\r]*\r\n" % name.encode()
        return re.sub(pattern, rb"\g<1> " + value.encode() + rb"\r\n", self.raw)


def ends_at_close(answer: Head, method: str) -> bool:
    """Whether only the connection's end is the end of an answer's body."""
    bodiless = method == "HEAD" or answer.status in _BODILESS
    return not bodiless and answer.length is None and not answer.is_chunked


def answer_body(reader: asyncio.StreamReader, answer: Head, method: str) -> AsyncIterator[bytes]:
    """An answer's body as it comes."""
    if method == "HEAD" or answer.status in _BODILESS:
        return _exactly(reader, 0)
    return _to_the_end(reader) if ends_at_close(answer, method) else body(reader, answer)


def body(reader: asyncio.StreamReader, head: Head) -> AsyncIterator[bytes]:
    """A body as it comes, the chunks' own lines too; raises IncompleteReadError if it breaks."""
    return _chunks(reader) if head.is_chunked else _exactly(reader, head.length or 0)


async def _exactly(reader: asyncio.StreamReader, size: int) -> AsyncIterator[bytes]:
    while size:
        data = await reader.read(min(size, PIECE))
        if not data:
            raise asyncio.IncompleteReadError(data, size)
        size -= len(data)
        yield data


async def _chunks(reader: asyncio.StreamReader) -> AsyncIterator[bytes]:
    size = -1
    while size:
        line = await reader.readuntil(b"\r\n")
        size = int(line.partition(b";")[0], 16)
        yield line
        async for data in _exactly(reader, size + 2):  # of the last one, the empty line
            yield data


async def _to_the_end(reader: asyncio.StreamReader) -> AsyncIterator[bytes]:
    while data := await reader.read(PIECE):
        yield data


def plain(status: int, content: bytes = b"") -> bytes:
    head = f"HTTP/1.1 {status} Spoilt\r\nContent-Length: {len(content)}\r\n"
    return (head if status != 204 else "HTTP/1.1 204 No Content\r\n").encode() + b"\r\n" + content


async def write(writer: asyncio.StreamWriter, data: bytes) -> None:
    writer.write(data)
    await writer.drain()


async def write_slowly(writer: asyncio.StreamWriter, data: bytes) -> None:
    step = max(1, min(PIECE, len(data)) // SLOW_PIECES)
    for at in range(0, len(data), step):
        await write(writer, data[at : at + step])
        await asyncio.sleep(PAUSE)


def reset(writer: asyncio.StreamWriter) -> None:
    """End a connection at once; where something was left to say, with a RST."""
    sock = writer.get_extra_info("socket")
    if sock is not None and not writer.transport.is_closing():
        with contextlib.suppress(OSError):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
