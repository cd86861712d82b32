"""Room for the bytes of an upload, kept before they come: nothing is received that cannot stay."""

import contextlib
import time
from collections.abc import AsyncIterator

from registry import receive
from registry.limits import UNBOUNDED, Leave
from registry.oci.errors import BlobUploadUnknown, QuotaExceeded
from registry.storage.records import Upload
from registry.storage.storage import Storage


class Meter:
    """Keeps room for one leased session, ahead of what comes; nothing where nothing is limited."""

    def __init__(self, storage: Storage, session: Upload, leave: Leave) -> None:
        self._storage = storage
        self._session = session
        self._leave = leave
        self._is_bounded = session.bounded or leave.allowance is not UNBOUNDED
        self._kept = session.offset
        self._due = 0.0

    async def announce(self, size: int | None) -> None:
        """So many bytes will come, if that is known; raises QuotaExceeded."""
        if size:
            await self._keep(self._session.offset + size, ahead=False)

    def metered(self, body: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        """*body* as it comes, as long as there is room; raises QuotaExceeded."""
        return self._metered(body) if self._is_bounded else body

    async def _metered(self, body: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        size = self._session.offset
        async for chunk in body:
            size += len(chunk)
            if size > self._kept or time.monotonic() > self._due:
                await self._keep(size, ahead=True)
            yield chunk

    async def _keep(self, total: int, *, ahead: bool) -> None:
        if not self._is_bounded:
            return
        kept = await self._storage.ledger.reserve_upload(
            self._session, total, self._leave, seconds=receive.LEASE, ahead=ahead
        )
        self._is_bounded = kept is not None
        self._kept = kept or 0
        # What is kept ahead of a writer that fell silent is taken back: this one has not.
        self._due = time.monotonic() + receive.LEASE / 3


@contextlib.asynccontextmanager
async def ending_if_refused(storage: Storage, session: Upload) -> AsyncIterator[None]:
    """Give a session up for which there is no room, with all that it has."""
    try:
        yield
    except QuotaExceeded:
        await end(storage, session)
        raise


async def end(storage: Storage, session: Upload) -> None:
    """Forget a session and its bytes. Idempotent.

    Of one that another has finished the bytes may be a blob: they stay, and so do those of one that
    is gone already, which whoever ended it, or the sweep, drops.
    """
    try:
        await storage.ledger.cancel_upload(session.repository, session.id)
    except BlobUploadUnknown:
        return
    await storage.blobs.discard(session.id)
