"""Several processes with one journal, where each line is claimed before it is appended."""

import asyncio
import time

import pytest

from registry.oci.errors import StorageUnavailable
from registry.storage import flusher as flushing
from registry.storage.flusher import Flusher
from registry.storage.records import Position
from support.flushing import SHOES, Outbox, SlowJournal


@pytest.fixture
def flushers(ledger: Outbox, journal: SlowJournal) -> list[Flusher]:
    """Of as many processes."""
    return [Flusher(ledger, journal, claimed=True) for _ in range(3)]


async def test_each_claimed_line_is_appended_by_one_process(
    ledger: Outbox, journal: SlowJournal, flushers: list[Flusher]
) -> None:
    async def push(flusher: Flusher, project: str) -> None:
        for _ in range(10):
            position = ledger.change(project=project)
            await flusher.flush(position)
            assert (await journal.heads())[project] >= position.sequence

    pushes = [push(each, name) for each in flushers for name in (SHOES, SHOES, "hats")]
    await asyncio.gather(*pushes)
    assert await journal.heads() == {SHOES: 60, "hats": 30}
    assert sum(journal.appends) == 90
    assert (ledger.pending, ledger.claims) == ([], {})


async def test_a_failure_to_append_is_that_process_s_own(
    ledger: Outbox, journal: SlowJournal, flushers: list[Flusher]
) -> None:
    journal.failing = StorageUnavailable("EIO")
    first = asyncio.create_task(flushers[0].flush(ledger.change()))
    await asyncio.sleep(0.002)
    second = asyncio.create_task(flushers[1].flush(ledger.change()))
    with pytest.raises(StorageUnavailable, match="EIO"):
        await first
    journal.failing = None
    await second
    assert await journal.heads() == {SHOES: 2}


async def test_what_a_process_that_died_has_claimed_is_taken_over(
    ledger: Outbox,
    journal: SlowJournal,
    flushers: list[Flusher],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    position = ledger.change()
    await ledger.claim_lines("dead", {}, seconds=0.05)
    began = time.monotonic()
    await flushers[0].flush(position)
    assert time.monotonic() - began > 0.04
    assert await journal.heads() == {SHOES: 1}
    ledger.change()
    await ledger.claim_lines("alive", {}, seconds=60)
    monkeypatch.setattr(flushing, "PATIENCE", 0.02)
    with pytest.raises(StorageUnavailable, match="another process"):
        await flushers[0].flush(Position(SHOES, 2))


async def test_flush_all_waits_for_nobodys_claim(
    ledger: Outbox, journal: SlowJournal, flushers: list[Flusher]
) -> None:
    ledger.change(2)
    await ledger.claim_lines("dead", {}, seconds=60)
    await flushers[0].flush_all()
    assert await journal.heads() == {SHOES: 2}
    assert ledger.pending == []


async def test_lines_that_cannot_be_settled_at_once_are_later(
    ledger: Outbox, journal: SlowJournal
) -> None:
    flusher = Flusher(ledger, journal, claimed=True, settle_after=0.02)
    ledger.failing = StorageUnavailable("database is locked")
    await flusher.flush(ledger.change())
    assert len(ledger.pending) == 1
    ledger.failing = None
    await asyncio.sleep(0.1)
    assert ledger.pending == []
    await flusher.close()


async def test_what_another_ledger_settled_is_not_taken_for_there(
    ledger: Outbox, flushers: list[Flusher]
) -> None:
    position = ledger.change()
    await ledger.claim_lines("other", {}, seconds=60)
    task = asyncio.create_task(flushers[0].flush(position))
    await asyncio.sleep(0.002)
    ledger.interruptions += 1
    ledger.pending = []
    with pytest.raises(StorageUnavailable):
        await task
