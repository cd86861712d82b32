"""What came of a request's body, handed on as it came.

uvicorn's own adds all that comes to one array, and copies that for the application: two copies of
every byte, each into memory that is mapped anew.
"""

from collections import deque
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

JOINED: Final = 256 * 1024
"""Bytes up to which small pieces (HTTP chunks) are put together: each is a turn of its own."""


class Arrival:
    """The pieces of one request's body that the application has not asked for yet."""

    def __init__(self, cycle: "RequestResponseCycle") -> None:
        """Be what *cycle* answers its application with."""
        self.size = 0
        """Bytes that wait."""
        self._pieces: deque[bytes] = deque()
        self._told = cycle.message_event
        self._wait = cycle.receive
        cycle.receive = self.receive  # type: ignore[method-assign]

    def add(self, piece: bytes) -> None:
        """Let the application have *piece* behind all others."""
        self._pieces.append(piece)
        self.size += len(piece)
        self._told.set()

    async def receive(self) -> Any:
        """ASGI's ``receive``."""
        message = await self._wait()  # uvicorn's array is empty
        if message["type"] == "http.request":
            message["body"] = self._take()
            if self._pieces:
                message["more_body"] = True
                self._told.set()
        return message

    def _take(self) -> bytes:
        if not self._pieces:
            return b""
        taken = [self._pieces.popleft()]
        size = len(taken[0])
        while self._pieces and size + len(self._pieces[0]) <= JOINED:
            taken.append(self._pieces.popleft())
            size += len(taken[-1])
        self.size -= size
        return taken[0] if len(taken) == 1 else b"".join(taken)
