"""Reads blobs again and hashes them anew, at a bounded rate; what is bad is absent or mended."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from registry.oci.digest import new_hasher
from registry.oci.errors import StorageUnavailable
from registry.storage.ports.collection import Collection, Facts
from registry.storage.records import BlobRecord
from registry.storage.storage import Storage

PAGE = 100
JOB = "fsck"
AGAIN = 3600.0
"""Seconds after which an object that was not there must still not be there to count as lost."""


@dataclass(slots=True)
class Verdict:
    """What one run found."""

    blobs: int = 0
    bytes: int = 0
    bad: list[BlobRecord] = field(default_factory=list)
    missing: list[BlobRecord] = field(default_factory=list)
    """Those whose objects are not there; missed once more, AGAIN seconds later, they are bad."""
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
    Raises StorageUnavailable while store and ledger disagree.
    """
    verdict = Verdict()
    began = time.monotonic()
    passed: set[str] = set()
    while True:
        if storage.disagreement is not None:
            raise StorageUnavailable(storage.disagreement)
        page = [each for each in await collection.unverified(before, limit=PAGE)
                if each.object not in passed]  # fmt: skip
        if not page:
            return verdict
        for blob in page:
            passed.add(blob.object)
            good = await _is_good(storage, blob)
            if good is None:
                await _miss(storage, collection, blob, verdict)
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
        if len(verdict.unread) + len(verdict.missing) >= PAGE:
            return verdict  # the store is away: whoever comes next goes on


@dataclass(slots=True)
class Repair:
    """What became of the blobs that were bad."""

    sound: list[BlobRecord] = field(default_factory=list)
    """Those whose bytes are right after all."""
    adopted: list[BlobRecord] = field(default_factory=list)
    """Those of which a good object lay in the store, that no row knew; they have it now."""
    broken: list[Facts] = field(default_factory=list)
    """The others, which only a push can heal, and what names them."""


async def repair(storage: Storage, collection: Collection) -> Repair:
    """Look at each bad blob again, and for another object of it in the store.

    Nobody may sweep orphans meanwhile. Raises StorageUnavailable while store and ledger disagree.
    """
    if storage.disagreement is not None:
        raise StorageUnavailable(storage.disagreement)
    done = Repair()
    for facts in await collection.bad_blobs():
        assert facts.blob is not None
        if await _is_good(storage, facts.blob):
            await collection.verified(facts.blob, good=True)
            done.sound.append(facts.blob)
        elif (fresh := await _adopted(storage, collection, facts.blob)) is not None:
            done.adopted.append(fresh)
        else:
            done.broken.append(facts)
    await storage.flusher.flush_all()
    return done


async def _adopted(storage: Storage, collection: Collection, bad: BlobRecord) -> BlobRecord | None:
    lying = {each.name: each async for each in storage.blobs.objects(bad.digest)}
    for name in await collection.unknown_objects(sorted(lying)):
        fresh = BlobRecord(bad.digest, name, lying[name].size)
        if await _is_good(storage, fresh) and await collection.adopt(bad, fresh):
            return fresh
    return None


async def _miss(
    storage: Storage, collection: Collection, blob: BlobRecord, verdict: Verdict
) -> None:
    """What could not be read is missing only if the store can be asked and does not list it."""
    try:
        lies_there = await storage.blobs.lists(blob.object)
    except StorageUnavailable:
        lies_there = True
    if lies_there:
        verdict.unread.append(blob)
    elif await collection.missed(blob, again=AGAIN):
        verdict.bad.append(blob)
    else:
        verdict.missing.append(blob)


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
