"""Leases of the jobs of which one at a time is done, on SQLite and on a real PostgreSQL."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from registry.gc import collect
from registry.oci.errors import (
    StorageUnavailable,
)
from registry.storage.ledger import SqlLedger
from registry.storage.ledger.garbage import SqlCollection
from support.ledgers import (
    Clock,
)


@pytest.fixture
async def collection(url: str) -> AsyncIterator[SqlCollection]:
    ledger, collection = await SqlLedger.open(url), SqlCollection(url, clock=Clock())
    yield collection
    await collection.close()
    await ledger.close()


async def hold_lease(collection: SqlCollection, ended: asyncio.Event) -> None:
    async with collect.alone(collection):
        await ended.wait()


async def test_whoever_is_cancelled_while_he_takes_the_lease_leaves_it(
    collection: SqlCollection,
) -> None:
    """The ledger's thread goes on and takes it; nobody else should have to wait for its end."""
    for turns in range(6):
        task = asyncio.create_task(hold_lease(collection, asyncio.Event()))
        for _ in range(turns):
            await asyncio.sleep(0.001 if turns > 3 else 0)
        task.cancel()
        await asyncio.wait({task})
        assert task.cancelled()
        assert await collection.lease(collect.JOB, "another", 60), turns
        await collection.release(collect.JOB, "another")


async def test_whoever_renews_the_lease_at_the_end_leaves_it(
    collection: SqlCollection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A renewal that is under way then must not take it anew after its release."""
    monkeypatch.setattr(collect, "LEASE", 0.02)
    lease = collection.lease
    renewing, go_on = asyncio.Event(), asyncio.Event()
    taken: list[bool] = []

    async def slowly(job: str, holder: str, seconds: float) -> bool:
        if taken:
            renewing.set()
            await asyncio.shield(go_on.wait())
        taken.append(await lease(job, holder, max(seconds, 3600)))
        return taken[-1]

    monkeypatch.setattr(collection, "lease", slowly)
    ended = asyncio.Event()
    task = asyncio.create_task(hold_lease(collection, ended))
    await renewing.wait()
    ended.set()
    await asyncio.sleep(0.05)
    assert not task.done(), "it waits for the renewal"
    go_on.set()
    await task
    assert await lease(collect.JOB, "another", 60)


async def test_a_run_that_lost_its_lease_ends_and_leaves_its_task_alive(
    collection: SqlCollection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would be the last one that a server makes otherwise: nobody hears of a cancelled task."""
    monkeypatch.setattr(collect, "LEASE", 0.02)
    lease = collection.lease

    async def lose(job: str, holder: str, seconds: float) -> bool:
        await collection.release(job, holder)
        assert await lease(job, "another", 3600)
        return await lease(job, holder, seconds)

    async def work() -> str:
        try:
            async with collect.alone(collection):
                monkeypatch.setattr(collection, "lease", lose)
                await asyncio.sleep(30)
        except collect.Busy:
            await asyncio.sleep(0)
            return "goes on"
        return "was alone"

    assert await asyncio.create_task(work()) == "goes on"
    assert not await lease(collect.JOB, "a third", 60)


@pytest.mark.parametrize("away", [1, 99])
async def test_a_run_goes_on_while_the_ledger_is_away_for_no_longer_than_its_lease(
    collection: SqlCollection, monkeypatch: pytest.MonkeyPatch, away: int
) -> None:
    monkeypatch.setattr(collect, "LEASE", 0.2)
    lease = collection.lease
    asked, again = [0], asyncio.Event()

    async def fail(job: str, holder: str, seconds: float) -> bool:
        asked[0] += 1
        if asked[0] <= away:
            raise StorageUnavailable("the ledger is away")
        again.set()
        return await lease(job, holder, seconds)

    async def work() -> None:
        async with collect.alone(collection):
            monkeypatch.setattr(collection, "lease", fail)
            await asyncio.wait_for(again.wait(), 30)

    if away == 1:
        await work()
    else:
        with pytest.raises(collect.Busy):
            await work()
    assert 1 < asked[0] < 9


async def test_whoever_cannot_give_the_lease_back_has_done_his_work(
    collection: SqlCollection, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(_: str, __: str) -> None:
        raise StorageUnavailable("the ledger is away")

    async with collect.alone(collection):
        monkeypatch.setattr(collection, "release", fail)
    assert not await collection.lease(collect.JOB, "another", 60)
