"""Reads blobs again and hashes them anew, at a bounded rate: bytes that changed are absent."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from registry.oci.digest import new_hasher
from registry.oci.errors import StorageUnavailable
from registry.storage.collection import Collection
from registry.storage.records import BlobRecord
from registry.storage.storage import Storage

PAGE = 100


@dataclass(slots=True)
class Verdict:
    """What one run found."""

    blobs: int = 0
    bytes: int = 0
    bad: list[BlobRecord] = field(default_factory=list)
    unread: list[BlobRecord] = field(default_factory=list)
    """Those that the store could not read now; nothing is concluded from that."""


async def check(
    storage: Storage,
    collection: Collection,
    *,
    before: float,
    rate: float,
    progress: Callable[[Verdict], None] = lambda _: None,
) -> Verdict:
    """Hash every blob that was not since *before* (seconds, UTC), the oldest first.

    *rate* is bytes a second at most. May be broken off: the next run goes on where this one ended.
    """
    verdict = Verdict()
    began = time.monotonic()
    passed: set[str] = set()
    while True:
        page = [each for each in await collection.unverified(before, limit=PAGE)
                if each.object not in passed]  # fmt: skip
        if not page:
            return verdict
        for blob in page:
            passed.add(blob.object)
            good = await _is_good(storage, blob)
            if good is None:
                verdict.unread.append(blob)
            else:
                await collection.verified(blob, good=good)
                if not good:
                    verdict.bad.append(blob)
            verdict.blobs += 1
            verdict.bytes += blob.size
            progress(verdict)
            ahead = verdict.bytes / rate - (time.monotonic() - began)
            if ahead > 0:
                await asyncio.sleep(ahead)
        if len(verdict.unread) >= PAGE:
            return verdict  # the store is away: whoever comes next goes on


async def _is_good(storage: Storage, blob: BlobRecord) -> bool | None:
    """Whether the object's bytes are the blob's; None where they cannot be read now."""
    hasher = new_hasher(blob.digest.algorithm)
    size = 0
    try:
        async for piece in storage.blobs.read(blob, 0, blob.size):
            await asyncio.to_thread(hasher.update, piece)
            size += len(piece)
    except StorageUnavailable:
        return await _is_short(storage, blob)
    return size == blob.size and hasher.hexdigest() == blob.digest.encoded


async def _is_short(storage: Storage, blob: BlobRecord) -> bool | None:
    """False where the object is there and ends too early; None where nothing can be said."""
    if blob.size == 0:
        return None
    try:
        async for _ in storage.blobs.read(blob, 0, 1):
            return False
    except StorageUnavailable:
        return None
    return False
