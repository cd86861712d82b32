"""Volumes and pools of a host, over the agent's socket."""

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from hostagent.allowed import holders
from hostagent.errors import Conflict, NotHere
from hostagent.host import Host
from hostagent.ports import Json


def list_volumes(request: Request) -> Response:
    """All volumes, those that no set has any more too."""
    return JSONResponse(_all(request))


def show(request: Request) -> Response:
    """One volume, by its id or the first letters of it."""
    return JSONResponse(_found(request))


def purge(request: Request) -> Response:
    """Remove a volume that no set has, and its bytes."""
    host = _host(request)
    volume_id = _found(request)["id"]
    with host.store.transaction():  # no set takes it meanwhile
        holder = holders(host).get(volume_id)
        if holder is not None:
            raise Conflict(f"set {holder} has volume {volume_id}: delete the set first")
        host.volumes.retire(volume_id)
    host.volumes.sweep()
    return JSONResponse({"id": volume_id})


def pools(request: Request) -> Response:
    """Local storage: what there is, is used, and was promised."""
    return JSONResponse(_host(request).volumes.pools())


def _all(request: Request) -> list[Json]:
    host = _host(request)
    taken = holders(host)
    return [{**each, "in_use": each["id"] in taken} for each in host.volumes.all()]


def _found(request: Request) -> Json:
    name = request.path_params["volume"]
    near = [each for each in _all(request) if each["id"].startswith(name)]
    found = [each for each in near if each["id"] == name] or near
    if len(found) != 1:
        raise NotHere(f"{len(found)} volumes of this host begin with {name!r}: see volume-list")
    return found[0]


def _host(request: Request) -> Host:
    host: Host = request.app.state.local.host
    return host


ROUTES = (
    Route("/volumes", list_volumes),
    Route("/volumes/{volume}", show),
    Route("/volumes/{volume}", purge, methods=["DELETE"]),
    Route("/pools", pools),
)
