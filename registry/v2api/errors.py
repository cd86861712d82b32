"""RegistryError to the spec's JSON: the only place where that is done."""

import json

from starlette.responses import Response

from registry.oci.errors import RegistryError


def render(error: RegistryError) -> Response:
    """The answer that tells a client of *error* (distribution-spec, "Error Codes")."""
    body = {"code": error.code, "message": error.told, "detail": error.detail}
    content = json.dumps({"errors": [body]}, default=str, ensure_ascii=True).encode()
    return Response(content, error.status, error.headers, "application/json")
