"""One HTTP/1.1 connection to Swift: a request goes out, its answer comes in as it arrives."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPMethod, HTTPStatus
from typing import Final, cast

import httptools

from registry.storage.work import PIECE

HIGH: Final = 2 * PIECE
"""Bytes of an answer that may wait for their reader."""
LOW: Final = PIECE // 2
JOINED: Final = PIECE // 4
"""Bytes up to which pieces are put together: of larger ones the memory is mapped anew each time,
which costs a third more processor time than it saves."""


class Disconnected(Exception):
    """The connection ended, stalled or spoke no HTTP before all was said."""


@dataclass(frozen=True, slots=True)
class Head:
    """An answer's status and headers (names in lower case)."""

    status: int
    headers: Mapping[str, str]

    @property
    def length(self) -> int | None:
        """Bytes of the body, if announced."""
        return _number(self.headers.get("content-length", ""))

    @property
    def total(self) -> int | None:
        """Bytes of all of which the body is a range."""
        return _number(self.headers.get("content-range", "").rpartition("/")[2])

    @property
    def etag(self) -> str:
        """Without the quotes that a large object's has."""
        return self.headers.get("etag", "").strip('"')

    @property
    def is_large(self) -> bool:
        """Whether it is a static large object's."""
        return self.headers.get("x-static-large-object", "").lower() == "true"


def _number(text: str) -> int | None:
    return int(text) if text.isdecimal() else None


class Connection(asyncio.Protocol):
    """One exchange at a time, by one coroutine; each wait on Swift ends after *seconds*."""

    def __init__(self, host: str, seconds: float) -> None:
        self._host = host
        self._seconds = seconds
        self._transport: asyncio.Transport | None = None
        self._loss: str | None = None
        """Why nothing more can come."""
        self._wake: asyncio.Future[None] | None = None
        self.gone = asyncio.Event()
        self._congested = False
        self._pieces: deque[bytes] = deque()
        self._waiting = 0
        """Bytes in the pieces."""
        self._resting = False
        """Whether Swift is kept from sending."""
        self._reset(bodiless=False, sending=False)

    # -- requests -------------------------------------------------------------------------------

    def begin(self, method: HTTPMethod, target: str, headers: Mapping[str, str]) -> None:
        """Send a request's head; all of its body must follow before the connection rests."""
        assert self._transport is not None
        self._reset(bodiless=method is HTTPMethod.HEAD, sending=True)
        lines = [f"{name}: {value}\r\n" for name, value in {"Host": self._host, **headers}.items()]
        head = f"{method} {target} HTTP/1.1\r\n{''.join(lines)}\r\n"
        self._transport.write(head.encode("latin-1"))

    async def send(self, buffers: Sequence[bytes]) -> bool:
        """Send some of the body; False if an answer has come before its end."""
        assert self._transport is not None
        if self._head is None and self._loss is None:
            self._transport.writelines(buffers)
        await self._until(lambda: self._head is not None or not (self._congested or self._loss))
        return self._head is None

    def end(self) -> None:
        """Say that all of the body was sent."""
        self._sending = False

    async def may_go_on(self, seconds: float) -> bool:
        """After ``Expect: 100-continue``: whether the body is wanted. False: see ``head``.

        A server that says nothing for *seconds* gets it anyway (RFC 9110, 10.1.1).
        """
        try:
            async with asyncio.timeout(seconds):
                await self._until(lambda: self._continued or self._head is not None)
        except TimeoutError:
            return True
        return self._head is None

    # -- answers --------------------------------------------------------------------------------

    async def head(self) -> Head:
        """The answer's status and headers."""
        await self._until(lambda: self._head is not None)
        return cast("Head", self._head)

    async def body(self) -> AsyncIterator[bytes]:
        """The answer's body, in pieces of less than PIECE bytes.

        Raises Disconnected unless it came whole.
        """
        while True:
            await self._until(lambda: bool(self._pieces) or self._complete)
            if not self._pieces:
                return
            yield self._take()

    def _take(self) -> bytes:
        pieces = [self._pieces.popleft()]
        size = len(pieces[0])
        while self._pieces and size + len(self._pieces[0]) <= JOINED:
            size += len(self._pieces[0])
            pieces.append(self._pieces.popleft())
        self._waiting -= size
        if self._resting and self._waiting <= LOW and self._transport and not self._loss:
            self._resting = False
            self._transport.resume_reading()
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    # -- the connection's life ------------------------------------------------------------------

    @property
    def usable(self) -> bool:
        """Whether a new exchange may begin."""
        idle = self._complete and not self._sending and not self._resting
        return idle and self._lasting and self._loss is None

    def abort(self) -> None:
        """Drop the connection: of a request that has not ended nothing comes to be."""
        self._fail("dropped")

    def _fail(self, reason: str) -> None:
        self._loss = self._loss or reason
        if self._transport is not None:
            self._transport.abort()
        self._notify()

    def _reset(self, *, bodiless: bool, sending: bool) -> None:
        self._parser = httptools.HttpResponseParser(self)
        self._pieces.clear()  # of an answer that nobody read
        self._waiting = 0
        self._bodiless = bodiless
        self._sending = sending
        self._headers: dict[str, str] = {}
        self._head: Head | None = None
        self._continued = False
        self._complete = not sending
        self._lasting = True

    async def _until(self, ready: Callable[[], bool]) -> None:
        while not ready():
            if self._loss is not None:
                raise Disconnected(self._loss)
            self._wake = asyncio.get_running_loop().create_future()
            try:
                async with asyncio.timeout(self._seconds):
                    await self._wake
            except TimeoutError:
                raise Disconnected("no answer in time") from None
            finally:
                self._wake = None

    def _notify(self) -> None:
        if self._wake is not None and not self._wake.done():
            self._wake.set_result(None)

    # -- what the transport says ----------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's only looks like one
        self._transport.set_write_buffer_limits(high=PIECE, low=PIECE // 4)

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self._fail("no HTTP")

    def connection_lost(self, exc: Exception | None) -> None:
        self._loss = self._loss or ("closed" if exc is None else type(exc).__name__)
        self.gone.set()
        self._notify()

    def pause_writing(self) -> None:
        self._congested = True

    def resume_writing(self) -> None:
        self._congested = False
        self._notify()

    # -- what the parser says -------------------------------------------------------------------

    def on_message_begin(self) -> None:
        self._headers = {}
        if self._head is not None:  # an answer to nothing
            self._fail("no HTTP")

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        status = self._parser.get_status_code()
        if status < HTTPStatus.OK:
            self._continued |= status == HTTPStatus.CONTINUE
        else:
            self._head = Head(status, self._headers)
            if self._bodiless:
                self._finish()
        self._notify()

    def on_body(self, body: bytes) -> None:
        self._pieces.append(body)
        self._waiting += len(body)
        if self._waiting > HIGH and not self._resting and self._transport is not None:
            self._resting = True
            self._transport.pause_reading()
        self._notify()

    def on_message_complete(self) -> None:
        if self._head is not None:
            self._finish()
            self._notify()

    def _finish(self) -> None:
        self._complete = True
        self._lasting = self._parser.should_keep_alive()
