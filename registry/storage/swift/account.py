"""The service project's account in Swift: requests with a token, repeated where that is safe."""

import asyncio
import contextlib
import ssl
import time
from collections.abc import AsyncIterator, Collection, Mapping
from dataclasses import dataclass, field
from http import HTTPMethod, HTTPStatus
from pathlib import Path
from typing import Final
from urllib.parse import quote, urlsplit

from keystoneauth1.session import Session

from registry.oci.errors import RegistryError, StorageFull, StorageUnavailable
from registry.storage.swift.credentials import Credentials
from registry.storage.swift.pool import LIMIT, Pool
from registry.storage.swift.wire import Connection, Disconnected, Head

SECONDS: Final = 60.0
"""How long Swift may be silent."""
PAUSES: Final = (0.0, 0.2, 0.8)
"""Seconds before each further attempt: a connection that went stale costs none."""
PASSING: Final = frozenset({408, 429, 498, 500, 502, 503, 504})
"""Statuses of failures that may pass (498: Swift's rate limit)."""
FULL: Final = frozenset({HTTPStatus.REQUEST_ENTITY_TOO_LARGE, HTTPStatus.INSUFFICIENT_STORAGE})
EXPECT: Final = 5.0
"""Seconds to wait for the word to go on; see Connection.may_go_on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What is asked of the account; each is such that it can be repeated."""

    method: HTTPMethod
    container: str = ""
    """Empty: the account itself."""
    name: str = ""
    query: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    content: bytes | None = b""
    """None: the body follows once Swift wants it; then the request cannot be repeated any more."""
    accept: Collection[int] = (200, 201, 202, 204)


class SwiftAccount:
    """One account, reached with the tokens of *session* by a bounded pool of connections.

    The service catalogue says where it is, by *interface* and *region*, unless *endpoint* does.
    Every method may raise StorageUnavailable, and one that writes StorageFull. *seconds* is how
    long Swift may be silent.
    """

    def __init__(
        self,
        session: Session,
        *,
        region: str | None = None,
        interface: str = "public",
        endpoint: str | None = None,
        connections: int = LIMIT,
        seconds: float = SECONDS,
    ) -> None:
        self._credentials = Credentials(session)
        self._session = session
        self._region = region
        self._interface = interface
        self._endpoint = endpoint.rstrip("/") if endpoint else None
        self._connections = connections
        self._seconds = seconds
        self._pool: Pool | None = None

    async def endpoint(self, interface: str | None = None) -> str:
        """The account's address, by another *interface* than is used here if told."""
        if interface not in {None, self._interface}:
            return await self._credentials.endpoint(interface or "", self._region)
        if self._endpoint is None:
            self._endpoint = await self._credentials.endpoint(self._interface, self._region)
        return self._endpoint

    async def ask(self, request: Request) -> tuple[Head, bytes]:
        """The whole answer; its status is one of those accepted."""
        broken = False
        while True:
            try:
                async with self.open(request) as (head, connection):
                    return head, b"".join([piece async for piece in connection.body()])
            except Disconnected as error:
                if broken:
                    raise _disconnected(request, error) from error
                broken = True

    @contextlib.asynccontextmanager
    async def open(self, request: Request) -> AsyncIterator[tuple[Head, Connection]]:
        """An accepted answer's head, and the connection on which its body comes."""
        connection = await self.reach(request)
        try:
            yield await connection.head(), connection
        finally:
            self.give(connection)

    async def reach(self, request: Request) -> Connection:
        """The connection on which an accepted answer has begun, or on which the body is wanted.

        Whoever gets it must ``give`` it back.
        """
        begun = time.monotonic()
        pauses = iter(PAUSES)
        mendable = {HTTPStatus.UNAUTHORIZED, HTTPStatus.NOT_FOUND}
        while True:
            failure: RegistryError
            cause: Exception | None = None
            token = await self._credentials.token()
            try:
                connection, head = await self._attempt(request, token)
            except Disconnected as error:
                failure, cause = _disconnected(request, error), error
            else:
                if head is None or head.status in request.accept:
                    return connection
                status = await self._meant(connection, head)
                self.give(connection)
                if status in mendable:
                    mendable.remove(status)
                    if await self._mend(request, status, token):
                        continue
                failure = refusal(request, head)
                if head.status not in PASSING:
                    raise failure
            pause = next(pauses, None)
            if pause is None or time.monotonic() - begun > self._seconds:
                raise failure from cause
            await asyncio.sleep(pause)

    def give(self, connection: Connection) -> None:
        """Take a connection back; one whose exchange is not over is dropped."""
        assert self._pool is not None
        self._pool.give(connection)

    async def close(self) -> None:
        """Let go of the connections."""
        await self._credentials.close()
        if self._pool is not None:
            await self._pool.close()

    # -- one attempt ----------------------------------------------------------------------------

    async def _attempt(self, request: Request, token: str) -> tuple[Connection, Head | None]:
        """The answer's head; None where the body is wanted."""
        target = await self._target(request)
        if self._pool is None:
            url = await self.endpoint()
            self._pool = Pool(url, self._tls(url), limit=self._connections, seconds=self._seconds)
        connection = await self._pool.take()
        try:
            connection.begin(request.method, target, _headers(request, token))
            if request.content is None:
                if await connection.may_go_on(EXPECT):
                    return connection, None
            else:
                if request.content:
                    await connection.send([request.content])
                connection.end()
            return connection, await connection.head()
        except BaseException:
            self._pool.give(connection)
            raise

    async def _target(self, request: Request) -> str:
        path = urlsplit(await self.endpoint()).path
        parts = [path, *filter(None, (request.container, request.name))]
        return "/".join(map(quote, parts)) + (f"?{request.query}" if request.query else "")

    async def _meant(self, connection: Connection, head: Head) -> HTTPStatus | None:
        """The status that can perhaps be mended.

        Of a large object's manifest Swift says that it is bad where the segments refuse the token.
        """
        if head.status == HTTPStatus.BAD_REQUEST:
            with contextlib.suppress(Disconnected):
                content = b"".join([piece async for piece in connection.body()])
                if b"401 Unauthorized" in content:
                    return HTTPStatus.UNAUTHORIZED
        mendable = {HTTPStatus.UNAUTHORIZED, HTTPStatus.NOT_FOUND}
        return HTTPStatus(head.status) if head.status in mendable else None

    async def _mend(self, request: Request, status: HTTPStatus, token: str) -> bool:
        """Whether there is a reason to try again at once."""
        if status == HTTPStatus.UNAUTHORIZED:
            self._credentials.reject(token)
            return True
        if request.method is HTTPMethod.PUT and request.name:
            # Containers are made when they are first written to.
            await self.ask(Request(method=HTTPMethod.PUT, container=request.container))
            return True
        return False

    def _tls(self, url: str) -> ssl.SSLContext | None:
        if urlsplit(url).scheme != "https":
            return None
        verify, certificate = self._session.verify, self._session.cert
        authorities = verify if isinstance(verify, str) else None
        try:
            context = ssl.create_default_context(
                cafile=authorities if authorities and Path(authorities).is_file() else None,
                capath=authorities if authorities and Path(authorities).is_dir() else None,
            )
            if verify is False:
                context.check_hostname = False
                context.verify_mode = ssl.CERT_NONE
            if certificate is not None:
                context.load_cert_chain(
                    *([certificate] if isinstance(certificate, str) else certificate)
                )
        except OSError as error:
            raise StorageUnavailable("the cloud's TLS certificates cannot be read") from error
        return context


def refusal(request: Request, head: Head) -> RegistryError:
    """What an answer that was not accepted means."""
    words = f"Swift answered {head.status} to {request.method}"
    if transaction := head.headers.get("x-trans-id"):
        words += f" (transaction {transaction})"
    if head.status in FULL:
        return StorageFull(f"{words}; free some space or ask the operator for more")
    if head.status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
        words += "; the service user may not do that"
    return StorageUnavailable(words)


def _disconnected(request: Request, error: Disconnected) -> StorageUnavailable:
    return StorageUnavailable(f"Swift gave no whole answer to {request.method}: {error}")


def _headers(request: Request, token: str) -> dict[str, str]:
    headers = {"X-Auth-Token": token, **request.headers}
    if request.content is None:
        headers["Expect"] = "100-continue"
    elif request.content or request.method in {HTTPMethod.PUT, HTTPMethod.POST}:
        headers["Content-Length"] = str(len(request.content))
    return headers
