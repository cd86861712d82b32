"""The service user's token: fetched in a thread, kept, and renewed before it ends."""

import asyncio
import time
from typing import Any, Final

from keystoneauth1.exceptions import ClientException
from keystoneauth1.session import Session

from registry.oci.errors import StorageUnavailable

MARGIN: Final = 600.0
"""Seconds before a token's end at which the next one is fetched; sooner if it lives short."""
AGAIN: Final = 5.0
"""Seconds until the next attempt where Keystone did not answer and the old token still holds."""
FAILURES: Final = (ClientException, OSError)
"""OSError: what requests makes of files with certificates that it cannot read."""


class Credentials:
    """One token for all, of a session that signs in to Keystone v3."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._token: str | None = None
        self._fetched = False
        self._renew_at = 0.0
        self._ends_at = 0.0
        self._renewal: asyncio.Task[None] | None = None

    async def token(self) -> str:
        """A token that holds; raises StorageUnavailable where there is none."""
        now = time.monotonic()
        holds = self._token is not None and now < self._ends_at
        if self._renewal is None and not (holds and now < self._renew_at):
            self._renewal = asyncio.create_task(self._renew())
            self._renewal.add_done_callback(self._end_renewal)
        if not holds and self._renewal is not None:
            await asyncio.shield(self._renewal)
        if self._token is None:
            raise StorageUnavailable("Keystone's tokens are refused by Swift")
        return self._token

    def reject(self, token: str) -> None:
        """Use *token* no more: it was refused."""
        if token == self._token:
            self._token = None

    async def endpoint(self, interface: str, region: str | None) -> str:
        """Where the catalogue says that the account is; raises StorageUnavailable."""
        try:
            found: str | None = await asyncio.to_thread(
                self._session.get_endpoint,
                service_type="object-store",
                interface=interface,
                region_name=region,
            )
        except FAILURES as error:
            raise _no_token(error) from None  # what it follows may hold a request
        if found is None:
            raise StorageUnavailable(f"the service catalogue has no {interface} object-store")
        return found.rstrip("/")

    async def close(self) -> None:
        """Let a renewal that is under way end."""
        if self._renewal is not None:
            await asyncio.wait({self._renewal})

    async def _renew(self) -> None:
        begun = time.monotonic()
        try:
            token, lifetime = await asyncio.to_thread(self._fetch, anew=self._fetched)
        except FAILURES as error:
            self._renew_at = begun + AGAIN
            raise _no_token(error) from None  # what it follows may hold a request
        self._fetched = True
        self._token = token
        self._ends_at = begun + lifetime
        self._renew_at = self._ends_at - min(MARGIN, lifetime / 4)

    def _fetch(self, *, anew: bool) -> tuple[str, float]:
        """A token and the seconds that it lives; in a thread."""
        auth: Any = self._session.auth
        if anew:
            auth.invalidate()
        access = auth.get_access(self._session)
        lifetime: float = (access.expires - access.issued).total_seconds()
        left = access.expires.timestamp() - time.time()
        # A clock that is ahead of Keystone's must not make every token an old one.
        return access.auth_token, min(left, lifetime) if left > 0 else lifetime

    def _end_renewal(self, task: asyncio.Task[None]) -> None:
        self._renewal = None
        if not task.cancelled():
            task.exception()  # told to those who waited; with a token that holds nobody does


def _no_token(error: Exception) -> StorageUnavailable:
    status = getattr(error, "http_status", None)
    name = type(error).__name__
    return StorageUnavailable(
        f"Keystone refuses the service user ({name})" if status else f"no token ({name})"
    )
