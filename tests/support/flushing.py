"""A ledger and a journal between which a flusher stands."""

import asyncio
import time
from collections.abc import Mapping, Sequence
from itertools import islice

from registry.oci.errors import StorageFull, StorageUnavailable
from registry.storage.flusher import PAGE
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
