"""Addresses at which anybody may read one object for a while (Swift's TempURL)."""

import time
from http import HTTPMethod
from typing import Final
from urllib.parse import urlsplit

from swiftclient.utils import generate_temp_url  # type: ignore[import-untyped]

from registry.oci.errors import StorageUnavailable
from registry.storage.swift.account import Request, SwiftAccount
from registry.storage.swift.names import Place

KEPT: Final = 300.0
"""Seconds for which the account's key is remembered: a new one comes into use within them."""
HEADER: Final = "x-account-meta-temp-url-key"


class Key:
    """The account's key, which signs; an object may reach into another container, so no other."""

    def __init__(self, account: SwiftAccount, key: str | None) -> None:
        """*key* None: the account is asked for its own."""
        self._account = account
        self._given = key
        self._found: str | None = None
        self._until = 0.0

    async def sign(self, place: Place, seconds: int) -> str:
        """Where a GET of *place* is allowed for *seconds*; by SHA-256."""
        public = urlsplit(await self._account.endpoint("public"))
        path = f"{public.path}/{place.container}/{place.name}"
        signed = generate_temp_url(path, seconds, await self._key(), "GET", digest="sha256")
        return f"{public.scheme}://{public.netloc}{signed}"

    async def _key(self) -> str:
        if self._given is not None:
            return self._given
        if self._found is None or time.monotonic() > self._until:
            head, _ = await self._account.ask(Request(method=HTTPMethod.HEAD))
            self._found = head.headers.get(HEADER)
            self._until = time.monotonic() + KEPT
        if self._found is None:
            raise StorageUnavailable(
                "storage.redirect needs a Temp-URL-Key, and the account in Swift has none: set "
                "one, as the service user, with `openstack object store account set --property "
                "Temp-URL-Key=…`"
            )
        return self._found
