"""What every Collection promises of blobs that are bad or lost; on SQLite and a real PostgreSQL."""

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from registry.oci.errors import (
    BlobUnknown,
    ManifestBlobUnknown,
)
from registry.storage.memory.ledger import MemoryLedger
from support.collecting import LACE, SOLE, Place, open_place
from support.ledgers import (
    HATS,
    SHOES,
    put,
    store,
)


@pytest.fixture
async def place(url: str) -> AsyncIterator[Place]:
    async with open_place(url) as place:
        yield place


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
