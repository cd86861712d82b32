"""The agent's API, on its unix socket: everything that can be done on one host without a shim."""

import re
from collections.abc import AsyncIterator
from typing import Any

from anyio import CapacityLimiter, to_thread
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from hostagent import image_routes, volume_routes
from hostagent.bodies import BoundedBodies
from hostagent.describe import describe
from hostagent.errors import Conflict, DiskFailed, HostError, NotHere, Refused
from hostagent.local import Local
from hostagent.recipes import SSH
from hostagent.records import Attempt, AttemptState, ContainerRow, OperationRow, SetRow
from inside import output
from runspec.bundle import program
from setspec.desired import Args, Level, RebuildDisk, Restart, SyncStatus
from setspec.faults import DocumentInvalid
from setspec.normal import Exec
from setspec.shape import dump
from setspec.strict import SET_BOUNDS, read

_EXEC_SECONDS = 3600.0
_EXECS = CapacityLimiter(128)
"""Programs at once; each has a thread of its own, beside those that answer everybody else."""
_NUMBER = re.compile(r"[0-9]{1,18}")
_KEY = 255
"""Characters of an Idempotency-Key."""
_LEVELS = {
    "start": Level.RUNNING,
    "stop": Level.STOPPED,
    "suspend": Level.SUSPENDED,
    "resume": Level.RUNNING,
}


def create_app(local: Local, images: Any) -> Starlette:
    """The ASGI application; *images* has ``report`` for what lies in the cache."""
    app = Starlette(
        routes=[
            Route("/sets", create, methods=["POST"]),
            Route("/sets", list_sets),
            Route("/sets/{set}", show),
            Route("/sets/{set}", update, methods=["PUT"]),
            Route("/sets/{set}", delete, methods=["DELETE"]),
            Route("/sets/{set}/image", change_image, methods=["POST"]),
            Route("/sets/{set}/password", change_password, methods=["POST"]),
            Route("/sets/{set}/exec", execute, methods=["POST"]),
            Route("/sets/{set}/logs", tell_logs),
            Route("/sets/{set}/{action}", act, methods=["POST"]),
            Route("/cache", cache),
            *image_routes.ROUTES,
            *volume_routes.ROUTES,
            Route("/healthz", healthz),
        ],
        exception_handlers={
            HostError: _told,
            OSError: _told,
            DocumentInvalid: _faults,
            ClientDisconnect: _unheard,
        },
        middleware=[Middleware(BoundedBodies)],
    )
    app.state.local = local
    app.state.images = images
    return app


async def create(request: Request) -> Response:
    """Make a set; ?dry_run: only say what it would be."""
    raw = await request.body()
    return await run_in_threadpool(_create, request, raw)


def _create(request: Request, raw: bytes) -> Response:
    local = _local(request)
    if "dry_run" in request.query_params:
        return JSONResponse(dump(local.read(raw).spec))
    key = request.headers.get("idempotency-key")
    if key is not None and not 1 <= len(key) <= _KEY:
        raise Refused(f"Idempotency-Key has 1 to {_KEY} characters")
    row = local.create(raw, key)
    return JSONResponse(_shown(local, row), 201)


def list_sets(request: Request) -> Response:
    """All sets."""
    local = _local(request)
    return JSONResponse([_shown(local, row) for row in local.host.store.rows(SetRow)])


def show(request: Request) -> Response:
    """One set, with its document and operations."""
    local = _local(request)
    row = _found(request)
    operations = local.host.store.rows(OperationRow, set=row.set)
    told = [
        {"id": each.id, "kind": each.kind, "state": each.state, "reason": each.reason}
        for each in operations
    ]
    spec = dump(local.host.desired(row).spec)
    return JSONResponse({**_shown(local, row), "spec": spec, "operations": told})


async def update(request: Request) -> Response:
    """Another document; If-Match: the generation that was seen. ?dry_run: only say what."""
    raw = await request.body()
    return await run_in_threadpool(_update, request, raw)


def _update(request: Request, raw: bytes) -> Response:
    local = _local(request)
    row = _found(request)
    if "dry_run" in request.query_params:
        return JSONResponse(dump(local.read(raw).spec))
    said = request.headers.get("if-match")
    if said is not None and not _NUMBER.fullmatch(said):
        raise Conflict(f"If-Match is a generation, a number; {said[:100]!r} is none")
    fresh = local.update(row, raw, int(said) if said else None)
    return JSONResponse(_shown(local, fresh))


async def change_image(request: Request) -> Response:
    """Another image for one container."""
    body = _object(await request.body(), "container", "image")
    return await run_in_threadpool(_change_image, request, body)


def _change_image(request: Request, body: dict[str, Any]) -> Response:
    local = _local(request)
    row = local.change_image(_found(request), body["container"], body["image"])
    return JSONResponse(_shown(local, row))


async def change_password(request: Request) -> Response:
    """Another password for root, by ssh."""
    body = _object(await request.body(), "password")
    return await run_in_threadpool(_change_password, request, body)


def _change_password(request: Request, body: dict[str, Any]) -> Response:
    local = _local(request)
    row = _found(request)
    operation = local.set_password(row, body["password"])
    return JSONResponse({**_shown(local, row), "operation": operation}, 202)


def act(request: Request) -> Response:
    """start, stop, suspend, resume, restart, rebuild or sync."""
    local = _local(request)
    row = _found(request)
    action = request.path_params["action"]
    is_ended = row.held is not None and row.level == Level.RUNNING
    if action == "resume" and (is_ended or row.level == Level.STOPPED):
        raise Conflict("the set is stopped: start it")
    if action in _LEVELS:
        return JSONResponse(_shown(local, local.set_level(row, _LEVELS[action])))
    named = tuple(request.query_params.getlist("container")) or None
    known = dict(local.host.desired(row).spec.workloads())
    unknown = [name for name in named or () if name not in known]
    if unknown:
        raise NotHere(f"the set has no container {unknown[0]!r}")
    operations: dict[str, Args] = {
        "restart": Restart(containers=named),
        "rebuild": RebuildDisk(containers=named),
        "sync": SyncStatus(),
    }
    if action not in operations:
        raise NotHere(f"nothing is called {action!r} here")
    operation = local.operate(row, operations[action])
    return JSONResponse({**_shown(local, row), "operation": operation}, 202)


def delete(request: Request) -> Response:
    """A set shall be gone; ?purge: its volumes too."""
    local = _local(request)
    row = _found(request)
    local.delete(row, purge="purge" in request.query_params)
    return JSONResponse({"set": row.set}, 202)


async def execute(request: Request) -> Response:
    """Run a program in a container; its output, and its exit code in a header."""
    body = _object(await request.body(), "cmd")
    return await to_thread.run_sync(_execute, request, body, limiter=_EXECS)


def _execute(request: Request, body: dict[str, Any]) -> Response:
    host = _local(request).host
    row, attempt = _container(request, body.get("container"))
    args = body.get("args", [])
    if not isinstance(args, list) or not all(isinstance(each, str) for each in args):
        raise Refused("args is a list of texts")
    if host.runtime.is_frozen(row.set):
        raise Conflict("the set is suspended: resume it first")
    if attempt.state is not AttemptState.STARTED:
        raise Conflict(f"{attempt.container} does not run")
    process = program(host.process(attempt), Exec(cmd=body["cmd"], args=tuple(args)))
    stdin = str(body.get("stdin", "")).encode()
    ended = host.runtime.run(attempt.id, process, _EXEC_SECONDS, stdin)
    code = "" if ended.code is None else str(ended.code)
    headers = {"Exit-Code": code, **({"Output-Cut": "1"} if ended.is_cut else {})}
    return Response(ended.output, media_type="text/plain", headers=headers)


def tell_logs(request: Request) -> Response:
    """A container's output; ?tail=N the last lines; ?follow: as they come."""
    local = _local(request)
    row, attempt = _container(request, request.query_params.get("container"))
    path = local.host.layout.log(row.set, attempt.container)
    tail = request.query_params.get("tail", "")
    if tail and not _NUMBER.fullmatch(tail):
        raise Refused(f"tail is a number of lines; {tail[:100]!r} is none")
    at = output.end(path)
    lines = output.read(path, int(tail) if tail else None, at)
    text = "".join(f"{line}\n" for line in lines)
    if "follow" not in request.query_params:
        return PlainTextResponse(text)

    def goes_on() -> bool:
        return bool(local.host.store.rows(SetRow, set=row.set))

    async def body() -> AsyncIterator[str]:
        yield text
        async for line in output.follow(path, at, goes_on):
            yield f"{line}\n"

    return StreamingResponse(body(), media_type="text/plain")


def cache(request: Request) -> Response:
    """What lies in the image cache: layers with their bytes, inodes, pins and uses."""
    report = request.app.state.images.report()
    told = _fields(report, "bytes", "inodes", "hits", "fetched_layers", "fetched_bytes")
    layers = [
        {"diff_id": str(each.diff_id), **_fields(each, "bytes", "inodes", "pins", "uses")}
        for each in report.layers
    ]
    coming = [
        {
            "digest": str(each.layer.blob.digest),
            "total": each.layer.blob.size,
            **_fields(each, "stage", "received", "rate", "error"),
        }
        for each in report.coming
    ]
    return JSONResponse({**told, "layers": layers, "coming": coming})


def healthz(_: Request) -> Response:
    """The agent is there."""
    return PlainTextResponse("ok\n")


def _fields(value: Any, *names: str) -> dict[str, Any]:
    return {name: getattr(value, name) for name in names}


def _local(request: Request) -> Local:
    local: Local = request.app.state.local
    return local


def _found(request: Request) -> SetRow:
    return _local(request).find(request.path_params["set"])


def _container(request: Request, name: str | None) -> tuple[SetRow, Attempt]:
    """The container that is named, or the only one; its attempt."""
    store = _local(request).host.store
    row = _found(request)
    rows = store.rows(ContainerRow, set=row.set)
    found = [each for each in rows if each.name == name or (name is None and each.name != SSH)]
    if len(found) > 1:
        names = ", ".join(each.name for each in found)
        raise Conflict(f"the set has several containers: name one of {names}")
    if not found:
        raise NotHere("the set has no container" + ("" if name is None else f" {name!r}"))
    if found[0].current is None:
        raise Conflict(f"{found[0].name} is not there yet")
    return row, store.find(Attempt, id=found[0].current)


def _shown(local: Local, row: SetRow) -> dict[str, Any]:
    desired = local.host.desired(row)
    addresses = [each for port in desired.allocation.ports for each in port.addresses]
    told = dump(describe(local.host, row))
    return {**told, "appkey": desired.spec.appkey, "level": row.level, "addresses": addresses}


def _object(raw: bytes, *needed: str) -> dict[str, Any]:
    body = read(raw, SET_BOUNDS)
    for name in needed:
        if not isinstance(body.get(name), str):
            raise Refused(f"the body needs {name!r}, a text")
    return body


async def _told(_: Request, error: Exception) -> Response:
    failure = error if isinstance(error, HostError) else DiskFailed(error)
    return JSONResponse({"message": str(failure)}, failure.status)


async def _faults(_: Request, error: Exception) -> Response:
    assert isinstance(error, DocumentInvalid)
    return JSONResponse(error.as_json(), 400)


async def _unheard(_: Request, __: Exception) -> Response:
    return Response(status_code=400)  # who has gone hears nothing
