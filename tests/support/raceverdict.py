"""What must hold when a race is over: all that was acknowledged is there, and nothing else."""

import random
import shutil
import time
from pathlib import Path

from sqlalchemy import Connection, select

from registry import agreement, push
from registry.gc import orphans, plan, sweep
from registry.gc.policy import Rules
from registry.oci.digest import Digest
from registry.oci.errors import ManifestUnknown
from registry.storage.ledger import SqlLedger
from registry.storage.ledger.garbage import SqlCollection
from registry.storage.ledger.schema import blob, link
from registry.storage.storage import Storage
from support.raceactor import wake
from support.racecontent import REPOSITORIES, WORDS, Thing
from support.racelog import Memory
from support.raceproof import Broken, resolve, resolve_referrer, tagged
from support.racestore import LateBlobStore
from support.raceworld import open_storage
from support.streams import collect, stream

RULES = Rules(grace=0, uploads=0, trash=0, untagged=0)
LATER = 3600.0
"""Seconds after which the last collections come: then nothing is promised."""


async def judge(directory: Path, url: str, other: str, logs: list[Path]) -> int:
    """Raise Broken, or answer how many tags were looked at. *other*: an empty ledger."""
    memories = [Memory(path) for path in logs]
    checked = 0
    async with open_storage(directory, url, random.Random(0)) as (storage, ledger):
        store = storage.blobs
        assert isinstance(store, LateBlobStore)
        await agreement.settle(storage)
        _require(storage.disagreement is None, f"{storage.disagreement}")
        for memory in memories:
            await wake(storage, memory)
        checked += await _hold(storage, memories)
        await _hold_rebuilt(directory, other, memories)
        collection = SqlCollection(url)
        await _collect(storage, collection)
        await store.catch_up()
        checked += await _hold(storage, memories)
        await _hold_no_more(storage, ledger)
        wrong = await ledger.quotas.differences()
        _require(not wrong, f"sums are wrong: {wrong}")
        await _delete_all(storage, memories)
        await _collect(storage, collection)
        await store.catch_up()
        left = [each.name async for each in store.objects()]
        _require(not left, f"objects of nobody stay for ever: {left[:3]}")
        _require(not await collection.removals(), "objects are on their way out for ever")
        await collection.close()
    return checked


async def _hold(storage: Storage, memories: list[Memory]) -> int:
    """All tags are on what they were put on, with all that it names; how many."""
    checked = 0
    for memory in memories:
        for place, thing in memory.tags.items():
            await resolve(storage, place, thing)
            for referrer in memory.referrers.get(place, []):
                await resolve_referrer(storage, place[0], referrer)
            checked += 1
        for place in memory.before:
            if place not in memory.tags:
                found = await tagged(storage, place)
                _require(found is None, f"{place[0]}:{place[1]} was deleted, and is there")
    return checked


async def _hold_rebuilt(directory: Path, url: str, memories: list[Memory]) -> None:
    """A ledger made anew of the journal has the same names, and no blob without bytes.

    It is given a copy of the bytes, for people go on to push there.
    """
    copied = directory.with_name(f"{directory.name}-copy")
    shutil.copytree(directory, copied)
    async with open_storage(copied, url, random.Random(0)) as (storage, ledger):
        assert isinstance(storage.blobs, LateBlobStore)
        await storage.blobs.catch_up()
        await ledger.migrate()
        await agreement.rebuild(storage.journal, ledger, lambda _: None)
        await agreement.settle(storage)
        _require(storage.disagreement is None, f"{storage.disagreement}")
        await _hold(storage, memories)
        words = sorted(set().union(WORDS, *(each.words for each in memories)))
        for name in REPOSITORIES:
            for word in words:
                content = Thing((word,)).blobs[-1]
                digest = Digest.of(content)
                await push.put_blob(storage, name, digest, len(content), stream(content))
                held = (await ledger.find_blob(name, digest)).blob
                read = await collect(storage.blobs.read(held, 0, held.size))
                _require(read == content, f"{digest}, pushed to a rebuilt ledger, has other bytes")
    shutil.rmtree(copied)


async def _collect(storage: Storage, collection: SqlCollection) -> None:
    """What the trash lets go, and what an index held, is garbage only for the next run."""
    now = time.time() + LATER
    for _ in range(6):
        made = await plan.make(collection, RULES, now)
        await sweep.execute(storage, collection, made, RULES, now)
    await orphans.sweep(storage, collection, RULES, now, force=True)


async def _hold_no_more(storage: Storage, ledger: SqlLedger) -> None:
    """The store has the objects of the ledger's blobs, and no other."""

    def work(connection: Connection) -> tuple[set[str], int]:
        unlinked = select(blob.c.digest).where(~select(link).where(
            link.c.digest == blob.c.digest).exists())  # fmt: skip
        objects = set(connection.execute(select(blob.c.object)).scalars())
        return objects, len(connection.execute(unlinked).all())

    known, unlinked = await ledger._database.read(work)
    found = {each.name async for each in storage.blobs.objects()}
    _require(not known - found, f"blobs without bytes: {known - found}")
    _require(not found - known, f"objects that no blob has: {found - known}")
    _require(not unlinked, f"{unlinked} blobs without a link stay for ever")


async def _delete_all(storage: Storage, memories: list[Memory]) -> None:
    for memory in memories:
        for (name, tag), thing in memory.tags.items():
            try:
                await storage.flusher.flush(
                    await storage.ledger.delete_manifest(name, thing.digest)
                )
            except ManifestUnknown:
                _require(await tagged(storage, (name, tag)) is None, "a tag outlives its manifest")


def _require(holds: bool, otherwise: str) -> None:
    if not holds:
        raise Broken(otherwise)
