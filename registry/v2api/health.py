"""/healthz, /readyz and /metrics: what watches a server is told."""

import ipaddress
from collections.abc import Sequence

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from registry import metrics
from registry.oci.errors import RegistryError
from registry.storage.storage import Storage

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def parse_networks(texts: Sequence[str]) -> tuple[Network, ...]:
    """Addresses or networks (``10.0.0.0/8``); raises ValueError."""
    return tuple(ipaddress.ip_network(text) for text in texts)


async def _alive(_: Request) -> Response:
    return PlainTextResponse("OK\n")


async def _ready(request: Request) -> Response:
    storage: Storage = request.app.state.storage
    try:
        await storage.ledger.identity()
    except RegistryError as error:
        return PlainTextResponse(f"{error}\n", 503)
    if storage.disagreement is not None:
        return PlainTextResponse(f"{storage.disagreement}\n", 503)
    return PlainTextResponse("OK\n")


async def _metrics(request: Request) -> Response:
    if not _is_watcher(request):
        return PlainTextResponse("http.metrics_from does not name your address\n", 403)
    ready = request.app.state.storage.disagreement is None
    return Response(metrics.exposition(ready=ready), media_type=metrics.CONTENT_TYPE)


def _is_watcher(request: Request) -> bool:
    networks: Sequence[Network] = request.app.state.metrics_from
    if request.client is None:
        return False
    try:
        address = ipaddress.ip_address(request.client.host)
    except ValueError:
        return False
    return any(address in network for network in networks)


routes = [
    Route("/healthz", _alive, methods=["GET"]),
    Route("/readyz", _ready, methods=["GET"]),
    Route("/metrics", _metrics, methods=["GET"]),
]
