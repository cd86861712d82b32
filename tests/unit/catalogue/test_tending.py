"""One process at a time looks after records; a push may wait for its own."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from registry import tending
from registry.gc import collect
from registry.oci.errors import StorageUnavailable
from registry.oci.names import Tag
from registry.storage.ledger import SqlLedger
from registry.storage.ledger.garbage import SqlCollection
from registry.tending import Arrival, Tender
from support.catalogue import Catalogue
from support.ledgers import HATS, SHOES, manifest, put, tagged


@pytest.fixture
async def collection(catalogue: Catalogue, tmp_path: Path) -> AsyncIterator[SqlCollection]:
    collection = SqlCollection(f"sqlite:///{tmp_path}/ledger.db", clock=catalogue.clock)
    yield collection
    await collection.close()


def tender(catalogue: Catalogue, collection: SqlCollection, seconds: float = 0.0) -> Tender:
    return Tender(
        catalogue.projector,
        catalogue.reconciler,
        catalogue.ledger.outbox,
        catalogue.ledger.sightings,
        collection,
        seconds,
    )


@contextlib.asynccontextmanager
async def running(*tenders: Tender) -> AsyncIterator[list[asyncio.Task[Any]]]:
    async def soon(_: float) -> None:
        await asyncio.sleep(0.01)

    tasks = [asyncio.create_task(each.run(sleep=soon)) for each in tenders]
    try:
        yield tasks
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def eventually(is_so: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not is_so():  # noqa: ASYNC110
            await asyncio.sleep(0.02)


async def test_one_of_two_sends_and_the_other_takes_over(
    catalogue: Catalogue, collection: SqlCollection
) -> None:
    await catalogue.push("v1", "base")
    async with running(*(tender(catalogue, collection) for _ in range(2))) as tasks:
        await eventually(lambda: len(catalogue.images.images) == 3)
        with pytest.raises(collect.Busy):
            async with collect.alone(collection, tending.JOB):
                pass
        for task in tasks:
            task.cancel()
            await catalogue.push("v2", f"more {task.get_name()}")
            if task is tasks[0]:
                await eventually(lambda: len(catalogue.images.images) == 5)
    async with collect.alone(collection, tending.JOB):
        pass


async def test_it_looks_at_what_people_did(catalogue: Catalogue, collection: SqlCollection) -> None:
    await catalogue.push("v1")
    looked: list[int] = []
    sweep = catalogue.reconciler.sweep

    async def and_note() -> object:
        looked.append(1)
        if len(looked) == 2:
            raise StorageUnavailable("planted")
        return await sweep()

    catalogue.reconciler.sweep = and_note  # type: ignore[method-assign, assignment]
    async with running(tender(catalogue, collection, seconds=0.01)):
        await eventually(lambda: len(looked) > 3)


async def test_a_ledger_that_never_sent_anything_is_sent_whole(
    catalogue: Catalogue, collection: SqlCollection, tmp_path: Path
) -> None:
    before = SqlLedger(f"sqlite:///{tmp_path}/ledger.db", clock=catalogue.clock)
    await before.put_manifest(put(HATS, "hat", "v1", drafts=tagged(HATS, "v1", "straw")))
    await before.close()
    async with running(tender(catalogue, collection)):
        await eventually(lambda: len(catalogue.images.images) == 3)
    await catalogue.ledger.put_manifest(put(SHOES, "a", "v1", drafts=tagged(SHOES, "v1")))
    catalogue.images.calls.clear()
    async with running(tender(catalogue, collection)):
        await eventually(lambda: len(catalogue.images.images) == 5)
    assert {method for method, _ in catalogue.images.calls} == {"create"}
    assert len(catalogue.images.calls) == 2


@pytest.mark.parametrize(
    ("error", "level"),
    [(StorageUnavailable("planted"), logging.WARNING), (KeyError("planted"), logging.ERROR)],
)
async def test_whatever_ends_a_term_is_told_and_the_next_one_begins(
    catalogue: Catalogue,
    collection: SqlCollection,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    error: Exception,
    level: int,
) -> None:
    tell = catalogue.projector.tell

    async def fail() -> None:
        monkeypatch.setattr(catalogue.projector, "tell", tell)
        raise error

    monkeypatch.setattr(catalogue.projector, "tell", fail)
    await catalogue.push("v1")
    async with running(tender(catalogue, collection)):
        await eventually(lambda: len(catalogue.images.images) == 2)
    told = [each for each in caplog.records if each.name == "registry.tending"]
    assert [each.levelno for each in told if "not sent" in each.getMessage()] == [level]


class TestArrival:
    async def wait(self, catalogue: Catalogue, *steps: Callable[[], object]) -> str | None:
        left = list(steps)

        async def sleep(seconds: float) -> None:
            assert seconds == tending.LOOK
            if left:
                await left.pop(0)()  # type: ignore[misc]

        return await Arrival(catalogue.ledger.outbox, 0.5, sleep)("shoes")

    async def test_a_push_goes_on_once_its_records_are_there(self, catalogue: Catalogue) -> None:
        assert await self.wait(catalogue) is None
        await catalogue.push("v1", "base")
        assert await self.wait(catalogue, catalogue.send) is None

    async def test_it_goes_on_without_them_in_the_end(self, catalogue: Catalogue) -> None:
        await catalogue.push("v1", "base")
        warning = await self.wait(catalogue)
        assert warning == "the image records are not in the image service after 0.5 s"

    async def test_anothers_records_are_not_waited_for(self, catalogue: Catalogue) -> None:
        await catalogue.push("v1", name=HATS)
        assert await self.wait(catalogue) is None

    async def test_what_was_refused_is_said_so(self, catalogue: Catalogue) -> None:
        await catalogue.push("v1")
        tag = await catalogue.record("tag:red/boots:v1")
        catalogue.images.refuses[tag.id] = "no"
        await catalogue.settle()
        assert await self.wait(catalogue) == "some image records were refused: ask the operator"

    async def test_a_ledger_that_is_away_takes_nothing_back(
        self, catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async def fail(_: str) -> None:
            raise StorageUnavailable("planted")

        monkeypatch.setattr(catalogue.ledger.outbox, "lag", fail)
        assert await self.wait(catalogue) is not None


async def test_a_repository_that_ends_with_its_last_manifest_ends_in_the_image_service(
    catalogue: Catalogue, tmp_path: Path
) -> None:
    await catalogue.push("v1", "base")
    await catalogue.settle()
    await catalogue.ledger.delete_tag(SHOES, Tag.parse("v1"))
    collection = SqlCollection(
        f"sqlite:///{tmp_path}/ledger.db", projecting=True, clock=catalogue.clock
    )
    catalogue.clock.now += 1
    await collection.purge_trash(catalogue.clock.now)
    digest = manifest("boots").digest
    gone, _ = await collection.collect_manifests(SHOES, [digest], catalogue.clock.now)
    assert gone == [digest]
    await collection.close()
    await catalogue.settle()
    assert catalogue.images.images == {}
