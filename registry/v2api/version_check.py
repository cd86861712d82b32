"""end-1: GET /v2/, by which clients find a registry, and whether they must sign in."""

from http import HTTPStatus

from starlette.responses import Response

from registry.v2api.call import Call


async def check_version(call: Call) -> Response:
    """200 to whoever may ask anything; the guard has answered 401 to all others."""
    del call
    headers = {"Docker-Distribution-Api-Version": "registry/2.0"}
    return Response(b"{}", HTTPStatus.OK, headers, "application/json")
