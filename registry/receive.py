"""Bytes of an upload on their way into the store: written, hashed and recorded as they come."""

import asyncio
import time
from collections.abc import AsyncIterator, Coroutine, Sequence
from typing import TypeVar

from registry.oci.digest import Digest, Hasher, new_hasher
from registry.oci.errors import DigestInvalid, RegistryError
from registry.storage.records import Segment, Upload
from registry.storage.storage import Storage
from registry.storage.work import gathered, hash_all, in_thread

RECORD_EVERY = 64 * 1024 * 1024
"""Bytes after which an upload in flight is recorded, so that a crash loses no more."""
LEASE = 30.0
"""Seconds after which another may take over the upload of a writer that fell silent."""

Answer = TypeVar("Answer")


class Receiver:
    """The one writer of a leased session: appends, records, and knows the digest in the end."""

    def __init__(self, storage: Storage, session: Upload) -> None:
        self._storage = storage
        self.session = session
        self.leased = True
        self._hasher = storage.hashers.take(session)
        if self._hasher is None and session.offset == 0:
            self._hasher = new_hasher("sha256")

    async def receive(self, body: AsyncIterator[bytes], *, then_release: bool) -> None:
        """Append all of *body*; where it breaks off, record what came, and let the error go on.

        The last record also ends the lease, if *then_release*.

        Raises UploadBusy if another writer took over: nothing of this one counts from then on.
        """
        source = gathered(body)
        first = await anext(source, None)
        if first is None:
            return
        start = self.session
        writer = await self._storage.blobs.writer(start.id, start.epoch, start.offset)
        unrecorded = 0
        due = time.monotonic() + LEASE / 3
        try:
            piece: list[bytes] | None = first
            while piece is not None:
                # The next piece is read while this one is written and hashed.
                writing = asyncio.ensure_future(writer.write(*piece))
                hashing = asyncio.ensure_future(self._update(piece))
                outcome = await _next_or_error(source)
                await hashing
                try:
                    await writing
                except RegistryError:
                    self._hasher = None  # it knows bytes that the store does not
                    raise
                unrecorded += sum(map(len, piece))
                if unrecorded >= RECORD_EVERY or time.monotonic() > due:
                    await self._record(await writer.checkpoint(), LEASE)
                    unrecorded, due = 0, time.monotonic() + LEASE / 3
                if isinstance(outcome, Exception):
                    raise outcome
                piece = outcome
        finally:
            await self._record(await writer.checkpoint(), 0 if then_release else LEASE)
            await writer.close()
            self._storage.hashers.keep(self.session, self._hasher)

    async def verify(self, digest: Digest) -> None:
        """Raise DigestInvalid if the session's bytes are not *digest*'s content."""
        kept = self._hasher
        if kept is not None and digest.algorithm == "sha256":
            found = kept.hexdigest()
        else:
            found = await self._read_again(new_hasher(digest.algorithm))
        self._storage.hashers.keep(self.session, kept)
        if found != digest.encoded:
            raise DigestInvalid(
                f"the {self.session.offset} bytes uploaded are {digest.algorithm}:{found}; "
                "close the upload with that digest, or cancel it and begin anew"
            )

    async def _read_again(self, hasher: Hasher) -> str:
        async for piece in self._storage.blobs.read_segments(self.session.segments):
            await asyncio.to_thread(hasher.update, piece)
        return hasher.hexdigest()

    async def _update(self, piece: Sequence[bytes]) -> None:
        if self._hasher is not None:
            await in_thread(hash_all, self._hasher, piece)

    async def release(self) -> None:
        """End the lease, unless the last record has."""
        if self.leased:
            await self._storage.ledger.release_upload(self.session)

    async def _record(self, segment: Segment | None, seconds: float) -> None:
        if segment is not None:
            ledger = self._storage.ledger
            self.session = await ledger.record_segment(self.session, segment, seconds=seconds)
            self.leased = seconds > 0


async def while_leased(
    storage: Storage, session: Upload, work: Coroutine[None, None, Answer]
) -> Answer:
    """Carry out *work*, renewing the lease of a session that has segments meanwhile.

    So a client that asks again during a long commit finds it busy, and does not take it over.
    """
    task = asyncio.ensure_future(work)
    try:
        while True:
            done, _ = await asyncio.wait({task}, timeout=LEASE / 3)
            if done:
                return task.result()
            if session.segments:
                last = session.segments[-1]
                await storage.ledger.record_segment(session, last, seconds=LEASE)
    finally:
        task.cancel()


async def _next_or_error(source: AsyncIterator[Answer]) -> Answer | Exception | None:
    try:
        return await anext(source, None)
    except Exception as error:  # noqa: BLE001 - the sender's failure waits until this piece is in
        return error
