"""What the ledger counts, on SQLite and on a real PostgreSQL."""

import asyncio
import random
from collections.abc import AsyncIterator

import pytest
from sqlalchemy import create_engine
from sqlalchemy.pool import NullPool

from registry.oci.digest import Digest
from registry.oci.errors import RegistryError
from registry.oci.names import RepositoryName, Tag
from registry.storage.ledger import SqlLedger
from registry.storage.ports.quota import Usage
from registry.storage.records import BlobRecord, Segment
from support.ledgers import HATS, MORE_SHOES, SHOES, manifest, put, store
from support.quotas import LACE, SOLE, Place, open_place


@pytest.fixture
async def place(url: str) -> AsyncIterator[Place]:
    async with open_place(url) as place:
        yield place


class TestCounting:
    async def test_a_project_pays_once_for_a_digest_and_each_repository_for_its_own(
        self, place: Place
    ) -> None:
        await store(place.ledger, SHOES, SOLE, LACE)
        await place.ledger.link_blob(MORE_SHOES, SHOES, SOLE.digest)
        await store(place.ledger, HATS, SOLE)
        assert (await place.usage()).bytes == SOLE.size + LACE.size
        assert (await place.usage(SHOES)).bytes == SOLE.size + LACE.size
        assert (await place.usage(MORE_SHOES)).bytes == SOLE.size
        assert (await place.usage(RepositoryName("hats", ""))).bytes == SOLE.size
        assert (await place.usage()).repositories == 2
        await place.exact()

    async def test_other_algorithms_make_other_digests_of_the_same_bytes(
        self, place: Place
    ) -> None:
        other = BlobRecord(Digest.of(b"blob sole", "sha512"), "object-512", SOLE.size)
        await store(place.ledger, SHOES, SOLE, other)
        assert (await place.usage()).bytes == 2 * SOLE.size

    async def test_what_is_deleted_counts_as_trash_until_it_was_collected(
        self, place: Place
    ) -> None:
        await store(place.ledger, SHOES, SOLE, LACE)
        await place.ledger.put_manifest(put(SHOES, "boot", "v1", blobs=(SOLE,)))
        await place.ledger.put_manifest(put(SHOES, "shoe", "v2", blobs=(SOLE, LACE)))
        content = len(manifest("boot").content) + len(manifest("shoe").content)
        paid = SOLE.size + LACE.size + content
        assert await place.usage() == Usage(bytes=paid, trash=0, reserved=0, repositories=1, tags=2)
        await place.ledger.delete_manifest(SHOES, manifest("shoe").digest)
        trash = LACE.size + len(manifest("shoe").content)
        assert await place.usage() == Usage(
            bytes=paid, trash=trash, reserved=0, repositories=1, tags=1
        )
        place.clock.now += 1000
        await place.collection.purge_trash(place.clock.now)
        await place.collection.condemn(SHOES, [SOLE.digest, LACE.digest], place.clock.now)
        left = await place.usage()
        assert (left.bytes, left.trash) == (paid - trash, 0)
        await place.exact()

    async def test_an_unfinished_upload_reserves_what_it_has(self, place: Place) -> None:
        session = await place.ledger.begin_upload(SHOES, "anna")
        session = await place.ledger.lease_upload(SHOES, session.id, at=0, seconds=60)
        session = await place.ledger.record_segment(session, Segment("s", 7), seconds=60)
        assert (await place.usage()).reserved == 7
        assert (await place.usage(SHOES)).reserved == 7
        await place.ledger.finish_upload(SHOES, session, SOLE)
        assert ((await place.usage()).reserved, (await place.usage()).bytes) == (0, SOLE.size)
        second = await place.ledger.begin_upload(SHOES, "anna")
        leased = await place.ledger.lease_upload(SHOES, second.id, at=0, seconds=60)
        await place.ledger.record_segment(leased, Segment("t", 9), seconds=60)
        await place.ledger.cancel_upload(SHOES, second.id)
        assert (await place.usage()).reserved == 0
        third = await place.ledger.begin_upload(SHOES, "anna")
        leased = await place.ledger.lease_upload(SHOES, third.id, at=0, seconds=1)
        await place.ledger.record_segment(leased, Segment("u", 9), seconds=1)
        place.clock.now += 100
        assert await place.collection.forget_upload(third.id, place.clock.now)
        assert (await place.usage()).reserved == 0
        await place.exact()

    async def test_a_counter_that_is_wrong_is_found_and_mended(self, place: Place) -> None:
        await store(place.ledger, SHOES, SOLE)
        engine = create_engine(place.url, poolclass=NullPool)
        with engine.begin() as connection:
            connection.exec_driver_sql("UPDATE usage SET bytes = bytes + 1")
            connection.exec_driver_sql("UPDATE holding SET uses = 5")
        engine.dispose()
        wrong = await place.ledger.quotas.differences()
        assert {(each.repository, each.counter) for each in wrong} == {
            ("", f"holding of {SOLE.digest}"),
            ("", "bytes"),
            (SHOES.path, "bytes"),
        }
        assert await place.ledger.quotas.differences(mend=True) == wrong
        await place.exact()
        assert (await place.usage()).bytes == SOLE.size

    @pytest.mark.parametrize("seed", range(2))
    async def test_counters_are_exact_after_many_racing_changes(
        self, place: Place, seed: int
    ) -> None:
        chance = random.Random(seed)
        names = (SHOES, MORE_SHOES, HATS)
        for _ in range(8):
            steps = [
                _step(place, chance.choice((place.ledger, place.other)), chance, names)
                for _ in range(12)
            ]
            for outcome in await asyncio.gather(*steps, return_exceptions=True):
                assert outcome is None or isinstance(outcome, RegistryError), outcome
            place.clock.now += 10
        await place.exact()
        lines = await place.ledger.pending_lines()
        assert len(lines) > 20


async def _step(
    place: Place, ledger: SqlLedger, chance: random.Random, names: tuple[RepositoryName, ...]
) -> None:
    name, held = chance.choice(names), chance.choice((SOLE, LACE))
    word, tag = chance.choice("ab"), f"v{chance.randrange(2)}"
    match chance.randrange(9):
        case 0 | 1:
            await ledger.finish_upload(name, None, held)
        case 2:
            await ledger.link_blob(name, chance.choice(names), held.digest)
        case 3 | 4:
            await ledger.put_manifest(put(name, word, tag, blobs=(held,), sparse=True))
        case 5:
            await ledger.delete_manifest(name, manifest(word).digest)
        case 6:
            await ledger.delete_tag(name, Tag.parse(tag))
        case 7:
            await ledger.unlink_blob(name, held.digest)
        case _:
            await place.collection.purge_trash(place.clock.now - 5)
            await place.collection.condemn(name, [SOLE.digest, LACE.digest], place.clock.now)
