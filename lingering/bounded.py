"""uvicorn's HTTP protocol with bounds: on what is no body, on a head's time, on what waits.

uvicorn's own accepts a head and trailers of any size, waits for a head's end for ever, and keeps
any number of requests that were sent in one go.
"""

import asyncio
import logging
from typing import Any

from lingering.protocol import LingeringHttpProtocol

HEAD_LIMIT = 64 * 1024
"""Bytes at most of request line and headers, or of trailers, or of a chunk's extensions."""
GARBAGE_LIMIT = 1024 * 1024
"""Bytes thrown away at most, after a refusal, of what is not HTTP or has no bounds."""
HEAD_SECONDS = 30.0
"""From a head's first byte, or from the connection's beginning, to its end."""
PIPELINED = 64
"""Requests at most that wait on one connection for the answers before theirs."""

_log = logging.getLogger(__name__)


class BoundedHttpProtocol(LingeringHttpProtocol):
    """One connection."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._bare_bytes = 0
        """Bytes that came since the last one of a body."""
        self._deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Expect a head from now on."""
        super().connection_made(transport)
        self._arm()

    def connection_lost(self, exc: Exception | None) -> None:
        """Expect nothing more."""
        self._disarm()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Refuse what is no body and does not end, before the parser keeps it."""
        self._bare_bytes += len(data)
        if self._garbled and self._bare_bytes > GARBAGE_LIMIT:
            self._end.end()
        elif not self._garbled and self._bare_bytes > HEAD_LIMIT + len(data):
            self._refuse(b"431 Request Header Fields Too Large", b"headers too large")
        else:
            super().data_received(data)

    def on_message_begin(self) -> None:
        """A head begins."""
        super().on_message_begin()
        self._in_head = True
        if self._deadline is None:
            self._arm()

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take no trailer for a header: it comes behind all that was checked (RFC 9110, 6.5.1)."""
        if self._in_head:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """The head is whole; answer 400 and hang up if it has not one Host (RFC 9112, 3.2)."""
        hosts = sum(name == b"host" for name, _ in self.headers)
        if hosts > 1 or (hosts == 0 and self.parser.get_http_version() != "1.0"):
            raise ValueError("a request has one Host")
        if len(self.pipeline) >= PIPELINED:
            raise ValueError("too many requests at once")
        self._bare_bytes = 0
        self._disarm()
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """What comes next is another head."""
        self._bare_bytes = 0
        super().on_message_complete()

    def on_body(self, body: bytes) -> None:
        """What comes is a body."""
        self._bare_bytes = 0
        super().on_body(body)

    def _arm(self) -> None:
        self._deadline = self.loop.call_later(HEAD_SECONDS, self._late)

    def _disarm(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _late(self) -> None:
        self._deadline = None
        if not self.transport.is_closing():
            self._refuse(b"408 Request Timeout", b"the request's head did not come in time")

    def _refuse(self, status: bytes, text: bytes) -> None:
        _log.warning("refused a connection's head: %s", text.decode())
        self._disarm()
        self._garbled = True
        self.transport.write(
            b"HTTP/1.1 %b\r\ncontent-type: text/plain\r\ncontent-length: %d\r\n"
            b"connection: close\r\n\r\n%b" % (status, len(text), text)
        )
        self.transport.close()
