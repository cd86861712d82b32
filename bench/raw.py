"""Plain requests to Swift: what no registry on it can be faster than."""

import http.client
import os
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

from bench.measure import Figures, LoadFailed
from bench.rows import MIB, Row

KIB = 1024
PIECE = os.urandom(MIB)
SMALL = os.urandom(KIB)


class Raw:
    """Plain requests, each thread by a connection of its own."""

    def __init__(self, url: str, token: str, container: str) -> None:
        parts = urlsplit(url)
        self._address = parts.hostname or "", parts.port
        self._path = f"{parts.path}/{container}"
        self._headers = {"X-Auth-Token": token}
        self._kept = self.connect()  # opens anew by itself after a ``close``
        self._ask(self._kept, "PUT", "", b"")

    def connect(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection(*self._address, timeout=120)

    def put(self, name: str, size: int) -> None:
        """Store *size* bytes, some MiB."""
        connection = self.connect()
        connection.putrequest("PUT", f"{self._path}/{name}")
        for header, value in {**self._headers, "Content-Length": str(size)}.items():
            connection.putheader(header, value)
        connection.endheaders()
        for _ in range(size // MIB):
            connection.send(PIECE)
        answer = connection.getresponse()
        answer.read()
        if answer.status != http.client.CREATED:
            raise LoadFailed(f"Swift answered {answer.status} to a PUT")
        connection.close()

    def get(self, name: str, size: int) -> None:
        """Read *size* bytes, and drop them."""
        connection = self.connect()
        connection.request("GET", f"{self._path}/{name}", headers=self._headers)
        answer = connection.getresponse()
        got = 0
        while piece := answer.read(MIB):
            got += len(piece)
        if got != size:
            raise LoadFailed(f"Swift answered {answer.status} with {got} bytes of {size}")
        connection.close()

    def measure(self, row: Row, names: Iterator[str]) -> Figures:
        """As many bytes, in as many streams, as *row* moves through a registry."""
        told = dict(word.lstrip("-").split("=", 1) for word in row.arguments)
        streams, count, size = (int(told[name]) for name in ("streams", "count", "size"))
        pulls = told["do"] == "pull"
        if pulls:
            self.put("pulled", size)
        work = [["pulled" if pulls else next(names) for _ in range(count)] for _ in range(streams)]

        def move(some: list[str]) -> None:
            for name in some:
                (self.get if pulls else self.put)(name, size)

        began = time.monotonic()
        with ThreadPoolExecutor(streams) as threads:
            list(threads.map(move, work))
        seconds = time.monotonic() - began
        return Figures.plain(seconds, streams * count, streams * count * size)

    def rest(self) -> None:
        """Let go of the kept connection: Swift does, after a minute."""
        self._kept.close()

    def put_small(self, name: str) -> None:
        self._ask(self._kept, "PUT", f"/{name}", SMALL)

    def _ask(
        self, connection: http.client.HTTPConnection, method: str, name: str, body: bytes | None
    ) -> None:
        connection.request(method, self._path + name, body, self._headers)
        answer = connection.getresponse()
        answer.read()
        assert answer.status < http.client.BAD_REQUEST, answer.status
