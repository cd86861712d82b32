"""Small bodies of requests, read whole: bounded in bytes and in time."""

import asyncio
import json
from typing import Any

from starlette.requests import ClientDisconnect, Request

from registry.oci.errors import RequestTimeout, SizeInvalid, Unsupported

LIMIT = 64 * 1024
"""Bytes at most."""


async def read_small(request: Request, what: str = "body") -> bytes:
    """All of it; raises SizeInvalid, RequestTimeout, and Unsupported if the client went away.

    The application's state says in ``body_timeout`` how many seconds there are. Errors call
    it *what*.
    """
    seconds: float = request.app.state.body_timeout
    content = bytearray()
    try:
        async with asyncio.timeout(seconds):
            async for chunk in request.stream():
                content += chunk
                if len(content) > LIMIT:
                    raise SizeInvalid(f"a {what} has at most {LIMIT} bytes")
    except TimeoutError:
        raise RequestTimeout(f"the {what} was not whole after {seconds:g} s") from None
    except ClientDisconnect:
        raise Unsupported(f"the {what} ended too early") from None
    return bytes(content)


async def read_json(request: Request) -> Any:
    """The document in a small body; raises Unsupported where it is no JSON, and as `read_small`."""
    try:
        return json.loads(await read_small(request))
    except (ValueError, RecursionError):
        raise Unsupported("the body is not JSON") from None
