"""One request to /v2/, parsed: what a handler is given."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass

from starlette.requests import ClientDisconnect, Request

from registry.auth.ports import WHOLE, Opening, Principal
from registry.limits import Leave
from registry.oci.digest import Digest
from registry.oci.errors import (
    BlobUploadInvalid,
    DigestInvalid,
    RegistryError,
    RequestTimeout,
    SizeInvalid,
    Unsupported,
)
from registry.oci.names import RepositoryName
from registry.storage.storage import Storage
from registry.v2api.guard import Guard


class BodyBroken(RegistryError):
    """The client went away in the middle of its body; nobody reads this answer."""

    code = "BLOB_UPLOAD_INVALID"
    status = BlobUploadInvalid.status
    message = "the request's body broke off"


@dataclass(slots=True)
class Call:
    """Who asks for what in which repository."""

    request: Request
    storage: Storage
    guard: Guard
    principal: Principal
    name: str
    """The repository's name as the client spells it."""
    repository: RepositoryName
    reference: str
    """What follows the kind of resource: a digest, a tag, an upload's id; else empty."""
    opening: Opening = WHOLE
    """What of the repository the caller may see, if he only pulls."""

    @property
    def length(self) -> int | None:
        """The body's announced length in bytes; None for a chunked one, 0 for no body at all."""
        headers = self.request.headers
        coding = headers.get("transfer-encoding")
        if coding is not None:
            if coding.lower() != "chunked":
                raise Unsupported("of the transfer codings only chunked is understood")
            return None
        text = headers.get("content-length", "0")
        if not (text.isascii() and text.isdecimal() and len(text) < 20):
            raise SizeInvalid("Content-Length must be a decimal number of bytes")
        return int(text)

    async def leave(self) -> Leave:
        """What is pushed asks with this for room; raises StorageUnavailable."""
        return Leave(await self.storage.allowances.find(self.repository.project))

    def digest(self) -> Digest:
        """The query's ``digest``; raises DigestInvalid if it is missing, misspelt or ambiguous."""
        named = set(self.request.query_params.getlist("digest"))
        if len(named) != 1:
            raise DigestInvalid("the query must name the content's one digest: ?digest=sha256:…")
        return Digest.parse(named.pop())

    async def body(self) -> AsyncIterator[bytes]:
        """The body as it comes; raises BodyBroken or RequestTimeout where it stops coming."""
        seconds: float = self.request.app.state.body_timeout
        stream = self.request.stream()
        try:
            while True:
                async with asyncio.timeout(seconds):
                    chunk = await anext(stream, b"")
                if not chunk:
                    return
                yield chunk
        except TimeoutError:
            raise RequestTimeout(f"no byte of the body came for {seconds:g} s") from None
        except ClientDisconnect:
            raise BodyBroken from None
