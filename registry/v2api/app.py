"""The ASGI application: /v2/ by its own table, everything else by Starlette's router."""

import asyncio
import contextlib
import json
import logging
import os
import random
import re
import sys
import time
import uuid
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute
from starlette.types import Lifespan, Message, Receive, Scope, Send

from registry import metrics
from registry.auth.ports import WHOLE
from registry.oci.errors import (
    RegistryError,
    StorageUnavailable,
)
from registry.oci.names import RepositoryName
from registry.push import PushRules
from registry.storage.storage import Storage
from registry.v2api import routes
from registry.v2api.call import Call
from registry.v2api.errors import render
from registry.v2api.guard import Guard
from registry.v2api.health import Network

_log = logging.getLogger(__name__)
_REQUEST_ID = re.compile(r"req-[0-9a-f-]{36}", re.ASCII)
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"})
_NOWHERE = RepositoryName("", "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What the HTTP side must know of the configuration."""

    manifest_limit: int = 4 * 1024 * 1024
    body_timeout: float = 60.0
    """Seconds in which some byte of a body must come."""
    metrics_from: tuple[Network, ...] = ()
    """Who may read /metrics."""
    push: PushRules = field(default_factory=PushRules)
    arrived: Callable[[str], Awaitable[str | None]] | None = None
    """Waits for a project's image records; why they have not arrived, if they have not."""


class Application:
    """Request in, answer out: identifies it, routes it, renders its error, logs it."""

    def __init__(
        self,
        storage: Storage,
        guard: Guard,
        settings: Settings,
        others: Sequence[BaseRoute] = (),
        lifespan: Lifespan[Starlette] | None = None,
        access_log: int | None = None,
    ) -> None:
        """*others* are routes outside /v2/; *access_log* is a file descriptor for JSON lines."""
        self._storage = storage
        self._guard = guard
        self._access_log = access_log
        self._starlette = Starlette(
            routes=list(others),
            exception_handlers={RegistryError: _render},
            lifespan=lifespan,
        )
        self.state = self._starlette.state
        self.state.storage = storage
        self.state.guard = guard
        self.state.manifest_limit = settings.manifest_limit
        self.state.body_timeout = settings.body_timeout
        self.state.push_rules = settings.push
        self.state.arrived = settings.arrived
        self.state.metrics_from = settings.metrics_from
        self._in_flight = 0
        self._idle = asyncio.Event()
        """Set whenever the last request in flight has ended."""

    async def ended(self, seconds: float = 10.0) -> None:
        """Answer once no request is in flight, or after *seconds*.

        Those that a shutdown broke off still record what they received: the stores must be there.
        """
        if self._in_flight:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._idle.wait(), seconds)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] != "http":
            await self._starlette(scope, receive, send)
            return
        answer = _Answer(send, _request_id(scope))
        scope.setdefault("state", {})["request_id"] = answer.request_id
        path: str = scope["path"]
        self._in_flight += 1
        self._idle.clear()
        try:
            if path == "/v2" or path.startswith("/v2/"):
                scope["app"] = self._starlette
                response = await self._answer(Request(scope, receive), answer)
                await response(scope, receive, answer.send)
            else:
                await self._starlette(scope, receive, answer.send)
        except asyncio.CancelledError:
            # The grace of a shutdown has ended. An answer that has begun breaks off, so that
            # nobody takes it for whole.
            if answer.status == 0:
                ending = StorageUnavailable("the server ends; what was received is kept")
                await render(ending)(scope, receive, answer.send)
        finally:
            self._in_flight -= 1
            if not self._in_flight:
                self._idle.set()
            seconds = time.monotonic() - answer.began
            method = scope["method"] if scope["method"] in METHODS else "other"
            metrics.count_request(answer.resource, method, answer.status, seconds, answer.sent)
            if self._access_log is not None:
                self._write(scope, answer, seconds)

    async def _answer(self, request: Request, answer: "_Answer") -> Response:
        try:
            found = routes.match(request.scope["path"])
            answer.resource = found.resource
            route = routes.choose(found, request.method)
            return await self._carry_out(request, found, route)
        except RegistryError as error:
            if isinstance(error, StorageUnavailable):
                _log.warning("%s %s: %s", request.method, request.scope["path"], error)
            return render(self._storage.believed(error))

    async def _carry_out(
        self, request: Request, found: routes.Match, route: routes.Route
    ) -> Response:
        everywhere = found.methods is routes.CATALOGUE
        principal = await self._guard.admit(request, None if everywhere else found.name)
        repository = _NOWHERE
        opening = WHOLE
        if found.methods is routes.BASE:
            await self._guard.require_known(request, principal)
        elif found.methods is routes.CATALOGUE:
            await self._guard.require_catalogue(request, principal)
        else:  # whatever else there is lies in a repository, even one without a name
            repository = await self._guard.find_repository(principal, found.name)
            opening = await self._guard.authorize(
                request,
                principal,
                repository,
                route.actions,
                upload=found.reference if found.upload else None,
            )
        if self._storage.disagreement is not None and (
            request.method not in {"GET", "HEAD"}
            or found.methods in (routes.TAGS, routes.REFERRERS, routes.CATALOGUE)
        ):
            raise StorageUnavailable(self._storage.disagreement)
        call = Call(
            request,
            self._storage,
            self._guard,
            principal,
            found.name,
            repository,
            found.reference,
            opening,
        )
        return await route.handler(call)

    def _write(self, scope: Scope, answer: "_Answer", seconds: float) -> None:
        """One line of the access log; never a query string, which may hold a capability."""
        client = scope.get("client")
        line = (
            f'{{"time":"{datetime.now(UTC).isoformat(timespec="milliseconds")}",'
            f'"request_id":"{answer.request_id}","client":"{client[0] if client else ""}",'
            f'"method":{_quoted(scope["method"])},"path":{_quoted(scope["path"])},'
            f'"status":{answer.status},"bytes":{answer.sent},'
            f'"seconds":{seconds:.6f}}}\n'
        )
        assert self._access_log is not None
        try:
            os.write(self._access_log, line.encode("utf-8", "replace"))
        except OSError as error:
            sys.stderr.write(f"the access log cannot be written: {error}\n")


class _Answer:
    """Watches an answer go out: gives it its request id, counts what it sends."""

    __slots__ = ("_header", "_send", "began", "request_id", "resource", "sent", "status")

    def __init__(self, send: Send, request_id: str) -> None:
        self._send = send
        self.request_id = request_id
        self._header = (b"x-openstack-request-id", request_id.encode())
        self.resource = "other"
        self.status = 0
        self.sent = 0
        self.began = time.monotonic()

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            message["headers"] = [*message["headers"], self._header]
        else:
            self.sent += len(message.get("body", b""))
        await self._send(message)


def _request_id(scope: Scope) -> str:
    """A fresh id; the caller's own is kept as the global one (oslo.middleware's form)."""
    for name, value in scope["headers"]:
        if name == b"x-openstack-request-id" and _REQUEST_ID.fullmatch(value.decode("latin-1")):
            scope.setdefault("state", {})["global_request_id"] = value.decode("latin-1")
    # No secret: the kernel's randomness costs more than all the rest of a small request's path.
    return f"req-{uuid.UUID(int=random.getrandbits(128), version=4)}"


def _quoted(text: str) -> str:
    plain = text.isascii() and text.isprintable() and '"' not in text and "\\" not in text
    return f'"{text}"' if plain else json.dumps(text)


async def _render(request: Request, error: Exception) -> Response:
    del request
    assert isinstance(error, RegistryError)
    return render(error)
