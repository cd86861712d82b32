"""From the outbox to the image service and back: what is refused, fails or gets no answer."""

import logging
from collections.abc import Sequence

import pytest

from registry.catalogue import projector
from registry.catalogue.projector import Outcomes, is_away
from registry.oci.errors import StorageFull, StorageUnavailable
from registry.storage.memory.journal import MemoryJournal
from registry.storage.ports.images import Image
from registry.storage.ports.projection import REFUSALS, Lag
from registry.storage.records import JournalLine
from support.catalogue import FAR, Catalogue
from support.ledgers import share_with

TAG = "tag:red/boots:v1"


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
