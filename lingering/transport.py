"""A connection's end that its client can read an answer before (RFC 9112, section 9.6).

A socket that is closed while bytes lie in it unread is reset, and the reset overtakes the answer:
who is refused in the middle of a body would read "broken pipe" instead of the reason.
"""

import asyncio
from collections.abc import Callable
from typing import Any

QUIET_SECONDS = 5.0
"""Seconds without a byte after which a client has had its answer."""
ROUNDS = 6
"""Times at most that it is given these."""


class LingeringTransport:
    """A transport whose close waits for what the client is still sending, which nobody reads."""

    def __init__(self, transport: asyncio.Transport, sending: Callable[[], bool]) -> None:
        """*sending* tells whether the client is in the middle of a request."""
        self._transport = transport
        self._sending = sending
        self._timer: asyncio.TimerHandle | None = None
        self._came = False
        self._rounds = ROUNDS

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    @property
    def lingers(self) -> bool:
        """Whether what comes is to be thrown away."""
        return self._timer is not None

    def is_closing(self) -> bool:
        """Whether `close` was called, or the connection lost."""
        return self.lingers or self._transport.is_closing()

    def write(self, data: bytes) -> None:
        """Send *data*, unless the last answer was given."""
        if not self.lingers:
            self._transport.write(data)

    def close(self) -> None:
        """Send what was written; then end, or wait first for the rest of what is being sent."""
        if self.is_closing():
            return
        if not self._sending():
            self._transport.close()
            return
        if self._transport.can_write_eof():  # TLS cannot
            self._transport.write_eof()
        self._transport.resume_reading()
        self._wait()

    def came(self) -> None:
        """The client is sending still."""
        self._came = True

    def end(self) -> None:
        """Close now: the client has sent all, or has gone."""
        if self._timer is not None:
            self._timer.cancel()
        self._transport.close()

    def _wait(self) -> None:
        loop = asyncio.get_running_loop()
        self._came = False
        self._timer = loop.call_later(QUIET_SECONDS, self._look)

    def _look(self) -> None:
        self._rounds -= 1
        if self._came and self._rounds > 0:
            self._wait()
        else:
            self.end()
