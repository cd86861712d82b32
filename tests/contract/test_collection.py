"""What every Collection promises of links, blobs and uploads; on SQLite and a real PostgreSQL."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection

from registry.oci.errors import (
    BlobUnknown,
    ManifestBlobUnknown,
    ManifestUnknown,
)
from registry.oci.names import Tag
from registry.storage.ledger import SqlLedger, writes
from registry.storage.ledger.condemning import condemn
from registry.storage.memory.ledger import MemoryLedger
from registry.storage.ports.collection import Totals
from registry.storage.records import Segment
from support.collecting import GRACE, LACE, RULES, SOLE, Place, open_place
from support.ledgers import (
    HATS,
    MORE_SHOES,
    SHOES,
    blob,
    manifest,
    own_schema,
    put,
    store,
)


@pytest.fixture
async def place(url: str) -> AsyncIterator[Place]:
    async with open_place(url) as place:
        yield place


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
