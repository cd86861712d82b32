"""A path of the registry's own API: its methods behind the guard, errors in the spec's form."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from registry.auth.ports import Action, Principal
from registry.oci.errors import (
    MethodUnsupported,
    RegistryError,
    RouteUnknown,
    StorageUnavailable,
)
from registry.oci.names import RepositoryName
from registry.storage.storage import Storage
from registry.v2api.errors import render
from registry.v2api.guard import Guard


@dataclass(frozen=True, slots=True)
class Call:
    """One request: what a handler is given."""

    request: Request
    storage: Storage
    guard: Guard
    principal: Principal
    repository: RepositoryName | None
    """None where the path names none."""
    name: str
    """The repository's name as the client spells it."""


Handler = Callable[[Call], Awaitable[Response]]


class Endpoint:
    """Handlers by method, each with the actions that its caller must be allowed.

    A path with ``name`` is about that repository; any other is about all that the caller may read.
    While ledger and store disagree nothing is changed, listed or denied.
    """

    def __init__(self, **handlers: tuple[Handler, frozenset[Action]]) -> None:
        """No handlers at all where there is no such path."""
        self._handlers = handlers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        response = await self._answer(Request(scope, receive))
        await response(scope, receive, send)

    async def _answer(self, request: Request) -> Response:
        storage: Storage = request.app.state.storage
        try:
            return await self._carry_out(request, storage)
        except RegistryError as error:
            return render(storage.believed(error))

    async def _carry_out(self, request: Request, storage: Storage) -> Response:
        method = "GET" if request.method == "HEAD" else request.method
        if not self._handlers:
            raise RouteUnknown("there is no such path in this API")
        if method not in self._handlers:
            allowed = ", ".join(self._handlers)
            raise MethodUnsupported(f"use {allowed}", headers={"Allow": allowed})
        handler, actions = self._handlers[method]
        guard: Guard = request.app.state.guard
        name: str | None = request.path_params.get("name")
        principal = await guard.admit(request, name)
        repository = None
        if name is not None:
            repository = await guard.find_repository(principal, name)
            await guard.authorize(request, principal, repository, actions)
        else:
            await guard.require_catalogue(request, principal)
        if storage.disagreement is not None:
            raise StorageUnavailable(storage.disagreement)
        return await handler(Call(request, storage, guard, principal, repository, name or ""))
