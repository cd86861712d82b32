"""Pending lines on their way into the journal: shared appends, failures, and what stays."""

import asyncio

import pytest

from registry.oci.errors import StorageFull, StorageUnavailable
from registry.storage.flusher import PAGE, Flusher
from registry.storage.records import Position
from support.flushing import SHOES, Outbox, SlowJournal


async def test_a_flushed_position_lies_in_the_journal(
    ledger: Outbox, journal: SlowJournal, flusher: Flusher
) -> None:
    await flusher.flush(ledger.change(3))
    assert await journal.heads() == {SHOES: 3}
    await flusher.close()


async def test_what_is_flushed_already_is_not_appended_again(
    ledger: Outbox, journal: SlowJournal, flusher: Flusher
) -> None:
    await flusher.flush(ledger.change(2))
    await flusher.flush(Position(SHOES, 1))
    await flusher.flush(ledger.change())
    assert journal.appends == [2, 1]
    await flusher.close()


async def test_callers_at_one_time_share_an_append(
    ledger: Outbox, journal: SlowJournal, flusher: Flusher
) -> None:
    first = asyncio.create_task(flusher.flush(ledger.change()))
    await asyncio.sleep(0.002)  # the append of the first is under way
    later = [asyncio.create_task(flusher.flush(ledger.change())) for _ in range(50)]
    await asyncio.gather(first, *later)
    assert journal.appends == [1, 50]
    await flusher.close()


async def test_a_caller_is_answered_only_when_its_own_line_is_there(
    ledger: Outbox, journal: SlowJournal, flusher: Flusher
) -> None:
    async def push(project: str) -> None:
        for _ in range(10):
            position = ledger.change(project=project)
            await flusher.flush(position)
            assert (await journal.heads())[project] >= position.sequence

    await asyncio.gather(*(push(f"project-{n}") for n in range(10)))
    assert len(journal.appends) < 40
    await flusher.close()


@pytest.mark.parametrize("error", [StorageUnavailable("EIO"), StorageFull("ENOSPC")])
async def test_a_failure_of_the_journal_reaches_every_caller_and_loses_nothing(
    ledger: Outbox,
    journal: SlowJournal,
    flusher: Flusher,
    error: StorageUnavailable | StorageFull,
) -> None:
    journal.failing = error
    outcomes = await asyncio.gather(
        *(flusher.flush(ledger.change()) for _ in range(5)), return_exceptions=True
    )
    assert outcomes == [error] * 5
    assert await journal.heads() == {}
    journal.failing = None
    await flusher.flush(Position(SHOES, 1))
    assert await journal.heads() == {SHOES: 5}
    await flusher.close()


async def test_a_caller_that_came_during_a_failing_append_is_tried_by_itself(
    ledger: Outbox, journal: SlowJournal, flusher: Flusher
) -> None:
    journal.failing = StorageUnavailable("EIO")
    first = asyncio.create_task(flusher.flush(ledger.change()))
    await asyncio.sleep(0.002)
    second = asyncio.create_task(flusher.flush(ledger.change()))
    with pytest.raises(StorageUnavailable):
        await first
    journal.failing = None
    await second
    assert await journal.heads() == {SHOES: 2}
    await flusher.close()


async def test_a_caller_that_goes_away_takes_nothing_from_the_others(
    ledger: Outbox, journal: SlowJournal, flusher: Flusher
) -> None:
    first = asyncio.create_task(flusher.flush(ledger.change()))
    second = asyncio.create_task(flusher.flush(Position(SHOES, 1)))
    await asyncio.sleep(0.002)
    first.cancel()
    await second
    assert first.cancelled()
    assert await journal.heads() == {SHOES: 1}
    await flusher.close()


async def test_more_lines_than_a_page_are_all_flushed(
    ledger: Outbox, journal: SlowJournal, flusher: Flusher
) -> None:
    await flusher.flush(ledger.change(2 * PAGE + 1))
    assert await journal.heads() == {SHOES: 2 * PAGE + 1}
    await flusher.close()


async def test_what_another_process_flushed_and_settled_is_there(
    ledger: Outbox, journal: SlowJournal, flusher: Flusher
) -> None:
    position = ledger.change()
    other = Flusher(ledger, journal)
    await other.flush_all()
    assert ledger.pending == []
    await flusher.flush(position)
    await flusher.close()


async def test_a_position_that_neither_has_is_unavailable(flusher: Flusher) -> None:
    with pytest.raises(StorageUnavailable):
        await flusher.flush(Position(SHOES, 1))
    await flusher.close()


async def test_after_an_interruption_nothing_is_acknowledged_until_the_ledger_is_trusted(
    ledger: Outbox, journal: SlowJournal, flusher: Flusher
) -> None:
    await flusher.flush(ledger.change(3))
    ledger.heads, ledger.pending = {SHOES: 1}, []  # put back
    ledger.interruptions += 1
    position = ledger.change()
    assert position.sequence == 2, "where the journal has another line"
    with pytest.raises(StorageUnavailable):
        await flusher.flush(position)
    assert len(journal.appends) == 1
    ledger.heads = {SHOES: 3}  # rebuilt
    ledger.pending = []
    flusher.trust(ledger.interruptions)
    await flusher.flush(ledger.change())
    assert await journal.heads() == {SHOES: 4}
    await flusher.close()


async def test_an_interruption_during_an_append_leaves_nothing_known(
    ledger: Outbox, journal: SlowJournal, flusher: Flusher
) -> None:
    flush = asyncio.create_task(flusher.flush(ledger.change()))
    await asyncio.sleep(0.002)
    ledger.interruptions += 1
    flusher.trust(ledger.interruptions)
    with pytest.raises(StorageUnavailable):
        await flush
    ledger.pending = []
    await flusher.flush(Position(SHOES, 1))
    assert await journal.heads() == {SHOES: 1}
    await flusher.close()


async def test_flush_all_brings_in_what_a_crash_left_and_settles(
    ledger: Outbox, journal: SlowJournal, flusher: Flusher
) -> None:
    ledger.change(3)
    ledger.change(project="hats")
    await flusher.flush_all()
    assert await journal.heads() == {SHOES: 3, "hats": 1}
    assert ledger.pending == []
    await flusher.close()


async def test_flush_all_waits_for_what_came_during_a_round(
    ledger: Outbox, journal: SlowJournal, flusher: Flusher
) -> None:
    task = asyncio.create_task(flusher.flush(ledger.change()))
    await asyncio.sleep(0.002)
    ledger.change()
    await flusher.flush_all()
    assert await journal.heads() == {SHOES: 2}
    await task
    await flusher.close()
