"""What the ledger lets in, on SQLite and on a real PostgreSQL."""

from collections.abc import AsyncIterator

import pytest

from registry.limits import UNLIMITED, Allowance, Leave, Limits
from registry.oci.errors import QuotaExceeded
from registry.oci.names import Tag
from registry.storage.changes import from_line
from registry.storage.folding import Fold
from support.ledgers import HATS, MORE_SHOES, SHOES, manifest, put, store
from support.quotas import ROOM, SOLE, WHOLE, Place, open_place, sized


@pytest.fixture
async def place(url: str) -> AsyncIterator[Place]:
    async with open_place(url) as place:
        yield place


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
