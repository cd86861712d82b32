"""HTTP for pulling: the standard library's, on sockets that know patience; used from threads.

A read is one recv; so silence, trickling and cancelling are seen at once, in headers too.
"""

import contextlib
import http.client
import io
import socket
import ssl
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urljoin, urlsplit

from hostbase.process import readable
from hostimages.errors import PullCancelled, PullTooSlow, RegistryUnavailable
from hostimages.settings import Patience, RegistrySettings
from settings.files import read

REDIRECTS = 5
_BUFFER = 1 << 16
_BROKEN = (OSError, http.client.HTTPException)
_MOVED = frozenset({301, 302, 303, 307, 308})


class Watch:
    """One job's patience: counts bytes while it waits for them, and can be told to stop."""

    def __init__(self, patience: Patience) -> None:
        self._window = patience.window.total_seconds()
        self._least = patience.least_rate * self._window
        self._connect = patience.connect.total_seconds()
        self._deadline = patience.deadline.total_seconds()
        self.begin()
        self._waited = 0.0
        self._came = 0
        self._cancelled = threading.Event()
        self._sockets: set[socket.socket] = set()
        self._lock = threading.Lock()
        self.received = 0
        """Bytes in all, headers included."""

    def begin(self) -> None:
        """Count the deadline from now: what waited for its turn has used nothing of it."""
        self._end = time.monotonic() + self._deadline

    def cancel(self) -> None:
        """Make whoever waits for bytes raise PullCancelled, now and later."""
        self._cancelled.set()
        with self._lock:
            for each in self._sockets:
                with contextlib.suppress(OSError):
                    each.shutdown(socket.SHUT_RDWR)

    def check(self) -> float:
        """Seconds that are left; raise PullCancelled or PullTooSlow if there are none."""
        if self._cancelled.is_set():
            raise PullCancelled("nobody waits for it any more")
        left = self._end - time.monotonic()
        if left <= 0:
            raise PullTooSlow("the deadline passed before all bytes came; what came is kept")
        return left

    def sleep(self, seconds: float) -> None:
        """Sleep, or raise as soon as one may stop."""
        self._cancelled.wait(min(seconds, self.check()))
        self.check()

    def connect(self, host: str, port: int) -> socket.socket:
        """A TCP connection, known to *cancel*."""
        made = socket.create_connection((host, port), min(self._connect, self.check()))
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return made

    @contextlib.contextmanager
    def uses(self, connection: socket.socket) -> Iterator[None]:
        """While this lasts, *cancel* ends *connection*."""
        with self._lock:
            self._sockets.add(connection)
        try:
            self.check()
            yield
        finally:
            with self._lock:
                self._sockets.discard(connection)

    def receive(self, connection: socket.socket, buffer: memoryview) -> int:
        """One recv, within patience."""
        connection.settimeout(min(self._window, self.check()))
        began = time.monotonic()
        try:
            count = connection.recv_into(buffer)
        except TimeoutError:
            self.check()
            raise PullTooSlow(f"no byte came for {self._window:g} s") from None
        except OSError:
            self.check()
            raise
        self._waited += time.monotonic() - began
        self._came += count
        self.received += count
        if not count:
            self.check()
        if self._waited >= self._window:
            if self._came < self._least:
                raise PullTooSlow(
                    f"{self._came} bytes came in {self._waited:.0f} s; "
                    f"the least is {self._least:.0f}"
                )
            self._waited, self._came = 0.0, 0
        return count


class _Raw(io.RawIOBase):
    """A socket's incoming side."""

    def __init__(self, end: "_End") -> None:
        self._end = end

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        return self._end.watch.receive(self._end.socket, memoryview(buffer))


class _End:
    """What http.client asks of a socket; only the wire itself closes it."""

    def __init__(self, made: socket.socket, watch: Watch) -> None:
        self.socket = made
        self.watch = watch
        """Of the request that is under way."""

    def sendall(self, content: bytes) -> None:
        self.socket.settimeout(self.watch.check())
        self.socket.sendall(content)

    def makefile(self, _mode: str) -> io.BufferedReader:
        return io.BufferedReader(_Raw(self), _BUFFER)

    def close(self) -> None:
        pass


class _Connection(http.client.HTTPConnection):
    """A connection whose end is made and closed by the wire."""

    auto_open = 0

    def __init__(self, host: str, port: int, end: _End) -> None:
        super().__init__(host, port)
        self.end = end
        self.sock = end

    def shut(self) -> None:
        """Close the socket."""
        self.end.socket.close()


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back: status and headers; the body is read from it, once."""

    status: int
    headers: http.client.HTTPMessage
    url: str
    response: http.client.HTTPResponse

    def read_some(self, most: int) -> bytes:
        """Some bytes of the body, as one recv gives them; none at its end."""
        try:
            piece = self.response.read1(most)
        except _BROKEN as error:
            raise _broken(self.url, error) from None
        if not piece and self.response.length:
            raise RegistryUnavailable(
                f"{host_of(self.url)} broke off with {self.response.length} bytes to come"
            )
        return piece

    def read(self, limit: int) -> bytes:
        """The whole body; raise RegistryUnavailable if it has more than *limit* bytes."""
        pieces: list[bytes] = []
        left = limit + 1
        while left > 0 and (piece := self.read_some(min(left, _BUFFER))):
            pieces.append(piece)
            left -= len(piece)
        if left <= 0:
            raise RegistryUnavailable(f"{host_of(self.url)} answered over {limit} bytes")
        return b"".join(pieces)


def trusting(authorities: Path | None) -> ssl.SSLContext:
    """TLS that trusts the system's authorities and those of a file; ValueError names the file."""
    tls = ssl.create_default_context()
    if authorities is not None:
        read(authorities)
        try:
            tls.load_verify_locations(authorities)
        except (ssl.SSLError, OSError) as error:
            raise ValueError(f"{authorities}: holds no certificates in PEM") from error
    return tls


class Wire:
    """Connections to servers, kept for the next request."""

    def __init__(self, settings: RegistrySettings) -> None:
        self._tls = trusting(settings.ca_file)
        self._idle: dict[str, list[_Connection]] = {}
        self._lock = threading.Lock()

    def close(self) -> None:
        """Close what is kept."""
        with self._lock:
            kept, self._idle = self._idle, {}
        for connections in kept.values():
            for each in connections:
                each.shut()

    @contextlib.contextmanager
    def request(
        self, method: str, url: str, headers: Mapping[str, str], watch: Watch
    ) -> Iterator[Answer]:
        """Ask, following redirects; ``Authorization`` goes to *url*'s own origin only.

        Raises RegistryUnavailable, PullTooSlow, PullCancelled.
        """
        sent = dict(headers)
        for _ in range(REDIRECTS + 1):
            with self._exchange(method, url, sent, watch) as answer:
                target = answer.headers.get("Location")
                if answer.status not in _MOVED or not target:
                    yield answer
                    return
            there = urljoin(url, target)
            if origin(there) != origin(url):
                sent = {key: value for key, value in sent.items() if key != "Authorization"}
            if urlsplit(url).scheme == "https" and urlsplit(there).scheme != "https":
                raise RegistryUnavailable(f"{host_of(url)} sends from https to plain http")
            url = there
        raise RegistryUnavailable(f"{host_of(url)} redirects more than {REDIRECTS} times")

    @contextlib.contextmanager
    def _exchange(
        self, method: str, url: str, headers: Mapping[str, str], watch: Watch
    ) -> Iterator[Answer]:
        """One request and its answer; the connection is kept if the answer was read whole."""
        connection = self._take(url, watch)
        whole = False
        try:
            with watch.uses(connection.end.socket):
                response = _ask(connection, method, url, headers)
                yield Answer(response.status, response.headers, url, response)
                if method == "HEAD" or response.length == 0 or response.isclosed():
                    response.close()
                    whole = not response.will_close
        finally:
            if whole:
                with self._lock:
                    self._idle.setdefault(origin(url), []).append(connection)
            else:
                connection.shut()

    def _take(self, url: str, watch: Watch) -> _Connection:
        """A kept connection that is still open, or a new one."""
        while True:
            with self._lock:
                kept = self._idle.get(origin(url))
                connection = kept.pop() if kept else None
            if connection is None:
                return self._connect(url, watch)
            if _is_quiet(connection.end.socket):
                connection.end.watch = watch
                return connection
            connection.shut()

    def _connect(self, url: str, watch: Watch) -> _Connection:
        split = urlsplit(url)
        try:
            port = split.port or (443 if split.scheme == "https" else 80)
        except ValueError:
            port = 0
        if split.scheme not in {"https", "http"} or not split.hostname or not port:
            raise RegistryUnavailable(f"{url[:100]!r} is no address of a web server")
        try:
            made = watch.connect(split.hostname, port)
            try:
                if split.scheme == "https":
                    made = self._tls.wrap_socket(made, server_hostname=split.hostname)
            except BaseException:
                made.close()
                raise
        except (OSError, UnicodeError) as error:
            watch.check()
            raise RegistryUnavailable(f"{host_of(url)} cannot be reached: {_say(error)}") from None
        return _Connection(split.hostname, port, _End(made, watch))


def origin(url: str) -> str:
    """Scheme, host and port: who may see what was meant for this address."""
    split = urlsplit(url)
    return f"{split.scheme}://{split.netloc.rpartition('@')[2].lower()}"


def host_of(url: str) -> str:
    """Host and port, for people; never what else stands in an address, which may be a secret."""
    return urlsplit(url).netloc.rpartition("@")[2][:200]


def _ask(
    connection: _Connection, method: str, url: str, headers: Mapping[str, str]
) -> http.client.HTTPResponse:
    split = urlsplit(url)
    path = (split.path or "/") + (f"?{split.query}" if split.query else "")
    try:
        connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
        connection.putheader("Host", split.netloc.rpartition("@")[2])
        for name, value in headers.items():
            connection.putheader(name, value)
        connection.endheaders()
        return connection.getresponse()
    except (*_BROKEN, ValueError) as error:
        connection.end.watch.check()
        raise _broken(url, error) from None


def _is_quiet(idle: socket.socket) -> bool:
    """Whether a kept connection is open, and nothing unasked came on it."""
    return not readable(idle.fileno(), 0)


def _broken(url: str, error: Exception) -> RegistryUnavailable:
    return RegistryUnavailable(f"{host_of(url)} broke off: {_say(error)}")


def _say(error: Exception) -> str:
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return f"{type(error).__name__}: {text[:200]}"
