"""JSON over HTTP on the loopback, with nothing but the standard library."""

import contextlib
import http.client
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from cloud.layout import CloudError

TIMEOUT = 60.0


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back: header names in lower case, and the body if it was JSON."""

    status: int
    headers: Mapping[str, str]
    body: Any


def call(
    method: str,
    url: str,
    body: object = None,
    headers: Mapping[str, str] | None = None,
    *,
    timeout: float = TIMEOUT,
) -> Answer:
    """Ask *url*; answer what came back, whatever its status. Raises OSError."""
    parts = urlsplit(url)
    path = f"{parts.path or '/'}?{parts.query}" if parts.query else parts.path or "/"
    sent = dict(headers or {})
    content = None
    if body is not None:
        content = json.dumps(body)
        sent["Content-Type"] = "application/json"
    connection = http.client.HTTPConnection(parts.netloc, timeout=timeout)
    with contextlib.closing(connection):
        connection.request(method, path, content, sent)
        response = connection.getresponse()
        text = response.read()
    found = {name.lower(): value for name, value in response.getheaders()}
    is_json = text and found.get("content-type", "").startswith("application/json")
    return Answer(response.status, found, json.loads(text) if is_json else None)


def answers(url: str) -> bool:
    """Whether a server at *url* answers, and not with a failure of its own."""
    try:
        return call("GET", url, timeout=5).status < http.client.INTERNAL_SERVER_ERROR
    except (OSError, http.client.HTTPException):
        return False


class Session:
    """Calls to one API with one token; what is not a success is raised as CloudError."""

    def __init__(self, url: str, token: str) -> None:
        self._url = url
        self._token = token

    def get(self, path: str) -> Any:
        """Answer the document at *path*."""
        return self._ask("GET", path, None, {}).body

    def post(self, path: str, body: object) -> Any:
        """Answer what was made of *body*."""
        return self._ask("POST", path, body, {}).body

    def patch(self, path: str, body: object) -> Any:
        """Answer what was changed by *body*."""
        return self._ask("PATCH", path, body, {}).body

    def put(self, path: str) -> None:
        """Make what *path* names."""
        self._ask("PUT", path, None, {})

    def set_headers(self, path: str, headers: Mapping[str, str]) -> None:
        """POST *headers*, as Swift wants its metadata."""
        self._ask("POST", path, None, headers)

    def _ask(self, method: str, path: str, body: object, headers: Mapping[str, str]) -> Answer:
        sent = {"X-Auth-Token": self._token, **headers}
        answer = call(method, f"{self._url}{path}", body, sent)
        if answer.status >= http.client.BAD_REQUEST:
            raise CloudError(f"{method} {self._url}{path}: {answer.status} {answer.body}")
        return answer
