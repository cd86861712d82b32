"""From the outbox to the image service: ids of images, also another's and used ones."""

import asyncio
from dataclasses import replace

import pytest

from registry.catalogue import projector
from registry.oci.errors import StorageUnavailable
from registry.storage.images import image_of
from registry.storage.ports.images import Absent, Image
from registry.storage.ports.projection import Due
from support.catalogue import Catalogue
from support.ledgers import SHOES, manifest, share_with

TAG = "tag:red/boots:v1"


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
