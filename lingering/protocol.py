"""uvicorn's HTTP protocol, which does not hang up on who is still sending."""

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from lingering.transport import LingeringTransport


class LingeringHttpProtocol(HttpToolsProtocol):
    """One connection."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._in_head = True
        self._garbled = False
        """Whether a request was refused whose end cannot be told."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Have the connection end only when its client has sent what it is sending."""
        self._end = LingeringTransport(transport, self._is_sending)
        super().connection_made(self._end)  # type: ignore[arg-type]

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait for nothing more."""
        self._end.end()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Throw away what comes behind what is no HTTP."""
        self._end.came()
        if not self._garbled:
            super().data_received(data)

    def on_headers_complete(self) -> None:
        """A body comes, which may be empty."""
        self._in_head = False
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """What comes next is another head."""
        self._in_head = True
        super().on_message_complete()
        if self._end.lingers:
            self._end.end()

    def send_400_response(self, msg: str) -> None:
        """Refuse what is no HTTP."""
        self._garbled = True
        super().send_400_response(msg)

    def _is_sending(self) -> bool:
        return self._garbled or not self._in_head
