"""Answers of the Image API: records and members as JSON, errors in Glance's shape."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any, Protocol

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send

from registry.auth.ports import Principal
from registry.bodies import read_json
from registry.oci.errors import (
    MethodUnsupported,
    RegistryError,
    RouteUnknown,
    StorageUnavailable,
)
from registry.sharing import Caller, Membership
from registry.storage.records import ImageRecord
from registry.storage.storage import Storage


class Guard(Protocol):
    """What the Image API needs of v2api's guard."""

    async def admit(self, request: Request) -> Principal: ...
    async def require_catalogue(self, request: Request, principal: Principal) -> None: ...
    def readable_projects(self, principal: Principal) -> frozenset[str] | None: ...


@dataclass(frozen=True, slots=True)
class Call:
    """One request: what a handler is given."""

    request: Request
    storage: Storage
    caller: Caller

    async def json(self) -> Any:
        """The body, read; raises Unsupported where it is no JSON, and RequestTimeout."""
        return await read_json(self.request)


Handler = Callable[[Call], Awaitable[Response]]


class Endpoint:
    """A path of the Image API: its methods behind the guard, errors told as Glance tells them.

    While ledger and store disagree nothing is changed, listed or denied.
    """

    def __init__(self, **handlers: Handler) -> None:
        """*handlers* by method; none at all where there is no such path."""
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
            return refusal(storage.believed(error))

    async def _carry_out(self, request: Request, storage: Storage) -> Response:
        method = "GET" if request.method == "HEAD" else request.method
        handler = self._handlers.get(method)
        if handler is None:
            raise self._no_such(method)
        guard: Guard = request.app.state.guard
        principal = await guard.admit(request)
        await guard.require_catalogue(request, principal)
        single = "image_id" in request.path_params
        if storage.disagreement is not None and (method != "GET" or not single):
            raise StorageUnavailable(storage.disagreement)
        caller = Caller(principal, guard.readable_projects(principal))
        return await handler(Call(request, storage, caller))

    def _no_such(self, method: str) -> RegistryError:
        if not self._handlers:
            return RouteUnknown("there is no such path in this Image API")
        allowed = ", ".join(self._handlers)
        return MethodUnsupported(
            f"{method} is not for records: they are made by pushing; here there is {allowed}",
            headers={"Allow": allowed},
        )


def refusal(error: RegistryError) -> Response:
    """An error as glanceclient and openstacksdk read it."""
    detail = error.detail if isinstance(error.detail, str) else error.message
    return fault(error.status, detail, error.headers)


def fault(status: HTTPStatus, message: str, headers: Mapping[str, str] | None = None) -> Response:
    """An error of *status* in words."""
    body = {"error": {"code": int(status), "title": status.phrase, "message": message}}
    return JSONResponse(body, status, headers)


def image(record: ImageRecord) -> dict[str, Any]:
    """A record as an image; its properties stand flat beside the standard fields."""
    path = f"/v2/images/{record.id}"
    return {
        **record.properties,
        "id": record.id,
        "name": record.name,
        "disk_format": "docker",
        "container_format": "docker",
        "size": record.size,
        "virtual_size": None,
        "status": "active",
        "visibility": record.visibility,
        "owner": record.project,
        "min_disk": 0,
        "min_ram": 0,
        "protected": record.protected,
        "os_hidden": record.hidden,
        "created_at": time(record.created_at),
        "updated_at": time(record.updated_at),
        "checksum": None,
        "os_hash_algo": None,
        "os_hash_value": None,
        "parent_id": record.parent_id,
        "tags": [],
        "self": path,
        "file": f"{path}/file",
        "schema": "/v2/schemas/image",
    }


def member(membership: Membership) -> dict[str, Any]:
    """A member of a record, with the record's times: the ledger keeps no others for it."""
    record = membership.record
    return {
        "image_id": record.id,
        "member_id": membership.member.project,
        "status": membership.member.status,
        "created_at": time(record.created_at),
        "updated_at": time(record.updated_at),
        "schema": "/v2/schemas/member",
    }


def time(seconds: float) -> str:
    """ISO 8601 in UTC, as Glance writes it: whole seconds, Z."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
