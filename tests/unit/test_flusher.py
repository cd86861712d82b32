"""Pending lines on their way into the journal: shared appends, failures, and what stays."""

import asyncio
import time
from collections.abc import Mapping, Sequence
from itertools import islice

import pytest

from registry.oci.errors import StorageFull, StorageUnavailable
from registry.storage import flusher as flushing
from registry.storage.flusher import PAGE, Flusher
from registry.storage.memory.journal import MemoryJournal
from registry.storage.records import JournalLine, Position

SHOES = "shoes"


class Outbox:
    """A ledger that knows pending lines only."""

    def __init__(self) -> None:
        self.heads: dict[str, int] = {}
        self.pending: list[JournalLine] = []
        self.settled: list[dict[str, int]] = []
        self.failing: StorageUnavailable | None = None
        self.interruptions = 0
        self.claims: dict[str, tuple[str, float]] = {}

    def change(self, count: int = 1, project: str = SHOES) -> Position:
        """What a transaction does; the last position."""
        for _ in range(count):
            self.heads[project] = self.heads.get(project, 0) + 1
            position = Position(project, self.heads[project])
            self.pending.append(JournalLine(position, b"{}"))
        return self.pending[-1].position

    async def pending_lines(self, after: Mapping[str, int] | None = None) -> list[JournalLine]:
        await asyncio.sleep(0)
        heads = after or {}
        fresh = (
            line
            for line in self.pending
            if line.position.sequence > heads.get(line.position.project, 0)
        )
        return list(islice(fresh, PAGE))

    async def claim_lines(
        self, holder: str, after: Mapping[str, int], *, seconds: float
    ) -> list[JournalLine]:
        lines = await self.pending_lines(after)
        now = time.monotonic()
        for name in {line.position.project for line in lines}:
            other, until = self.claims.get(name, (holder, 0.0))
            if other == holder or until < now:
                self.claims[name] = (holder, now + seconds)
        return [line for line in lines if self.claims[line.position.project][0] == holder]

    async def is_pending(self, position: Position) -> bool:
        await asyncio.sleep(0)
        if self.heads.get(position.project, 0) < position.sequence:
            raise StorageUnavailable("no such line")
        return position in {line.position for line in self.pending}

    async def settle(
        self, heads: Mapping[str, int], *, seen: int | None = None, holder: str | None = None
    ) -> None:
        assert seen == self.interruptions
        if self.failing is not None:
            raise self.failing
        await asyncio.sleep(0)
        self.settled.append(dict(heads))
        self.claims = {name: each for name, each in self.claims.items() if each[0] != holder}
        self.pending = [
            line
            for line in self.pending
            if line.position.sequence > heads.get(line.position.project, 0)
        ]


class SlowJournal(MemoryJournal):
    """Counts appends, takes its time, and fails where it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.appends: list[int] = []
        self.failing: StorageUnavailable | StorageFull | None = None

    async def append(self, lines: Sequence[JournalLine]) -> None:
        self.appends.append(len(lines))
        await asyncio.sleep(0.005)
        if self.failing is not None:
            raise self.failing
        await super().append(lines)


@pytest.fixture
def ledger() -> Outbox:
    return Outbox()


@pytest.fixture
def journal() -> SlowJournal:
    return SlowJournal()


@pytest.fixture
def flusher(ledger: Outbox, journal: SlowJournal) -> Flusher:
    return Flusher(ledger, journal, settle_after=0.02)


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


# -- several processes, where each line is claimed ------------------------------------------------


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
