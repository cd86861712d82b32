"""What every Collection promises, on SQLite and on a real PostgreSQL."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection

from registry.gc import plan, sweep
from registry.gc.policy import Rules
from registry.oci.digest import Digest
from registry.oci.errors import (
    BlobUnknown,
    ManifestBlobUnknown,
    ManifestUnknown,
    StorageUnavailable,
)
from registry.oci.names import Tag
from registry.storage.flusher import Flusher
from registry.storage.ledger import SqlLedger, writes
from registry.storage.ledger.condemning import condemn
from registry.storage.ledger.garbage import SqlCollection
from registry.storage.memory.blobs import MemoryBlobStore
from registry.storage.memory.journal import MemoryJournal
from registry.storage.memory.ledger import MemoryLedger
from registry.storage.ports.collection import Totals
from registry.storage.records import ManifestPut, Segment
from registry.storage.storage import Storage
from support.ledgers import (
    HATS,
    MORE_SHOES,
    SHOES,
    Clock,
    blob,
    manifest,
    own_schema,
    put,
    put_index,
    store,
)
from support.streams import stream

SOLE, LACE = blob("sole"), blob("lace")
GRACE = 100.0
RULES = Rules(grace=GRACE, uploads=50, trash=1000, untagged=200)


@dataclass
class Place:
    """A ledger, its collection and the clock of both."""

    ledger: SqlLedger
    collection: SqlCollection
    clock: Clock

    @property
    def before(self) -> float:
        return self.clock.now - GRACE

    async def unneeded(self) -> list[tuple[str, Digest]]:
        found = await self.collection.unneeded_links(self.before)
        return [(str(each.repository), each.digest) for each in found]


@pytest.fixture
async def place(url: str) -> AsyncIterator[Place]:
    clock = Clock()
    ledger, collection = SqlLedger(url, clock=clock), SqlCollection(url, clock=clock)
    await ledger.migrate()
    yield Place(ledger, collection, clock)
    await collection.close()
    await ledger.close()


async def test_a_link_is_unneeded_past_its_grace_where_nothing_names_it(place: Place) -> None:
    await store(place.ledger, SHOES, SOLE, LACE)
    await store(place.ledger, HATS, SOLE)
    await place.ledger.put_manifest(put(SHOES, "a", "v1", blobs=(SOLE,)))
    place.clock.now += GRACE
    assert await place.unneeded() == [], "promised until now"
    place.clock.now += 1
    assert await place.unneeded() == [(str(SHOES), LACE.digest), (str(HATS), SOLE.digest)]
    assert await place.ledger.touch_link(SHOES, LACE.digest)
    assert await place.unneeded() == [(str(HATS), SOLE.digest)], "promised anew"


async def test_pages_miss_nothing(place: Place) -> None:
    many = [blob(f"many {number}") for number in range(7)]
    await store(place.ledger, SHOES, *many)
    await store(place.ledger, HATS, *many)
    place.clock.now += GRACE + 1
    found, after = [], None
    while page := await place.collection.unneeded_links(place.before, after=after, limit=3):
        found += [(each.repository, each.digest) for each in page]
        after = page[-1].key
    assert len(found) == len(set(found)) == 14


async def test_a_blob_leaves_with_its_last_link(place: Place) -> None:
    await store(place.ledger, SHOES, SOLE)
    await place.ledger.link_blob(HATS, SHOES, SOLE.digest)
    place.clock.now += GRACE + 1
    first = await place.collection.condemn(SHOES, [SOLE.digest], place.before)
    assert (first.links, first.objects) == (1, ())
    with pytest.raises(BlobUnknown):
        await place.ledger.find_blob(SHOES, SOLE.digest)
    assert (await place.ledger.find_blob(HATS, SOLE.digest)).blob == SOLE
    last = await place.collection.condemn(HATS, [SOLE.digest], place.before)
    assert last.objects == (SOLE,)
    assert await place.collection.removals() == [SOLE.object]
    assert await place.collection.totals() == Totals(0, 0)
    await place.collection.removed([SOLE.object])
    assert await place.collection.removals() == []


async def test_whatever_was_needed_since_the_plan_stays(place: Place) -> None:
    await store(place.ledger, SHOES, SOLE, LACE)
    place.clock.now += GRACE + 1
    before = place.before
    await place.ledger.put_manifest(put(SHOES, "a", blobs=(SOLE,)))
    await place.ledger.touch_link(SHOES, LACE.digest)
    condemned = await place.collection.condemn(SHOES, [SOLE.digest, LACE.digest], before)
    assert (condemned.links, condemned.position) == (0, None)
    for each in (SOLE, LACE):
        assert (await place.ledger.find_blob(SHOES, each.digest)).blob == each
    nowhere = await place.collection.condemn(MORE_SHOES, [SOLE.digest], before)
    assert nowhere.links == 0


async def test_what_was_collected_is_pushed_anew_under_a_new_object(place: Place) -> None:
    await store(place.ledger, SHOES, SOLE)
    place.clock.now += GRACE + 1
    await place.collection.condemn(SHOES, [SOLE.digest], place.before)
    fresh = replace(SOLE, object="another")
    assert await place.ledger.finish_upload(SHOES, None, fresh) == fresh
    assert await place.collection.unknown_objects(["another", SOLE.object, "nobody's"]) == [
        "nobody's"
    ]
    await place.ledger.put_manifest(put(SHOES, "a", "v1", blobs=(SOLE,)))
    copy = MemoryLedger()
    await copy.replay(await place.ledger.pending_lines())
    assert (await copy.find_blob(SHOES, SOLE.digest)).blob == fresh


async def test_a_rebuild_knows_the_last_object_and_not_what_was_collected(
    place: Place, tmp_path: Path
) -> None:
    await store(place.ledger, SHOES, SOLE, LACE)
    await place.ledger.put_manifest(put(SHOES, "a", "v1", blobs=(SOLE, LACE)))
    await place.ledger.delete_manifest(SHOES, manifest("a").digest)
    place.clock.now += RULES.trash + 1
    assert (await place.collection.purge_trash(place.clock.now - RULES.trash)).blobs == 1
    await place.collection.condemn(SHOES, [SOLE.digest, LACE.digest], place.before)
    fresh = replace(SOLE, object="another")
    place.clock.now += 1
    await place.ledger.finish_upload(SHOES, None, fresh)
    await place.ledger.put_manifest(put(SHOES, "b", "v1", blobs=(SOLE,)))
    copy = await SqlLedger.open(f"sqlite:///{tmp_path}/copy.db")
    await copy.replay(await place.ledger.pending_lines())
    assert (await copy.find_blob(SHOES, SOLE.digest)).blob == fresh
    with pytest.raises(BlobUnknown):
        await copy.find_blob(SHOES, LACE.digest)
    await copy.close()


async def test_a_blob_that_was_deleted_everywhere_leaves_too(place: Place) -> None:
    await store(place.ledger, SHOES, SOLE, LACE)
    await place.ledger.unlink_blob(SHOES, SOLE.digest)
    assert await place.collection.unlinked_blobs(place.before) == []
    place.clock.now += GRACE + 1
    assert await place.collection.unlinked_blobs(place.before) == [SOLE]
    both = [SOLE.digest, LACE.digest]
    condemned = await place.collection.condemn_unlinked(both, place.before)
    assert condemned.objects == (SOLE,)


async def test_what_is_in_the_trash_keeps_its_blobs(place: Place) -> None:
    await store(place.ledger, SHOES, SOLE, LACE)
    await place.ledger.put_manifest(put(SHOES, "a", "v1", "v2", blobs=(SOLE,)))
    await place.ledger.put_manifest(put(SHOES, "b", "w1", blobs=(LACE,)))
    await place.ledger.delete_manifest(SHOES, manifest("a").digest)
    place.clock.now += 1
    await place.ledger.delete_tag(SHOES, Tag.parse("w1"))
    entries = await place.ledger.trash.list(projects=["shoes"], limit=10)
    assert [(each.digest, each.tags) for each in entries] == [
        (manifest("b").digest, ("w1",)),
        (manifest("a").digest, ("v1", "v2")),
    ]
    assert await place.ledger.trash.list(projects=["hats"], limit=10) == []
    place.clock.now += GRACE + 1
    assert await place.unneeded() == []
    assert (await place.collection.purge_trash(entries[0].deleted_at)).blobs == 1
    assert await place.unneeded() == [(str(SHOES), SOLE.digest)]
    assert (await place.collection.purge_trash(place.clock.now)).blobs == 1
    assert await place.ledger.trash.list(limit=10) == []
    assert await place.unneeded() == [(str(SHOES), SOLE.digest)], "b is there, untagged"


async def test_untagged_is_what_nothing_holds(place: Place) -> None:
    for word in ("alone", "tagged", "child", "about"):
        await place.ledger.put_manifest(put(SHOES, word, *(["v1"] if word == "tagged" else [])))
    index = put_index(SHOES, "index", "v2", children=(manifest("child").digest,))
    await place.ledger.put_manifest(index)
    subject = manifest("about").digest
    await place.ledger.put_manifest(put(SHOES, "referrer", subject=subject))
    await place.ledger.put_manifest(put(HATS, "gone", "v1"))
    await place.ledger.delete_tag(HATS, Tag.parse("v1"))
    place.clock.now += 1
    found = await place.collection.untagged(place.clock.now)
    assert {each.digest for each in found} == {manifest("alone").digest, subject}
    (page,) = await place.collection.untagged(place.clock.now, limit=1)
    rest = await place.collection.untagged(place.clock.now, after=page.key)
    assert {page.digest, *(each.digest for each in rest)} == {manifest("alone").digest, subject}


async def test_a_manifest_goes_only_while_nothing_holds_it(place: Place) -> None:
    await place.ledger.put_manifest(put(SHOES, "a"))
    await place.ledger.put_manifest(put(SHOES, "b"))
    await place.ledger.put_manifest(put(SHOES, "d"))
    place.clock.now += 1
    before = place.clock.now
    await place.ledger.put_manifest(put(SHOES, "b", "v1"))
    some = [manifest(word).digest for word in "abcd"]
    taken, position = await place.collection.collect_manifests(SHOES, some, before)
    assert taken == [manifest("a").digest, manifest("d").digest]
    (*_, last) = await place.ledger.pending_lines()
    assert position == last.position
    assert await place.collection.collect_manifests(SHOES, some, before) == ([], None)
    assert await place.collection.collect_manifests(HATS, some, before) == ([], None)
    with pytest.raises(ManifestUnknown):
        await place.ledger.find_manifest(SHOES, manifest("a").digest)
    assert await place.ledger.find_manifest(SHOES, Tag.parse("v1")) == manifest("b")


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


async def test_the_trash_is_forgotten_a_part_at_a_time_the_oldest_first(place: Place) -> None:
    for word in "abc":
        await place.ledger.put_manifest(put(SHOES, word))
        await place.ledger.delete_manifest(SHOES, manifest(word).digest)
        place.clock.now += 1
    before = place.clock.now - 1
    size = len(manifest("a").content)
    assert await place.collection.purge_trash(before, limit=1) == Totals(1, size)
    left = (await place.collection.facts(manifest(word).digest) for word in "abc")
    assert [len(each.trash) async for each in left] == [0, 1, 1]
    assert await place.collection.purge_trash(before) == Totals(1, size)
    assert await place.collection.purge_trash(before) == Totals(0, 0)


async def test_an_upload_is_stale_once_nobody_writes_to_it(place: Place) -> None:
    session = await place.ledger.begin_upload(SHOES, "anna")
    leased = await place.ledger.lease_upload(SHOES, session.id, at=0, seconds=500)
    leased = await place.ledger.record_segment(leased, Segment("1", 9), seconds=500)
    finished = await place.ledger.begin_upload(SHOES, "anna")
    await place.ledger.finish_upload(SHOES, finished, SOLE)
    place.clock.now += 499
    assert await place.collection.stale_uploads(place.clock.now - 100) == [], "it is leased"
    place.clock.now += 1
    (stale,) = await place.collection.stale_uploads(place.clock.now - 100)
    assert (stale.id, stale.repository, stale.offset) == (session.id, SHOES, 9)
    await place.ledger.lease_upload(SHOES, session.id, at=9, seconds=10)
    assert not await place.collection.forget_upload(session.id, place.clock.now - 100)
    place.clock.now += 200
    assert await place.collection.forget_upload(session.id, place.clock.now - 100)
    assert not await place.collection.forget_upload(session.id, place.clock.now - 100)


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


async def test_a_blob_that_was_collected_before_a_rebuild_is_pushed_as_a_new_object(
    place: Place,
) -> None:
    await store(place.ledger, SHOES, SOLE)
    await place.ledger.put_manifest(put(SHOES, "a", "v1", blobs=(SOLE,)))
    await place.ledger.delete_manifest(SHOES, manifest("a").digest)
    await place.ledger.unlink_blob(SHOES, SOLE.digest)
    lines = await place.ledger.pending_lines()
    await place.ledger.restart(SHOES.project, 0)
    await place.ledger.replay(lines)
    fresh = replace(SOLE, object="another")
    assert await place.ledger.finish_upload(HATS, None, fresh) == fresh
    assert await place.collection.removals() == [SOLE.object]


async def test_a_bad_blob_is_absent_until_it_is_pushed_again(place: Place) -> None:
    await store(place.ledger, SHOES, SOLE, LACE)
    await place.ledger.put_manifest(put(SHOES, "a", "v1", blobs=(SOLE,)))
    place.clock.now += 5
    assert await place.collection.oldest_verified() == place.clock.now - 5
    assert await place.collection.unverified(place.clock.now) == sorted(
        [SOLE, LACE], key=lambda each: str(each.digest)
    )
    await place.collection.verified(LACE, good=True)
    await place.collection.verified(SOLE, good=False)
    await place.collection.verified(replace(LACE, object="gone"), good=False)
    assert await place.collection.unverified(place.clock.now) == []
    (bad,) = await place.collection.bad_blobs()
    assert bad.blob == SOLE
    assert bad.holders[0].by.tags == ("v1",)
    with pytest.raises(BlobUnknown):
        await place.ledger.find_blob(SHOES, SOLE.digest)
    with pytest.raises(BlobUnknown):
        await place.ledger.link_blob(HATS, SHOES, SOLE.digest)
    with pytest.raises(ManifestBlobUnknown):
        await place.ledger.put_manifest(put(SHOES, "b", blobs=(SOLE,)))
    fresh = replace(SOLE, object="another")
    assert await place.ledger.finish_upload(HATS, None, fresh) == fresh
    assert (await place.ledger.find_blob(SHOES, SOLE.digest)).blob == fresh, "healed for all"
    assert await place.collection.removals() == [SOLE.object]
    assert await place.collection.bad_blobs() == []
    copy = MemoryLedger()
    await copy.replay(await place.ledger.pending_lines())
    assert (await copy.find_blob(SHOES, SOLE.digest)).blob == fresh, "so a rebuild knows it"


async def test_an_object_that_is_missed_twice_is_lost(place: Place) -> None:
    await store(place.ledger, SHOES, SOLE, LACE)
    for each in (SOLE, LACE):
        assert not await place.collection.missed(each, again=3600)
    place.clock.now += 3599
    assert not await place.collection.missed(SOLE, again=3600)
    await place.collection.verified(LACE, good=True)
    place.clock.now += 1
    assert not await place.collection.missed(replace(SOLE, object="another"), again=3600)
    assert not await place.collection.missed(LACE, again=3600), "it was there in between"
    assert await place.collection.count_bad() == 0
    assert await place.collection.missed(SOLE, again=3600)
    assert await place.collection.count_bad() == 1
    with pytest.raises(BlobUnknown):
        await place.ledger.find_blob(SHOES, SOLE.digest)


async def test_a_bad_blob_takes_another_object_once(place: Place) -> None:
    await store(place.ledger, SHOES, SOLE)
    await place.ledger.put_manifest(put(SHOES, "a", "v1", blobs=(SOLE,)))
    fresh = replace(SOLE, object="another")
    assert not await place.collection.adopt(SOLE, fresh), "it is good"
    await place.collection.verified(SOLE, good=False)
    place.clock.now += 1
    assert await place.collection.adopt(SOLE, fresh)
    assert not await place.collection.adopt(SOLE, replace(SOLE, object="a third"))
    assert (await place.ledger.find_blob(SHOES, SOLE.digest)).blob == fresh
    assert await place.collection.removals() == [SOLE.object]
    copy = MemoryLedger()
    await copy.replay(await place.ledger.pending_lines())
    assert (await copy.find_blob(SHOES, SOLE.digest)).blob == fresh


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


# -- both orders of the locks -----------------------------------------------------------------


@pytest.mark.parametrize("first", ["push", "condemnation"])
async def test_a_push_and_a_condemnation_meet(postgres_url: str, first: str) -> None:
    """Whoever comes second waits, and then sees what the first has done."""
    with own_schema(postgres_url) as url:
        ledgers = [await SqlLedger.open(url) for _ in range(2)]
        await store(ledgers[0], SHOES, SOLE)
        now = 2_000_000_000.0
        held, go_on = threading.Event(), threading.Event()
        pushed = put(SHOES, "a", "v1", blobs=(SOLE,))

        def push(connection: Connection) -> Any:
            return writes.put_manifest(connection, now, pushed, lambda: "")

        def collect(connection: Connection) -> Any:
            return condemn(connection, now, SHOES, [SOLE.digest], now)

        def hold(work: Callable[[Connection], Any]) -> Callable[[Connection], Any]:
            def held_open(connection: Connection) -> Any:
                answer = work(connection)
                held.set()
                assert go_on.wait(30)
                return answer

            return held_open

        works = [push, collect] if first == "push" else [collect, push]
        databases = [each._database for each in ledgers]
        one = asyncio.create_task(databases[0].write(hold(works[0])))
        await asyncio.to_thread(held.wait, 30)
        two = asyncio.create_task(databases[1].write(works[1]))
        done, _ = await asyncio.wait({two}, timeout=0.5)
        assert not done, "the second waits"
        go_on.set()
        await one
        if first == "push":
            assert (await two).links == 0
            assert (await ledgers[1].find_blob(SHOES, SOLE.digest)).blob == SOLE
        else:
            with pytest.raises(ManifestBlobUnknown):
                await two
            with pytest.raises(ManifestUnknown):
                await ledgers[1].find_manifest(SHOES, Tag.parse("v1"))
        for each in ledgers:
            await each.close()


# -- a whole run ------------------------------------------------------------------------------


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
