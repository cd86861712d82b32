"""Whole runs of a collection, one at a time, on SQLite and on a real PostgreSQL."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from registry.gc import plan, sweep
from registry.oci.digest import Digest
from registry.oci.errors import (
    StorageUnavailable,
)
from registry.oci.names import Tag
from registry.storage.flusher import Flusher
from registry.storage.memory.blobs import MemoryBlobStore
from registry.storage.memory.journal import MemoryJournal
from registry.storage.records import ManifestPut
from registry.storage.storage import Storage
from support.collecting import GRACE, RULES, SOLE, Place, open_place
from support.ledgers import (
    HATS,
    SHOES,
    manifest,
    put,
    store,
)
from support.streams import stream


@pytest.fixture
async def place(url: str) -> AsyncIterator[Place]:
    async with open_place(url) as place:
        yield place


async def test_one_does_a_job_at_a_time(place: Place) -> None:
    assert await place.collection.lease("collect", "anna", 10)
    assert not await place.collection.lease("collect", "bert", 10)
    assert await place.collection.lease("fsck", "bert", 10)
    place.clock.now += 8
    assert await place.collection.lease("collect", "anna", 10), "it goes on"
    place.clock.now += 8
    assert not await place.collection.lease("collect", "bert", 10)
    place.clock.now += 3
    assert await place.collection.lease("collect", "bert", 10)
    await place.collection.release("collect", "anna")
    assert not await place.collection.lease("collect", "anna", 10)
    await place.collection.release("collect", "bert")
    assert await place.collection.lease("collect", "anna", 10)


async def test_one_run_forgets_old_trash_and_takes_what_only_that_held(place: Place) -> None:
    await store(place.ledger, SHOES, SOLE)
    await place.ledger.put_manifest(put(SHOES, "a", "v1", blobs=(SOLE,)))
    await place.ledger.put_manifest(put(SHOES, "b", "w1"))
    await place.ledger.delete_manifest(SHOES, manifest("a").digest)
    await place.ledger.delete_tag(SHOES, Tag.parse("w1"))
    early = await plan.make(place.collection, RULES, place.clock.now + RULES.trash)
    assert (early.doomed.blobs, early.untagged, early.trash.blobs) == (0, [], 0)
    place.clock.now += RULES.trash + 1
    made = await plan.make(place.collection, RULES, place.clock.now)
    assert (made.doomed.blobs, len(made.untagged), made.trash.blobs) == (1, 1, 2)
    journal = MemoryJournal()
    storage = Storage(MemoryBlobStore(), journal, place.ledger, Flusher(place.ledger, journal))
    report = await sweep.execute(storage, place.collection, made, RULES, place.clock.now)
    assert (report.trash, report.blobs, report.manifests) == (2, 1, 1)
    assert report.trash_bytes == made.trash.bytes
    await storage.flusher.close()


async def test_a_run_takes_what_is_garbage_and_nothing_else(place: Place) -> None:
    blobs, journal = MemoryBlobStore(), MemoryJournal()
    storage = Storage(blobs, journal, place.ledger, Flusher(place.ledger, journal))

    async def upload(name: Any, content: bytes) -> Any:
        stored = await blobs.put(Digest.of(content), len(content), stream(content))
        return await place.ledger.finish_upload(name, None, stored)

    kept, thrown, lost = [await upload(SHOES, each) for each in (b"kept", b"thrown", b"lost")]
    await place.ledger.put_manifest(put(SHOES, "a", "v1", blobs=(kept,)))
    await place.ledger.put_manifest(put(SHOES, "b", "v2", blobs=(thrown,)))
    await place.ledger.delete_manifest(SHOES, manifest("b").digest)
    session = await place.ledger.begin_upload(SHOES, "anna")
    await place.ledger.put_manifest(ManifestPut(HATS, manifest("c"), (), (), ()))
    place.clock.now += 2 * RULES.untagged if RULES.untagged else 0
    made = await plan.make(place.collection, RULES, place.clock.now)
    assert (made.link_count, len(made.untagged), len(made.uploads)) == (1, 1, 1)
    assert made.doomed.bytes == len(b"lost")
    report = await sweep.execute(storage, place.collection, made, RULES, place.clock.now)
    assert (report.links, report.blobs, report.objects) == (1, 1, 1)
    assert (report.manifests, report.uploads, report.blobs_bytes) == (1, 1, 4)
    assert (await place.collection.facts(lost.digest)).blob is None
    for each in (kept, thrown):
        assert (await place.ledger.find_blob(SHOES, each.digest)).blob == each
    assert await place.collection.stale_uploads(place.clock.now) == []
    assert session.id
    place.clock.now += RULES.trash + 1
    again = await plan.make(place.collection, RULES, place.clock.now)
    report = await sweep.execute(storage, place.collection, again, RULES, place.clock.now)
    assert (report.links, report.objects) == (1, 1)
    assert (await place.ledger.find_blob(SHOES, kept.digest)).blob == kept
    await storage.flusher.close()


async def test_no_object_goes_before_the_journal_says_that_nothing_names_it(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever condemned it may have died before the line was in the journal."""
    blobs, journal = MemoryBlobStore(), MemoryJournal()
    storage = Storage(blobs, journal, place.ledger, Flusher(place.ledger, journal))
    lost = await blobs.put(Digest.of(b"lost"), 4, stream(b"lost"))
    await place.ledger.finish_upload(SHOES, None, lost)
    place.clock.now += GRACE + 1
    condemned = await place.collection.condemn(SHOES, [lost.digest], place.before)
    assert condemned.position is not None

    async def break_down(_: object) -> None:
        raise StorageUnavailable("the journal is away")

    report = sweep.Report()
    with monkeypatch.context() as away:
        away.setattr(journal, "append", break_down)
        with pytest.raises(StorageUnavailable):
            await sweep.remove(storage, place.collection, report)
    assert [each.name async for each in blobs.objects()] == [lost.object]
    await sweep.remove(storage, place.collection, report)
    assert report.objects == 1
    assert await journal.heads() == {"shoes": condemned.position.sequence}
    await storage.flusher.close()
