"""uvicorn's HTTP protocol with bounds, for uploads: a whole piece of one gathers at a time."""

from lingering import bounded
from registry.v2api.arrival import Arrival

BODY_BUFFER = 1024 * 1024
"""Bytes of a body that wait for the application: one piece of an upload."""


class BoundedHttpProtocol(bounded.BoundedHttpProtocol):
    """One connection."""

    def on_message_begin(self) -> None:
        """A head begins; the application may ask whether its client is still there."""
        super().on_message_begin()
        self.scope["state"]["is_gone"] = self.transport.is_closing

    def on_headers_complete(self) -> None:
        """A body may come."""
        super().on_headers_complete()
        self._arrival = Arrival(self.cycle)

    def on_body(self, body: bytes) -> None:
        """Let a whole piece gather before reading pauses: fewer wakes for each MiB."""
        self._bare_bytes = 0
        if self.cycle.response_complete:
            return
        self._arrival.add(body)
        if self._arrival.size > BODY_BUFFER:
            self.flow.pause_reading()
