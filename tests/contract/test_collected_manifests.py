"""What every Collection promises of manifests and the trash, on SQLite and on a real PostgreSQL."""

from collections.abc import AsyncIterator

import pytest

from registry.oci.errors import (
    ManifestUnknown,
)
from registry.oci.names import Tag
from registry.storage.ports.collection import Totals
from support.collecting import GRACE, LACE, SOLE, Place, open_place
from support.ledgers import (
    HATS,
    SHOES,
    manifest,
    put,
    put_index,
    store,
)


@pytest.fixture
async def place(url: str) -> AsyncIterator[Place]:
    async with open_place(url) as place:
        yield place


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
