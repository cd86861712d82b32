"""Lines that lie in the journal are settled: after a while, many at once, and at the end."""

import asyncio

from registry.oci.errors import StorageUnavailable
from registry.storage.flusher import Flusher
from support.flushing import SHOES, Outbox, SlowJournal


async def test_lines_are_settled_a_while_after_they_were_flushed(
    ledger: Outbox, flusher: Flusher
) -> None:
    await flusher.flush(ledger.change(3))
    assert ledger.settled == []
    await asyncio.sleep(0.1)
    assert ledger.settled == [{SHOES: 3}]
    assert ledger.pending == []
    await flusher.close()
    assert ledger.settled == [{SHOES: 3}]


async def test_many_lines_are_settled_at_once(ledger: Outbox, journal: SlowJournal) -> None:
    flusher = Flusher(ledger, journal, settle_after=60, settle_at=10)
    await flusher.flush(ledger.change(9))
    await asyncio.sleep(0.01)
    assert ledger.settled == []
    await flusher.flush(ledger.change())
    await asyncio.sleep(0.01)
    assert ledger.settled == [{SHOES: 10}]
    await flusher.close()


async def test_settling_is_tried_again_and_never_fails_a_flush(
    ledger: Outbox, flusher: Flusher
) -> None:
    ledger.failing = StorageUnavailable("database is locked")
    await flusher.flush(ledger.change())
    await asyncio.sleep(0.05)
    await flusher.flush(ledger.change())
    assert ledger.settled == []
    ledger.failing = None
    await asyncio.sleep(0.1)
    assert ledger.settled[-1] == {SHOES: 2}
    await flusher.close()


async def test_close_settles_what_was_flushed(ledger: Outbox, journal: SlowJournal) -> None:
    flusher = Flusher(ledger, journal, settle_after=60)
    await flusher.flush(ledger.change(3))
    await flusher.close()
    await flusher.close()
    assert ledger.settled == [{SHOES: 3}]


async def test_close_waits_for_the_append_under_way(
    ledger: Outbox, journal: SlowJournal, flusher: Flusher
) -> None:
    task = asyncio.create_task(flusher.flush(ledger.change()))
    await asyncio.sleep(0.002)
    await flusher.close()
    assert ledger.settled == [{SHOES: 1}]
    await task
    assert await journal.heads() == {SHOES: 1}


async def test_close_does_not_fail_where_nothing_can_be_settled(
    ledger: Outbox, flusher: Flusher
) -> None:
    ledger.failing = StorageUnavailable("gone")
    await flusher.flush(ledger.change())
    await flusher.close()
    assert len(ledger.pending) == 1
