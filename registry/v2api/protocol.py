"""uvicorn's HTTP protocol with bounds: on a request's head in bytes and in time.

uvicorn's own accepts a head of any size, and waits for its end for ever.
"""

import asyncio
import logging
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

HEAD_LIMIT = 64 * 1024
"""Bytes of request line and headers at most."""
HEAD_SECONDS = 30.0
"""From a head's first byte, or from the connection's beginning, to its end."""
BODY_BUFFER = 1024 * 1024
"""Bytes of a body that wait for the application: one piece of an upload."""

_log = logging.getLogger(__name__)


class BoundedHttpProtocol(HttpToolsProtocol):
    """One connection."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._head_bytes = 0
        self._in_head = True
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
        """Refuse a head that is too large before the parser keeps it."""
        if self._in_head:
            if self._head_bytes == 0 and self._deadline is None:
                self._arm()
            self._head_bytes += len(data)
            if self._head_bytes > HEAD_LIMIT + len(data):
                self._refuse(b"431 Request Header Fields Too Large", b"headers too large")
                return
        super().data_received(data)

    def on_message_begin(self) -> None:
        """A head begins."""
        super().on_message_begin()
        self._in_head = True

    def on_headers_complete(self) -> None:
        """The head is whole."""
        self._in_head = False
        self._head_bytes = 0
        self._disarm()
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """What comes next is another head."""
        self._in_head = True
        super().on_message_complete()

    def on_body(self, body: bytes) -> None:
        """Let a whole piece gather before reading pauses: fewer wakes for each MiB."""
        cycle = self.cycle
        if cycle.response_complete:
            return
        cycle.body += body
        if len(cycle.body) > BODY_BUFFER:
            self.flow.pause_reading()
        cycle.message_event.set()

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
        self.transport.write(
            b"HTTP/1.1 %b\r\ncontent-type: text/plain\r\ncontent-length: %d\r\n"
            b"connection: close\r\n\r\n%b" % (status, len(text), text)
        )
        self.transport.close()
