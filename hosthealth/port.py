"""The TCP port: /healthz and /metrics, for anybody who reaches it; it reads and never changes."""

import asyncio
import contextlib
import errno
import socket
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Final

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from hosthealth.figures import CONTENT_TYPE, Figure, text
from lingering.bounded import BoundedHttpProtocol

_AT_ONCE: Final = 16
"""Connections; further ones are told to come later."""
_PATIENCE: Final = 10.0
"""Seconds of a connection: who says little or nothing keeps none that others want."""


class _Brief(BoundedHttpProtocol):
    """One connection, which ends in time."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._timer = self.loop.call_later(_PATIENCE, transport.close)

    def connection_lost(self, exc: Exception | None) -> None:
        self._timer.cancel()
        super().connection_lost(exc)


class PortTaken(Exception):
    """Nobody can listen there: where, and why."""

    def __init__(self, address: str, error: Exception) -> None:
        why = (isinstance(error, OSError) and error.strerror) or str(error)
        super().__init__(
            f"cannot listen on {address}: {why}; name an address of this host and a port that "
            "nobody has"
        )
        self.is_taken = isinstance(error, OSError) and error.errno == errno.EADDRINUSE
        """Somebody else listens there."""


def create_app(
    complaint: Callable[[], str | None], measure: Callable[[], Iterable[Figure]]
) -> Starlette:
    """The ASGI application; *complaint* says what is wrong, None where nothing is."""

    def healthz(_: Request) -> Response:
        said = complaint()
        return PlainTextResponse(f"{said or 'ok'}\n", 503 if said else 200)

    def metrics(_: Request) -> Response:
        return PlainTextResponse(text(measure()), media_type=CONTENT_TYPE)

    return Starlette(routes=[Route("/healthz", healthz), Route("/metrics", metrics)])


def bound(address: str) -> socket.socket:
    """A socket at ``host:port``, to which nobody is let yet. Raises PortTaken."""
    host, _, port = address.rpartition(":")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host.strip("[]"), int(port)))
    except (OSError, ValueError, OverflowError) as error:
        listener.close()
        raise PortTaken(address, error) from None
    return listener


@contextlib.contextmanager
def answering(address: str, app: Starlette) -> Iterator[None]:
    """Answer at ``host:port`` as long as this lasts. Raises PortTaken."""
    with bound(address) as listener:
        try:
            # Here, not in the thread: who comes from now on waits for it, and who else has just
            # bound the port (SO_REUSEADDR lets both) is told.
            listener.listen()
        except OSError as error:
            raise PortTaken(address, error) from None
        server = uvicorn.Server(
            uvicorn.Config(
                app, http=_Brief, log_level="warning", access_log=False,
                limit_concurrency=_AT_ONCE, timeout_keep_alive=5, timeout_graceful_shutdown=1,
            )
        )  # fmt: skip
        thread = threading.Thread(target=server.run, args=([listener],), name="health")
        thread.start()
        try:
            yield
        finally:
            server.should_exit = True
            thread.join()
