"""Room taken before its bytes come, and its last part asked for by many; on both databases."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from registry.limits import Leave
from registry.oci.errors import QuotaExceeded, UploadBusy
from registry.oci.names import RepositoryName
from support.ledgers import SHOES, put, store
from support.quotas import ROOM, SOLE, Place, open_place, sized


@pytest.fixture
async def place(url: str) -> AsyncIterator[Place]:
    async with open_place(url) as place:
        yield place


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
