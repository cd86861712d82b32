"""Where nobody signs in, only this machine may ask."""

import ipaddress

from starlette.requests import Request

from registry.oci.errors import Denied

_FOREIGN = ("origin", "forwarded", "x-forwarded-")
"""Beginnings of headers that a request from this machine does not have."""


def refuse_foreign(request: Request) -> None:
    """Without sign-in, a web page or a reverse proxy must not open the store to others."""
    host = request.headers.get("host", "")
    bare = host.rpartition(":")[0] if host.rpartition(":")[2].isdecimal() else host
    if not _is_loopback(bare.strip("[]")):
        raise Denied(
            f"nobody signs in here, so only this machine may ask, and the Host is {host[:100]!r}: "
            "use 127.0.0.1, or set auth.kind"
        )
    for name in request.headers:
        if name.startswith(_FOREIGN):
            raise Denied(
                f"nobody signs in here, so a request with the header {name} is refused: it comes "
                "from a web page or through a proxy; set auth.kind to let others in"
            )


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"
