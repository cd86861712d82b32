"""Glance's API, asked as the service user or a caller: keystoneauth in a few threads."""

import asyncio
import logging
import re
from concurrent.futures import ThreadPoolExecutor
from http import HTTPMethod, HTTPStatus
from typing import Any, Final

from keystoneauth1 import exceptions
from keystoneauth1.plugin import BaseAuthPlugin
from keystoneauth1.session import Session
from keystoneauth1.token_endpoint import Token
from requests import Response

from registry.oci.errors import StorageUnavailable
from registry.storage.ports.images import Absent, Refused

THREADS: Final = 8
"""Questions at once."""
TIMEOUT: Final = 30.0
"""Seconds for which Glance may be silent."""
WORDS: Final = 200
"""Characters of Glance's own words that are told on."""
JSON: Final = "application/json"
PATCH: Final = "application/openstack-images-v2.1-json-patch"
"""In this form ``add`` also replaces."""
DATA: Final = "application/octet-stream"
PASSING: Final = frozenset({401, 408, 409, 425, 429})
"""Statuses under 500 of what may pass: a lock, a limit of rate, a token that was refused."""
_MARKUP = re.compile(r"<title>.*?</title>|<h1>.*?</h1>|<[^>]*>", re.DOTALL)
_log = logging.getLogger(__name__)


class GlanceClient:
    """One Glance, reached with the tokens of *session*.

    The service catalogue says where it is, by *interface* and *region*, unless *endpoint* does.
    No exception holds or follows another that holds a request, and so a token.
    """

    def __init__(
        self,
        session: Session,
        *,
        region: str | None = None,
        interface: str = "public",
        endpoint: str | None = None,
        timeout: float = TIMEOUT,
    ) -> None:
        self._session = session
        self._region = region
        self._interface = interface
        self._endpoint = _without_version(endpoint) if endpoint else None
        self._timeout = timeout
        self._pool = ThreadPoolExecutor(THREADS, "glance")

    async def ask(
        self,
        method: HTTPMethod,
        path: str,
        body: object = None,
        *,
        query: dict[str, str] | None = None,
        kind: str = JSON,
        meant: frozenset[int] = frozenset(),
        caller: str | None = None,
    ) -> tuple[int, Any]:
        """Status and document of an answer that is good, or whose status is *meant*.

        *caller* is a token of whoever is to be asked for, if not the service user.

        Raises Absent, Refused and StorageUnavailable for the others.
        """
        loop = asyncio.get_running_loop()
        answer = await loop.run_in_executor(
            self._pool, self._send, method, path, body, query, kind, caller
        )
        status = answer.status_code
        if answer.ok or status in meant:
            return status, _document(answer) if answer.ok else None
        if status == HTTPStatus.NOT_FOUND:
            raise Absent(path)
        if status in PASSING or not HTTPStatus.BAD_REQUEST <= status < 500:
            _log.warning("Glance answered %s to %s %s", status, method, path)
            raise StorageUnavailable(f"Glance answered {status} to {method}")
        raise Refused(f"Glance answered {status} to {method}: {_words(answer.text)}")

    async def close(self) -> None:
        """End its threads and connections."""
        self._pool.shutdown(wait=False, cancel_futures=True)
        self._session.session.close()

    def _send(
        self,
        method: HTTPMethod,
        path: str,
        body: object,
        query: dict[str, str] | None,
        kind: str,
        caller: str | None,
    ) -> Response:
        headers = {"Accept": JSON}
        content: dict[str, Any] = {}
        if body is not None:
            headers["Content-Type"] = kind
            content = {"data": body} if isinstance(body, bytes) else {"json": body}
        try:
            return self._session.request(
                f"{self._url()}/v2{path}",
                str(method),
                headers=headers,
                params=query,
                raise_exc=False,
                log=False,
                redirect=False,
                timeout=self._timeout,
                auth=None if caller is None else as_caller(caller),
                **content,
            )
        # OSError: what requests makes of files with certificates that it cannot read.
        except (exceptions.ClientException, OSError) as error:
            why = type(error).__name__
        _log.warning("Glance does not answer: %s", why)
        raise StorageUnavailable(f"Glance does not answer ({why})")

    def _url(self) -> str:
        if self._endpoint is None:
            found = self._session.get_endpoint(
                service_type="image", interface=self._interface, region_name=self._region
            )
            if found is None:
                raise StorageUnavailable("the service catalogue has no image service")
            self._endpoint = _without_version(found)
        return self._endpoint


def as_caller(token: str) -> BaseAuthPlugin:
    """By which a session speaks as whoever the token is of, and as nobody else if it is refused."""
    return Token("", token)


def _without_version(endpoint: str) -> str:
    return re.sub(r"/v2(\.\d+)?$", "", endpoint.rstrip("/"))


def _document(answer: Response) -> Any:
    if not answer.content:
        return None
    try:
        return answer.json()
    except ValueError:
        raise StorageUnavailable("Glance's answer is no JSON") from None


def _words(text: str) -> str:
    """What of an error's page is for people, on one line."""
    return " ".join(_MARKUP.sub(" ", text).split())[:WORDS]
