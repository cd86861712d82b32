"""What the ledger counts and what it lets in, on SQLite and on a real PostgreSQL."""

import asyncio
import random
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest
from sqlalchemy import create_engine
from sqlalchemy.pool import NullPool

from registry.limits import UNLIMITED, Allowance, Leave, Limits
from registry.oci.digest import Digest
from registry.oci.errors import QuotaExceeded, RegistryError, UploadBusy
from registry.oci.names import RepositoryName, Tag
from registry.storage.changes import from_line
from registry.storage.folding import Fold
from registry.storage.ledger import SqlLedger
from registry.storage.ledger.garbage import SqlCollection
from registry.storage.ports.quota import Usage
from registry.storage.records import BlobRecord, Segment
from support.ledgers import HATS, MORE_SHOES, SHOES, Clock, blob, manifest, put, store

SOLE, LACE = blob("sole"), blob("lace")
WHOLE = RepositoryName("shoes", "")
ROOM = 1000


@dataclass
class Place:
    """Two processes' ledgers, what collects there, and the clock of all."""

    ledger: SqlLedger
    other: SqlLedger
    collection: SqlCollection
    clock: Clock
    url: str

    async def usage(self, name: RepositoryName = WHOLE) -> Usage:
        return (await self.ledger.quotas.standing(name)).usage

    async def limit(self, name: RepositoryName = WHOLE, **limits: int) -> None:
        await self.ledger.quotas.set_limits(name, Limits(**limits))

    async def exact(self) -> None:
        assert await self.other.quotas.differences() == []


@pytest.fixture
async def place(url: str) -> AsyncIterator[Place]:
    clock = Clock()
    ledger, other = SqlLedger(url, clock=clock), SqlLedger(url, clock=clock)
    collection = SqlCollection(url, clock=clock)
    await ledger.migrate()
    yield Place(ledger, other, collection, clock, url)
    await collection.close()
    await other.close()
    await ledger.close()


def sized(word: str, size: int) -> BlobRecord:
    return BlobRecord(Digest.of(word.encode()), f"object-{word}", size)


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


class TestLimits:
    async def test_what_does_not_fit_is_refused_and_changes_nothing(self, place: Place) -> None:
        await place.limit(bytes=ROOM)
        await store(place.ledger, SHOES, sized("a", ROOM))
        with pytest.raises(QuotaExceeded) as refused:
            await store(place.ledger, SHOES, sized("b", 1))
        assert refused.value.detail == {
            "limit": "bytes",
            "of": "project shoes",
            "allowed": ROOM,
            "used": ROOM,
            "reserved": 0,
            "needed": 1,
            "advice": refused.value.detail["advice"],  # type: ignore[index]
        }
        with pytest.raises(QuotaExceeded):
            await place.ledger.put_manifest(put(SHOES, "m", "v1", sparse=True))
        assert (await place.usage()).bytes == ROOM
        await store(place.ledger, HATS, sized("b", 1))
        await place.exact()

    async def test_what_the_project_has_costs_nothing_once_more(self, place: Place) -> None:
        await store(place.ledger, SHOES, sized("a", ROOM))
        await place.ledger.put_manifest(put(SHOES, "m", "v1", sparse=True))
        await place.limit(bytes=1)
        await place.ledger.link_blob(MORE_SHOES, SHOES, sized("a", ROOM).digest)
        await store(place.ledger, MORE_SHOES, sized("a", ROOM))
        await place.ledger.put_manifest(put(SHOES, "m", "v2", sparse=True))
        await place.ledger.put_manifest(put(MORE_SHOES, "m", "v2", sparse=True))

    async def test_a_mount_from_another_project_must_fit(self, place: Place) -> None:
        await place.limit(bytes=ROOM)
        await store(place.ledger, HATS, sized("a", ROOM + 1))
        with pytest.raises(QuotaExceeded):
            await place.ledger.link_blob(SHOES, HATS, sized("a", 0).digest)

    async def test_a_repository_has_limits_of_its_own(self, place: Place) -> None:
        await place.limit(SHOES, bytes=ROOM, tags=1)
        await store(place.ledger, SHOES, sized("a", ROOM - 20))
        with pytest.raises(QuotaExceeded, match="repository shoes/red/boots"):
            await store(place.ledger, SHOES, sized("b", 21))
        await store(place.ledger, MORE_SHOES, sized("b", 21))
        with pytest.raises(QuotaExceeded):
            await place.ledger.link_blob(SHOES, MORE_SHOES, sized("b", 0).digest)
        await place.ledger.put_manifest(put(SHOES, "m", "v1"))
        await place.ledger.put_manifest(put(SHOES, "m", "v1"))
        with pytest.raises(QuotaExceeded, match="1 of 1 tags"):
            await place.ledger.put_manifest(put(SHOES, "m", "v2"))

    async def test_tags_and_repositories_are_counted_over_the_project(self, place: Place) -> None:
        await place.limit(tags=2, repositories=1)
        await place.ledger.put_manifest(put(SHOES, "m", "v1"))
        with pytest.raises(QuotaExceeded, match="1 of 1 repositories"):
            await place.ledger.put_manifest(put(MORE_SHOES, "m", "v1"))
        with pytest.raises(QuotaExceeded, match="1 of 1 repositories"):
            await place.ledger.begin_upload(MORE_SHOES, "anna")
        with pytest.raises(QuotaExceeded, match="1 of 1 repositories"):
            await store(place.ledger, MORE_SHOES, SOLE)
        with pytest.raises(QuotaExceeded, match="1 of 2 tags; 2 more"):
            await place.ledger.put_manifest(put(SHOES, "m", "v2", "v3"))
        await place.ledger.put_manifest(put(SHOES, "m", "v1", "v2"))

    async def test_deletions_work_beyond_every_limit(self, place: Place) -> None:
        await store(place.ledger, SHOES, SOLE)
        await place.ledger.put_manifest(put(SHOES, "m", "v1", "v2", blobs=(SOLE,)))
        await place.limit(bytes=0, tags=0, repositories=0)
        await place.ledger.delete_tag(SHOES, Tag.parse("v1"))
        await place.ledger.delete_manifest(SHOES, manifest("m").digest)
        await place.ledger.unlink_blob(SHOES, SOLE.digest)
        await place.exact()

    async def test_limits_from_elsewhere_hold_where_none_are_set(self, place: Place) -> None:
        leave = Leave(Allowance(project=Limits(bytes=ROOM), repository=Limits(tags=0)))
        with pytest.raises(QuotaExceeded):
            await place.ledger.finish_upload(SHOES, None, sized("a", ROOM + 1), leave)
        with pytest.raises(QuotaExceeded, match="0 of 0 tags"):
            await place.ledger.put_manifest(put(SHOES, "m", "v1"), leave)
        await place.limit(bytes=UNLIMITED)
        await place.ledger.finish_upload(SHOES, None, sized("a", ROOM + 1), leave)

    async def test_little_room_is_told(self, place: Place) -> None:
        await place.limit(bytes=ROOM)
        leave = Leave()
        await place.ledger.finish_upload(SHOES, None, sized("a", 899), leave)
        assert leave.warning == ""
        await place.ledger.finish_upload(SHOES, None, sized("b", 1), leave)
        assert leave.warning == "the project has 900 bytes of 1000 bytes (90 %)"

    async def test_limits_are_in_the_journal_and_survive_folding(self, place: Place) -> None:
        await place.limit(bytes=5)
        await store(place.ledger, SHOES, sized("a", 1))
        await place.limit(SHOES, tags=3)
        await place.limit(MORE_SHOES, tags=3)
        await place.limit(MORE_SHOES)
        await place.limit(bytes=7, repositories=2)
        lines = await place.ledger.pending_lines()
        fold = Fold()
        for line in lines:
            fold.look(line)
        folded = list(fold.folded(lines))
        assert [from_line(each.content).op for each in folded] == ["limits", "limits"]
        start = fold.bounds()["shoes"].start
        await place.ledger.restart("shoes", start)
        await place.ledger.replay(folded)
        assert (await place.ledger.quotas.standing(WHOLE)).limits == Limits(bytes=7, repositories=2)
        assert (await place.ledger.quotas.standing(SHOES)).limits == Limits(tags=3)
        assert (await place.ledger.quotas.standing(MORE_SHOES)).limits == Limits()
        assert (await place.ledger.heads())["shoes"] == lines[-1].position.sequence
        assert await place.ledger.quotas.list_projects() == ["shoes"]


class TestReserving:
    async def leased(self, place: Place, size: int, *, ahead: bool = False) -> int | None:
        session = await place.ledger.begin_upload(SHOES, "anna")
        held = await place.ledger.lease_upload(SHOES, session.id, at=0, seconds=60)
        return await place.ledger.reserve_upload(held, size, Leave(), seconds=60, ahead=ahead)

    async def test_a_reservation_takes_room_and_its_blob_takes_its_place(
        self, place: Place
    ) -> None:
        await place.limit(bytes=ROOM)
        session = await place.ledger.begin_upload(SHOES, "anna")
        assert session.bounded
        held = await place.ledger.lease_upload(SHOES, session.id, at=0, seconds=60)
        assert await place.ledger.reserve_upload(held, ROOM, Leave(), seconds=60) == ROOM
        with pytest.raises(QuotaExceeded):
            await place.ledger.finish_upload(SHOES, None, sized("b", 1))
        with pytest.raises(QuotaExceeded):
            await place.ledger.begin_upload(SHOES, "anna")
        await place.ledger.finish_upload(SHOES, held, sized("a", ROOM))
        assert (await place.usage()).bytes == ROOM
        assert (await place.usage()).reserved == 0
        await place.exact()

    async def test_where_nothing_limits_bytes_nothing_is_reserved(self, place: Place) -> None:
        assert await self.leased(place, 5) is None
        await place.limit(tags=3)
        assert await self.leased(place, 5) is None
        assert (await place.usage()).reserved == 0

    async def test_room_is_taken_ahead_only_where_there_is_much(self, place: Place) -> None:
        await place.limit(bytes=1 << 40)
        assert await self.leased(place, 5, ahead=True) == 5 + 16 * 1024 * 1024
        assert await self.leased(place, 5) == 5
        await place.limit(bytes=5 + 16 * 1024 * 1024 + 5 + 60)
        assert await self.leased(place, 20, ahead=True) == 20

    async def test_what_was_announced_to_a_server_that_is_gone_makes_room(
        self, place: Place
    ) -> None:
        await place.limit(bytes=ROOM)
        assert await self.leased(place, ROOM) == ROOM
        place.clock.now += 100
        await store(place.ledger, SHOES, sized("a", ROOM))
        await place.exact()

    async def test_a_writer_that_was_taken_over_reserves_nothing(self, place: Place) -> None:
        await place.limit(bytes=ROOM)
        session = await place.ledger.begin_upload(SHOES, "anna")
        old = await place.ledger.lease_upload(SHOES, session.id, at=0, seconds=0)
        place.clock.now += 1
        await place.ledger.lease_upload(SHOES, session.id, at=0, seconds=60)
        with pytest.raises(UploadBusy):
            await place.ledger.reserve_upload(old, 5, Leave(), seconds=60)
        assert (await place.usage()).reserved == 0


class TestTwoWritersAtTheEdge:
    """However many ask at once, from two processes: as many get in as fit, and no more."""

    async def test_blobs(self, place: Place) -> None:
        await place.limit(bytes=ROOM)
        got = await asyncio.gather(
            *(
                _fits(ledger.finish_upload(SHOES, None, sized(f"{n}", 90)))
                for n, ledger in enumerate([place.ledger, place.other] * 10)
            )
        )
        assert sum(got) == 11
        assert (await place.usage()).bytes == 990

    async def test_reservations(self, place: Place) -> None:
        await place.limit(bytes=ROOM)
        sessions = []
        for _ in range(20):
            session = await place.ledger.begin_upload(SHOES, "anna")
            sessions.append(await place.ledger.lease_upload(SHOES, session.id, at=0, seconds=600))
        got = await asyncio.gather(
            *(
                _fits(
                    (place.ledger, place.other)[n % 2].reserve_upload(
                        each, 90, Leave(), seconds=600
                    )
                )
                for n, each in enumerate(sessions)
            )
        )
        assert sum(got) == 11
        assert (await place.usage()).reserved == 990

    async def test_tags(self, place: Place) -> None:
        await place.limit(tags=5)
        got = await asyncio.gather(
            *(
                _fits(ledger.put_manifest(put(SHOES, "m", f"v{n}")))
                for n, ledger in enumerate([place.ledger, place.other] * 6)
            )
        )
        assert sum(got) == 5
        assert len(await place.ledger.list_tags(SHOES)) == 5

    async def test_repositories(self, place: Place) -> None:
        await place.limit(repositories=3)
        names = [RepositoryName("shoes", f"pair-{n}") for n in range(12)]
        got = await asyncio.gather(
            *(
                _fits((place.ledger, place.other)[n % 2].finish_upload(name, None, SOLE))
                for n, name in enumerate(names)
            )
        )
        assert sum(got) == 3
        assert (await place.usage()).repositories == 3


async def _fits(change: object) -> bool:
    try:
        await change  # type: ignore[misc]
    except QuotaExceeded:
        return False
    return True
