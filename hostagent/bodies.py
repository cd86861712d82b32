"""What callers send, held in memory until they are answered: bounded, each and together."""

import asyncio
from http import HTTPStatus
from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from hostagent.errors import HostError
from setspec.strict import SET_BOUNDS

TOGETHER: Final = 32 << 20
"""Bytes of all bodies at once."""
PATIENCE: Final = 60.0
"""Seconds in which some byte of a body must come."""


class BodyTooLarge(HostError):
    """No document has so much."""

    status = HTTPStatus.REQUEST_ENTITY_TOO_LARGE


class Busy(HostError):
    """Others are sending so much that there is no room for more."""

    status = HTTPStatus.SERVICE_UNAVAILABLE


class TooSlow(HostError):
    """A body's next byte has not come."""

    status = HTTPStatus.REQUEST_TIMEOUT


class BoundedBodies:
    """An ASGI application within these bounds; whoever reads a body gets the errors above."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._held = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        own, whole = 0, False

        async def bounded() -> Message:
            nonlocal own, whole
            if whole:  # somebody waits for the caller to go away, which may be long
                return await receive()
            message = await _soon(receive)
            size = len(message.get("body", b""))
            whole = not message.get("more_body", False)
            own += size
            self._held += size
            if own > SET_BOUNDS.size:
                raise BodyTooLarge(f"at most {SET_BOUNDS.size} bytes are read")
            if self._held > TOGETHER:
                raise Busy("others are sending much at this moment: send this once more")
            return message

        try:
            await self._app(scope, bounded, send)
        finally:
            self._held -= own


async def _soon(receive: Receive) -> Message:
    try:
        return await asyncio.wait_for(receive(), PATIENCE)
    except TimeoutError:
        raise TooSlow(f"nothing came for {PATIENCE:.0f} seconds") from None
