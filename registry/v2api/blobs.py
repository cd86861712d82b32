"""end-2 and end-10: blobs, read and deleted."""

import logging
from collections.abc import AsyncIterator, Callable, Mapping
from http import HTTPStatus

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from registry import management, pull
from registry.oci.digest import Digest
from registry.oci.errors import RegistryError
from registry.v2api import ranges
from registry.v2api.call import Call

_log = logging.getLogger(__name__)


class BlobResponse(Response):
    """Bytes of a blob as they come from the store, of a length that is known beforehand."""

    def __init__(
        self, pieces: AsyncIterator[bytes], status: HTTPStatus, headers: Mapping[str, str]
    ) -> None:
        super().__init__(None, status, headers)
        self._pieces = pieces

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send all; where the store fails midway, leave the answer visibly unfinished.

        The server closes the connection of an answer that is not complete, so that no short body
        looks whole. Once the client is gone, no more is read for it.
        """
        is_gone: Callable[[], bool] = scope["state"].get("is_gone", lambda: False)
        await send(
            {"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers}
        )
        try:
            async for piece in self._pieces:
                if is_gone():
                    await _hear_end(receive)
                    return
                await send({"type": "http.response.body", "body": piece, "more_body": True})
        except RegistryError as error:
            _log.error("a blob's answer was cut short: %s", error)
            scope["state"]["cut"] = True
            return
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _hear_end(receive: Receive) -> None:
    """Wait for the connection's end: before it, to leave an answer unfinished is an error."""
    while (await receive())["type"] != "http.disconnect":
        pass


async def get_blob(call: Call) -> Response:
    """GET and HEAD /v2/<name>/blobs/<digest>."""
    digest = Digest.parse(call.reference)
    blob = await pull.find_blob(call.storage, call.repository, digest, call.opening)
    headers = {
        "Docker-Content-Digest": str(digest),
        "Content-Type": "application/octet-stream",
        "Accept-Ranges": "bytes",
        "ETag": f'"{digest}"',
        "Cache-Control": "max-age=31536000, immutable, private",
    }
    if call.request.method == "HEAD":
        headers["Content-Length"] = str(blob.size)
        return Response(None, HTTPStatus.OK, headers)
    elsewhere = await pull.find_elsewhere(call.storage, blob)
    if elsewhere is not None:
        # Whoever has the address may read the blob, so nobody on the way is to keep it.
        moved = {"Location": elsewhere, "Cache-Control": "no-store"}
        return Response(None, HTTPStatus.TEMPORARY_REDIRECT, moved)
    wanted = ranges.parse_range(call.request.headers.get("range"), blob.size)
    start, stop = wanted or (0, blob.size)
    status = HTTPStatus.OK if wanted is None else HTTPStatus.PARTIAL_CONTENT
    headers["Content-Length"] = str(stop - start)
    if wanted is not None:
        headers["Content-Range"] = f"bytes {start}-{stop - 1}/{blob.size}"
    pieces = await pull.open_blob(call.storage, blob, start, stop)
    return BlobResponse(pieces, status, headers)


async def delete_blob(call: Call) -> Response:
    """DELETE /v2/<name>/blobs/<digest>: 202, and gone for this repository at once."""
    await management.delete_blob(call.storage, call.repository, Digest.parse(call.reference))
    return Response(None, HTTPStatus.ACCEPTED)
