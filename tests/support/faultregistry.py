"""A registry that serves one image and misbehaves as a test orders; it counts what is asked of it.

For faults that a real one does not show on demand; what a good one does is tested on real ones.
"""

import base64
import contextlib
import json
import re
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from support.hostimages import Handmade, digest_of
from support.images import MANIFEST

REPOSITORY = "library/x"
USER, PASSWORD = "alice", "rabbit-hole-7"

Fault = Callable[["Request", bytes], bool]
"""Serves a blob in its own way, or answers False to have it served well."""


class Request(BaseHTTPRequestHandler):
    """One request to the registry."""

    protocol_version = "HTTP/1.1"
    server: "FaultRegistry"

    def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002 - its name there
        pass

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        registry = self.server
        path, _, query = self.path.partition("?")
        with registry.lock:
            registry.seen.append((self.command, path, dict(self.headers)))
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            if path == "/token":
                self._token(query)
            elif registry.guarded and not self._may():
                realm = f'Bearer realm="{registry.realm}",service="test"'
                self.answer(401, b"{}", {"WWW-Authenticate": realm})
            elif path.startswith(f"/v2/{REPOSITORY}/manifests/"):
                content = registry.image.manifest
                self.answer(200, content, {"Content-Type": MANIFEST})
            else:
                self._blob(path.rpartition("/")[2])

    def _may(self) -> bool:
        token = self.headers.get("Authorization", "").removeprefix("Bearer ")
        return token in self.server.tokens

    def _token(self, query: str) -> None:
        registry = self.server
        basic = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        if self.headers.get("Authorization") != f"Basic {basic}":
            self.answer(401, b"{}", {})
            return
        assert f"scope=repository%3A{REPOSITORY.replace('/', '%2F')}%3Apull" in query
        with registry.lock:
            token = f"token-{len(registry.seen)}"
            registry.tokens.add(token)
        self.answer(200, json.dumps({"token": token, "expires_in": 60}).encode(), {})

    def _blob(self, digest: str) -> None:
        registry = self.server
        content = registry.blobs.get(digest)
        if content is None:
            self.answer(404, b"{}", {})
            return
        if self.command == "GET":
            with registry.lock:
                registry.fetched[digest] += 1
            if digest in registry.layers and registry.fault(self, content):
                return
        self.serve(content)

    def serve(self, content: bytes) -> None:
        """Serve *content*, or the range of it that is asked for."""
        start = self.start
        if start:
            there = f"bytes {start}-{len(content) - 1}/{len(content)}"
            self.answer(206, content[start:], {"Content-Range": there})
        else:
            self.answer(200, content, {})

    @property
    def start(self) -> int:
        """The first byte that is asked for."""
        matched = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", "bytes=0-"))
        assert matched is not None
        return int(matched[1])

    def answer(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def begin(self, length: int) -> None:
        """The head of an answer whose body the fault writes itself."""
        self.send_response(206 if self.start else 200)
        if self.start:
            self.send_header("Content-Range", f"bytes {self.start}-{self.start + length - 1}/*")
        self.send_header("Content-Length", str(length))
        self.end_headers()


def well(_request: Request, _content: bytes) -> bool:
    return False


class FaultRegistry(ThreadingHTTPServer):
    """The registry; *fault* serves layers, *guarded* wants tokens."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, image: Handmade, fault: Fault = well, *, guarded: bool = False) -> None:
        super().__init__(("127.0.0.1", 0), Request)
        self.image = image
        self.fault = fault
        self.guarded = guarded
        self.layers = {digest_of(each.content) for each in image.layers}
        self.blobs = {digest_of(each.content): each.content for each in image.layers}
        self.blobs[digest_of(image.config)] = image.config
        self.address = f"127.0.0.1:{self.server_address[1]}"
        self.realm = f"http://{self.address}/token"
        self.reference = f"{self.address}/{REPOSITORY}:1"
        self.seen: list[tuple[str, str, dict[str, str]]] = []
        self.fetched: Counter[str] = Counter()
        self.tokens: set[str] = set()
        self.lock = threading.Lock()

    @property
    def layer_fetches(self) -> list[int]:
        return [self.fetched[each] for each in sorted(self.layers)]

    def handle_error(self, request: object, client_address: object) -> None:
        pass  # clients of these tests break off


@contextlib.contextmanager
def fault_registry(
    image: Handmade, fault: Fault = well, *, guarded: bool = False
) -> Iterator[FaultRegistry]:
    registry = FaultRegistry(image, fault, guarded=guarded)
    thread = threading.Thread(target=registry.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield registry
    finally:
        registry.shutdown()
        thread.join()
        registry.server_close()


def times(count: int, fault: Fault) -> Fault:
    """*fault* for the first *count* requests."""
    left = [count]

    def act(request: Request, content: bytes) -> bool:
        if left[0] <= 0:
            return False
        left[0] -= 1
        return fault(request, content)

    return act


def cut_after(share: float) -> Fault:
    """Break off after a share of what was asked for."""

    def act(request: Request, content: bytes) -> bool:
        asked = content[request.start :]
        request.begin(len(asked))
        request.wfile.write(asked[: int(len(asked) * share)])
        request.close_connection = True
        return True

    return act


def say(status: int, **headers: str) -> Fault:
    """Answer with a status and headers (``_`` for ``-``)."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}

    def act(request: Request, _content: bytes) -> bool:
        request.answer(status, b"{}", named)
        return True

    return act


def send(content: bytes) -> Fault:
    """Serve something else."""

    def act(request: Request, _content: bytes) -> bool:
        request.answer(200, content, {})
        return True

    return act


def ignore_range(request: Request, content: bytes) -> bool:
    """Serve all, whatever is asked for."""
    request.answer(200, content, {})
    return True


def trickle(request: Request, content: bytes) -> bool:
    """Some bytes, then one at a time."""
    asked = content[request.start :]
    request.begin(len(asked))
    request.wfile.write(asked[:1000])
    for at in range(1000, len(asked)):
        request.wfile.write(asked[at : at + 1])
        time.sleep(0.05)
    return True


def trickle_head(request: Request, _content: bytes) -> bool:
    """A head without end."""
    for letter in b"HTTP/1.1 200 OK\r\nX-Slow: " + b"x" * 10_000:
        request.wfile.write(bytes([letter]))
        time.sleep(0.05)
    return True


def stall(request: Request, content: bytes) -> bool:
    """Half of it, then silence."""
    asked = content[request.start :]
    request.begin(len(asked))
    request.wfile.write(asked[: len(asked) // 2])
    request.wfile.flush()
    time.sleep(20)
    return True


def keep_silent(request: Request, content: bytes) -> bool:
    """Promise all, and send nothing."""
    request.begin(len(content) - request.start)
    request.wfile.flush()
    time.sleep(5)
    return True
