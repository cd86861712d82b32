"""Calls to a host agent, on its unix socket."""

import http.client
import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import quote, urlencode

from climg.errors import NotFound, Refused, Unavailable, WrongUsage

_SECONDS = 3660.0
"""More than the agent gives any program: it is the agent who says that one took too long."""


class _Socket(http.client.HTTPConnection):
    """HTTP to a path instead of an address."""

    def __init__(self, path: str, seconds: float | None) -> None:
        super().__init__("localhost", timeout=seconds)
        self._path = path
        self._seconds = seconds

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self._seconds)
        self.sock.connect(self._path)


class Agent:
    """One host's agent, as ``unix:PATH`` names it."""

    def __init__(self, where: str | None) -> None:
        """Raises WrongUsage for what is no address of an agent."""
        if where is None:
            raise WrongUsage(
                "no agent is named: say --agent unix:PATH, or set BERTH_AGENT; an agent says where "
                "it listens when it starts"
            )
        kind, colon, path = where.partition(":")
        if kind != "unix" or not colon or not path:
            raise WrongUsage(f"{where!r} is no address of an agent: write unix:PATH")
        self._path = path

    def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        headers: dict[str, str] | None = None,
        **query: str | list[str] | None,
    ) -> Any:
        """The JSON that is answered. *body* is bytes, or becomes JSON."""
        with self._answer(method, path, body, headers, query) as answer:
            return json.loads(answer.read())

    def text(
        self, method: str, path: str, body: Any = None, **query: str | list[str] | None
    ) -> tuple[str, str | None, bool]:
        """The text that is answered, the exit code that came with it, and whether it is all."""
        with self._answer(method, path, body, None, query) as answer:
            text = answer.read().decode("utf-8", "replace")
            return text, answer.getheader("Exit-Code"), answer.getheader("Output-Cut") is None

    def lines(self, path: str, **query: str | list[str] | None) -> Iterator[str]:
        """The lines that are answered, as they come, however long none does."""
        with self._answer("GET", path, None, None, query, seconds=None) as answer:
            for line in answer:
                yield line.decode("utf-8", "replace").rstrip("\n")

    @contextmanager
    def _answer(
        self,
        method: str,
        path: str,
        body: Any,
        headers: dict[str, str] | None,
        query: dict[str, str | list[str] | None],
        *,
        seconds: float | None = _SECONDS,
    ) -> Iterator[http.client.HTTPResponse]:
        said = {name: value for name, value in query.items() if value is not None}
        target = path + (f"?{urlencode(said, doseq=True)}" if said else "")
        data = body if isinstance(body, bytes | None) else json.dumps(body).encode()
        link = _Socket(self._path, seconds)
        try:
            link.request(method, target, data, headers or {})
            answer = link.getresponse()
            if answer.status >= 400:
                raise _refusal(answer.status, answer.read())
            yield answer
        except OSError as error:
            raise Unavailable(
                f"no agent answers on {self._path}: {error.strerror or error}; start it "
                "(berth agent), and be root"
            ) from None
        except http.client.HTTPException as error:
            raise Unavailable(f"the agent on {self._path} broke off: {error}") from None
        finally:
            link.close()


def path_of(reference: str, *more: str, kind: str = "set") -> str:
    """The path of a set (or another *kind*), or of something of it.

    Raises NotFound for what is no name: it would be another path.
    """
    if not reference or "/" in reference or reference in {".", ".."}:
        raise NotFound(f"there is no {kind} {reference!r} on this host: see {kind}-list")
    return "/".join([f"/{kind}s", quote(reference, safe=""), *more])


def _refusal(status: int, body: bytes) -> Refused | NotFound | Unavailable:
    try:
        told = json.loads(body)
    except ValueError:
        return Unavailable(f"the agent answers {status}; its log says more")
    if "faults" in told:
        lines = [
            ". ".join(
                part.rstrip(".")
                for part in (
                    f"{each['pointer'] or 'the document'} {each['what']}", each["why"], each["fix"]
                )
                if part
            )
            for each in told["faults"]
        ]  # fmt: skip
        if len(lines) == 1:
            return Refused(lines[0])
        count = f"more than {len(lines)}" if told.get("more") else len(lines)
        return Refused(f"the document has {count} faults; nothing was changed", lines)
    message = str(told.get("message", f"the agent answers {status}"))
    return NotFound(message) if status == 404 else Refused(message)
