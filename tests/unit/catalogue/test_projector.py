"""From the outbox to the image service: order, ids, refusals and failures."""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import replace

import pytest
from sqlalchemy import false

from registry.catalogue import projector
from registry.catalogue.projector import Outcomes, is_away
from registry.oci.errors import StorageFull, StorageUnavailable
from registry.storage.images import image_of
from registry.storage.ledger import leasing
from registry.storage.memory.journal import MemoryJournal
from registry.storage.ports.images import Absent, Image
from registry.storage.ports.projection import REFUSALS, Due, Lag
from registry.storage.records import JournalLine
from support.catalogue import FAR, Catalogue
from support.ledgers import SHOES, manifest, platform, put, put_index, share_with, tagged

TAG = "tag:red/boots:v1"
REPOSITORY = "repository:red/boots"


class TestOrder:
    async def test_parents_are_made_before_children_and_all_as_they_are(
        self, catalogue: Catalogue
    ) -> None:
        await catalogue.push("v1", "base", "app")
        assert await catalogue.send() == Outcomes(sent=4)
        made = [image for _, image in catalogue.images.calls]
        for image in made:
            parent = catalogue.images.images[image].properties.get("parent_id")
            assert parent is None or parent in made[: made.index(image)]
        await catalogue.hold_same()

    async def test_what_ended_goes_before_its_parents_though_it_is_protected(
        self, catalogue: Catalogue
    ) -> None:
        await catalogue.push("v1", "base", "app")
        await catalogue.settle()
        order = [(await catalogue.record(key)).id for key in (TAG, "layer:base-app", "layer:base")]
        catalogue.images.calls.clear()
        await catalogue.ledger.delete_manifest(SHOES, manifest("boots").digest)
        assert await catalogue.send() == Outcomes(ended=4)
        gone = [image for method, image in catalogue.images.calls if method == "delete"]
        assert [image for image in gone if image in order] == order
        assert catalogue.images.images == {}

    async def test_a_tag_that_moved_is_the_same_image(self, catalogue: Catalogue) -> None:
        await catalogue.push("v1", "base", word="a")
        await catalogue.settle()
        tag = (await catalogue.record(TAG)).id
        await catalogue.push("v1", "other", word="b")
        await catalogue.settle()
        top = await catalogue.record("layer:other")
        assert catalogue.images.images[tag].properties["parent_id"] == top.id
        await catalogue.hold_same()

    async def test_an_index_is_sent_with_its_platforms(self, catalogue: Catalogue) -> None:
        await catalogue.ledger.put_manifest(put(SHOES, "amd64"))
        parts = platform(SHOES, "amd64", "base", "app")
        top = tagged(SHOES, "v1", uses=(parts[-1].key,))
        children = (manifest("amd64").digest,)
        await catalogue.ledger.put_manifest(
            put_index(SHOES, "index", "v1", children=children, drafts=(*parts, *top))
        )
        await catalogue.settle()
        await catalogue.hold_same()
        assert len(catalogue.images.images) == 5

    async def test_rows_sent_out_of_order_are_found(
        self, catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(leasing, "parent_waits", lambda *_: false())
        monkeypatch.setattr(projector, "FEW", 1)
        await catalogue.push("v1", "base", "app", "more")
        catalogue.images.refuses[(await catalogue.record("layer:base")).id] = "planted"
        await catalogue.send()
        orphans = [
            image
            for image in catalogue.images.images.values()
            if image.properties.get("parent_id", image.id) not in catalogue.images.images
        ]
        assert orphans, "the order that the outbox keeps is what the tests above see"


class TestIds:
    async def test_an_id_that_is_anothers_is_not_used(self, catalogue: Catalogue) -> None:
        await catalogue.push("v1", "base")
        base = await catalogue.record("layer:base")
        theirs = replace(image_of(base), owner="hats")  # every property, the digests too
        await catalogue.images.create(theirs)
        await catalogue.settle()
        assert catalogue.images.images.pop(base.id) == theirs
        assert (await catalogue.record("layer:base")).id != base.id
        await catalogue.hold_same()

    async def test_a_record_that_was_deleted_out_there_comes_back_under_another_id(
        self, catalogue: Catalogue
    ) -> None:
        await catalogue.push("v1", "base", "app")
        await catalogue.settle()
        for key in ("layer:base", TAG):
            old = await catalogue.record(key)
            await catalogue.images.delete(old.id)
            await catalogue.ledger.outbox.mark([old.id])
            await catalogue.settle()
            assert (await catalogue.record(key)).id != old.id
            await catalogue.hold_same()

    async def test_an_image_service_that_lost_everything_gets_everything(
        self, catalogue: Catalogue
    ) -> None:
        await catalogue.push("v1", "base", "app")
        tag = await catalogue.record(TAG)
        await share_with(catalogue.ledger, tag.id, "hats")
        await catalogue.settle()
        for thing in (catalogue.images.images, catalogue.images.shared, catalogue.images.used):
            thing.clear()
        assert await catalogue.ledger.outbox.mark_all() == 4
        await catalogue.settle()
        assert (await catalogue.record(TAG)).id == tag.id
        assert catalogue.images.shared[tag.id] == {"hats": "accepted"}
        await catalogue.hold_same()

    async def test_an_ended_record_that_may_still_come_can_come_no_more(
        self, catalogue: Catalogue
    ) -> None:
        await catalogue.push("v1")
        tag = await catalogue.record(TAG)
        for due in await catalogue.ledger.outbox.lease_due(limit=9, seconds=60):
            assert await catalogue.ledger.outbox.begin(due, seconds=60)  # and is heard of no more
        await catalogue.ledger.delete_manifest(SHOES, manifest("boots").digest)
        await catalogue.settle()
        assert tag.id in catalogue.images.used
        assert catalogue.images.images == {}

    async def test_an_ended_record_goes_though_a_look_finds_nothing(
        self, catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        await catalogue.push("v1", "base")
        await catalogue.settle()
        tag = (await catalogue.record(TAG)).id
        find = catalogue.images.find
        asked: list[str] = []

        async def deny_once(image: str) -> Image:
            if image == tag and not asked:
                asked.append(image)
                raise Absent(image)
            return await find(image)

        monkeypatch.setattr(catalogue.images, "find", deny_once)
        await catalogue.ledger.delete_manifest(SHOES, manifest("boots").digest)
        await catalogue.settle()
        assert asked == [tag]
        assert catalogue.images.images == {}

    async def test_a_sender_that_wakes_after_the_end_makes_nothing(
        self, catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        await catalogue.push("v1")
        tag = (await catalogue.record(TAG)).id
        create, asleep, woken = catalogue.images.create, asyncio.Event(), asyncio.Event()

        async def sleep_first(image: Image) -> None:
            if image.id == tag and not asleep.is_set():
                asleep.set()
                await woken.wait()
                await create(image)
                raise StorageUnavailable("he dies before he says that it is done")
            await create(image)

        monkeypatch.setattr(catalogue.images, "create", sleep_first)
        slow = asyncio.create_task(catalogue.send())
        await asleep.wait()
        catalogue.clock.now += projector.LEASE + 1
        await catalogue.ledger.delete_manifest(SHOES, manifest("boots").digest)
        await catalogue.settle()
        woken.set()
        await slow
        await catalogue.settle()
        assert catalogue.images.images == {}

    async def test_an_id_that_is_not_used_up_is_found(
        self, catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async def only_delete(self: projector.Projector, due: Due) -> None:
            await self._images.delete(due.record)

        monkeypatch.setattr(projector.Projector, "_end", only_delete)
        with pytest.raises(AssertionError):
            await self.test_a_sender_that_wakes_after_the_end_makes_nothing(catalogue, monkeypatch)

    async def test_what_a_sender_overtaken_by_another_wrote_is_written_again(
        self, catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        await catalogue.push("v1", "old", word="a")
        await catalogue.settle()
        await catalogue.push("v1", "older", word="b")
        tag = (await catalogue.record(TAG)).id
        change, asleep, woken = catalogue.images.change, asyncio.Event(), asyncio.Event()

        async def sleep_first(before: Image, after: Image) -> None:
            if after.id == tag and not asleep.is_set():
                asleep.set()
                await woken.wait()
            await change(before, after)

        monkeypatch.setattr(catalogue.images, "change", sleep_first)
        slow = asyncio.create_task(catalogue.send())
        await asleep.wait()
        catalogue.clock.now += projector.LEASE + 1
        await catalogue.push("v1", "new", word="c")
        await catalogue.settle()
        woken.set()
        await slow
        await catalogue.settle()
        await catalogue.hold_same()

    async def test_what_only_looks_like_an_ended_record_stays(self, catalogue: Catalogue) -> None:
        await catalogue.push("v1")
        tag = await catalogue.record(TAG)
        theirs = replace(image_of(tag), owner="hats")
        await catalogue.images.create(theirs)
        await catalogue.ledger.delete_manifest(SHOES, manifest("boots").digest)
        await catalogue.settle()
        assert catalogue.images.images == {tag.id: theirs}


class TestRefusals:
    async def test_ten_refusals_park_a_record_with_an_alarm_and_its_children_only(
        self, catalogue: Catalogue, caplog: pytest.LogCaptureFixture
    ) -> None:
        await catalogue.push("v1", "base", "app")
        await catalogue.push("v2", "other", word="b")
        base = await catalogue.record("layer:base")
        catalogue.images.refuses[base.id] = "quota"
        outcomes = await catalogue.settle()
        assert (outcomes["refused"], outcomes["parked"]) == (REFUSALS - 1, 1)
        alarms = [each for each in caplog.records if each.levelno == logging.ERROR]
        assert len(alarms) == 1
        assert "quota" in alarms[0].getMessage()
        assert base.id in alarms[0].getMessage()
        lag = await catalogue.ledger.outbox.lag()
        assert (lag.count, lag.parked) == (2, 1)  # the layer above it, and the tag
        assert (await catalogue.record("tag:red/boots:v2")).id in catalogue.images.images
        catalogue.images.refuses.clear()
        assert await catalogue.ledger.outbox.unpark() == 1
        await catalogue.settle()
        await catalogue.hold_same()


class TestFailures:
    async def test_an_image_service_that_is_away_is_asked_little(
        self, catalogue: Catalogue
    ) -> None:
        for number in range(40):
            await catalogue.push(f"v{number}", f"layer{number}")
        catalogue.images.away = True
        outcomes = await catalogue.projector.send(8)
        assert is_away(outcomes)
        assert outcomes["failed"] <= projector.PATIENCE * projector.SENDERS
        catalogue.images.away = False
        await catalogue.settle()
        await catalogue.hold_same()

    async def test_one_record_that_fails_is_put_off_and_others_go_on(
        self, catalogue: Catalogue
    ) -> None:
        await catalogue.push("v1")
        catalogue.images.before = 1
        outcomes = await catalogue.send()
        assert (outcomes["failed"], outcomes["sent"]) == (1, 1)
        assert not is_away(outcomes)
        assert await catalogue.send() == Outcomes()
        catalogue.clock.now += projector.PAUSE + 1
        assert await catalogue.send() == Outcomes(sent=1)
        await catalogue.hold_same()

    async def test_records_that_always_fail_block_no_others(
        self, catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for number in range(8):
            await catalogue.push(f"bad{number}")
        await catalogue.push("good")
        create = catalogue.images.create

        async def fail(image: Image) -> None:
            if "bad" in image.name:
                raise StorageUnavailable("Glance answered 500 to POST")
            await create(image)

        monkeypatch.setattr(catalogue.images, "create", fail)
        for _ in range(5):
            await catalogue.send()
            catalogue.clock.now += 1
        assert {each.name for each in catalogue.images.images.values()} >= {"red/boots:good"}

    @pytest.mark.parametrize("lost", range(1, 5))
    async def test_lost_answers_make_no_second_image(self, catalogue: Catalogue, lost: int) -> None:
        await catalogue.push("v1", "base")
        tag = await catalogue.record(TAG)
        await share_with(catalogue.ledger, tag.id, "hats")
        catalogue.images.after = lost
        await catalogue.settle()
        assert (await catalogue.record(TAG)).id == tag.id
        assert len(catalogue.images.used) == 3
        await catalogue.hold_same()

    async def test_nothing_is_sent_while_store_and_ledger_disagree(
        self, catalogue: Catalogue
    ) -> None:
        await catalogue.push("v1")
        catalogue.storage.disagreement = "planted"
        waits: list[float] = []

        async def sleep(seconds: float) -> None:
            waits.append(seconds)
            if len(waits) == 3:
                raise StorageUnavailable("enough")

        with pytest.raises(StorageUnavailable, match="enough"):
            await catalogue.projector.run(pause=7, sleep=sleep)
        assert waits == [7, 7, 7]
        assert catalogue.images.images == {}

    async def test_nothing_is_sent_before_the_journal_has_it(
        self, catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Else a ledger that is made anew would not know what is out there."""
        full = True

        async def append(lines: Sequence[JournalLine]) -> None:
            if full:
                raise StorageFull("no room for a line")
            await MemoryJournal.append(catalogue.storage.journal, lines)  # type: ignore[arg-type]

        monkeypatch.setattr(catalogue.storage.journal, "append", append)
        await catalogue.push("v1", "base")
        assert (await catalogue.send())["failed"]
        assert catalogue.images.calls == []
        full = False
        await catalogue.settle()
        await catalogue.hold_same()

    async def test_a_sender_waits_longer_and_longer_and_goes_on_at_once(
        self, catalogue: Catalogue
    ) -> None:
        for number in range(9):
            await catalogue.push(f"v{number}")
        catalogue.images.away = True
        waits: list[float] = []

        async def sleep(seconds: float) -> None:
            waits.append(seconds)
            catalogue.clock.now += FAR
            catalogue.images.away = len(waits) < 7
            if len(waits) == 9:
                raise StorageUnavailable("enough")

        with pytest.raises(StorageUnavailable, match="enough"):
            await catalogue.projector.run(pause=0.5, sleep=sleep)
        assert waits == [1, 2, 4, 8, 10, 10, 10, 0.5, 0.5]
        await catalogue.hold_same()

    async def test_a_drain_tells_how_far_it_is_and_ends(self, catalogue: Catalogue) -> None:
        await catalogue.push("v1", "base")
        told: list[Lag] = []
        assert await catalogue.projector.drain(told.append) == Lag(0, 0.0, 0)
        assert [each.count for each in told] == [3, 0]
        await catalogue.push("v2", "more")
        catalogue.images.refuses[(await catalogue.record("layer:more")).id] = "no"

        async def sleep(seconds: float) -> None:
            assert seconds == 1

        assert (await catalogue.projector.drain(sleep=sleep)).count == 2
        catalogue.images.away = True
        for number in range(9):
            await catalogue.push(f"w{number}")
        with pytest.raises(StorageUnavailable, match="does not answer"):
            await catalogue.projector.drain()


async def test_an_image_that_is_no_more_under_our_hands_comes_back(
    catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch
) -> None:
    await catalogue.push("v1")
    await catalogue.settle()
    change = catalogue.images.change

    async def too_late(before: Image, after: Image) -> None:
        monkeypatch.setattr(catalogue.images, "change", change)
        await catalogue.images.delete(after.id)
        await change(before, after)

    monkeypatch.setattr(catalogue.images, "change", too_late)
    await catalogue.push("v1", "base", word="b")
    outcomes = await catalogue.settle()
    assert outcomes["failed"] == 1
    await catalogue.hold_same()
