"""A narrow road to a server: what it sends comes so many bytes a second."""

import contextlib
import socket
import socketserver
import threading
import time
from collections.abc import Iterator
from typing import Any

_PIECE = 64 << 10


@contextlib.contextmanager
def slow_road(address: str, rate: int) -> Iterator[str]:
    """Yield an address of the loopback that leads to *address*, at *rate* bytes a second each."""
    host, _, port = address.rpartition(":")

    class Relay(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            near: socket.socket = self.request
            with socket.create_connection((host, int(port))) as far:
                there = threading.Thread(target=_pass, args=(near, far, None))
                there.start()
                _pass(far, near, rate)
                there.join()

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True
        block_on_close = False

        def handle_error(self, request: Any, client_address: Any) -> None:
            """Who goes early has his reasons."""

    with Server(("127.0.0.1", 0), Relay) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


def _pass(source: socket.socket, target: socket.socket, rate: int | None) -> None:
    with contextlib.suppress(OSError):
        while piece := source.recv(_PIECE):
            target.sendall(piece)
            if rate is not None:
                time.sleep(len(piece) / rate)
    for link in (source, target):
        with contextlib.suppress(OSError):
            link.shutdown(socket.SHUT_RDWR)
