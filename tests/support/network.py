"""A stretch of network that breaks: a proxy which lets some bytes through and then hangs up."""

import contextlib
import select
import socket
import threading
from collections.abc import Iterator

PIECE = 1 << 16


class BreakingProxy:
    """Forwards connections to *target*, host:port, until *limit* bytes went up; then breaks once.

    At the break every open connection is reset. With *mends*, later ones pass freely; without,
    each of them is closed at once.
    """

    def __init__(self, target: str, limit: int, *, mends: bool) -> None:
        host, _, port = target.partition(":")
        self._target = (host, int(port))
        self._limit = limit
        self._mends = mends
        self._sent = 0
        self.broken = threading.Event()
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._open: set[socket.socket] = set()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    @property
    def address(self) -> str:
        host, port = self._listener.getsockname()
        return f"{host}:{port}"

    def close(self) -> None:
        """End every connection and thread."""
        self._ended.set()
        self._hang_up()
        for thread in self._threads:
            thread.join(30)
            assert not thread.is_alive()
        self._listener.close()

    def _accept(self) -> None:
        while not self._ended.is_set():
            if not select.select([self._listener], [], [], 0.1)[0]:
                continue
            client, _ = self._listener.accept()
            if self.broken.is_set() and not self._mends:
                client.close()
                continue
            server = socket.create_connection(self._target)
            with self._lock:
                self._open |= {client, server}
            thread = threading.Thread(target=self._forward, args=(client, server))
            self._threads.append(thread)
            thread.start()

    def _forward(self, client: socket.socket, server: socket.socket) -> None:
        other = {client: server, server: client}
        try:
            while True:
                for one in select.select([client, server], [], [], 1)[0]:
                    piece = one.recv(PIECE)
                    if not piece:
                        return
                    other[one].sendall(piece)
                    if one is client:
                        self._count(len(piece))
                if self._ended.is_set():
                    return
        except (OSError, ValueError):  # reset by _hang_up, or by the peer
            return
        finally:
            for one in (client, server):
                with self._lock:
                    self._open.discard(one)
                one.close()

    def _count(self, size: int) -> None:
        with self._lock:
            self._sent += size
            breaks = self._sent >= self._limit and not self.broken.is_set()
            if breaks:
                self.broken.set()
        if breaks:
            self._hang_up()

    def _hang_up(self) -> None:
        with self._lock:
            connections = list(self._open)
        for one in connections:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)


@contextlib.contextmanager
def breaking_proxy(target: str, limit: int, *, mends: bool = False) -> Iterator[BreakingProxy]:
    """Yield a proxy before *target* that breaks after *limit* bytes."""
    proxy = BreakingProxy(target, limit, mends=mends)
    try:
        yield proxy
    finally:
        proxy.close()
