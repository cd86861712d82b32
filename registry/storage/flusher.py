"""Brings the ledger's pending lines into the journal; callers at one time share one fsync."""

import asyncio
import contextlib
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import Final, Protocol

from registry.oci.errors import RegistryError, StorageUnavailable
from registry.storage.ports.journal import Journal
from registry.storage.ports.ledger import DOUBT
from registry.storage.records import JournalLine, Position

PAGE: Final = 1000
"""Lines that a ledger answers at most."""
CLAIM: Final = 3.0
"""Seconds for which others leave a project's lines to a process that has claimed them."""
LOOKS: Final = (0.005, 0.04)
"""Seconds from the first look at what another process has claimed to the second; at most."""
PATIENCE: Final = 60.0
"""Seconds for which a line may be in others' hands."""


class Outbox(Protocol):
    """What a flusher needs of a ledger."""

    @property
    def interruptions(self) -> int:
        """As in Ledger."""
        ...

    async def pending_lines(self, after: Mapping[str, int] | None = None) -> list[JournalLine]:
        """As in Ledger."""
        ...

    async def claim_lines(
        self, holder: str, after: Mapping[str, int], *, seconds: float
    ) -> list[JournalLine]:
        """As in Ledger."""
        ...

    async def is_pending(self, position: Position) -> bool:
        """As in Ledger."""
        ...

    async def settle(
        self, heads: Mapping[str, int], *, seen: int | None = None, holder: str | None = None
    ) -> None:
        """As in Ledger."""
        ...


class Flusher:
    """One for each process; several may flush the same ledger into the same journal.

    Lines that lie in the journal stay pending until they are settled: *settle_after* seconds
    later, at *settle_at* lines, or at ``close``. Appending them again costs little: it must,
    unless lines are *claimed*. Then each is one process's to append, and is settled at once.
    """

    def __init__(
        self,
        ledger: Outbox,
        journal: Journal,
        *,
        settle_after: float = 1.0,
        settle_at: int = 64,
        claimed: bool = False,
        count: Callable[[float, int], None] | None = None,
    ) -> None:
        """*count* is told how long each append took, and how many lines it was."""
        self._ledger = ledger
        self._journal = journal
        self._settle_after = settle_after
        self._settle_at = settle_at
        self._holder = str(uuid.uuid4()) if claimed else None
        """As what lines are claimed."""
        self._count = count
        self._heads: dict[str, int] = {}
        """What is known to lie in the journal, of lines that the ledger had."""
        self._trusted = ledger.interruptions
        self._unsettled = 0
        self._enough = asyncio.Event()
        self._round: asyncio.Task[None] | None = None
        self._settling: asyncio.Task[None] | None = None

    def trust(self, seen: int) -> None:
        """Take the ledger for the store's own again, as it was after *seen* interruptions.

        What lay in the journal may be lines of another ledger's past: it is all looked for anew.
        """
        if seen != self._trusted:
            self._heads.clear()
            self._trusted = seen

    async def flush(self, position: Position) -> None:
        """Answer once the journal holds *position*.

        Raises StorageUnavailable or StorageFull; the line stays pending then, and a later flush,
        of whatever position, tries it again. So it is, too, after an interruption of the ledger
        until it is ``trust``ed again: the line may stand where the journal has another.
        """
        pause, longest = LOOKS
        until = time.monotonic() + PATIENCE
        while not await self._bring(position) and await self._is_pending(position):
            if time.monotonic() > until:
                raise StorageUnavailable("another process does not bring its lines to the journal")
            await asyncio.sleep(pause)
            pause = min(2 * pause, longest)

    async def _bring(self, position: Position) -> bool:
        """Flush, and answer whether *position* came along; it may be in another process's hands."""
        self._check()
        if self._round is not None and not self._holds(position):
            # It may have asked the ledger before the line was there; how it ends is not for us.
            await asyncio.wait({self._round})
        if not self._holds(position):
            await self._share_round()
        return self._holds(position)

    async def _is_pending(self, position: Position) -> bool:
        """Whether nobody has brought *position* to the journal and settled it."""
        answer = await self._ledger.is_pending(position)
        self._check()  # else it may be another ledger that says so
        return answer

    async def flush_pending(self) -> None:
        """Bring every line into the journal that is pending now; raises as ``flush``."""
        self._check()
        await self._flush_pending()

    async def flush_all(self) -> None:
        """Bring every pending line into the journal, whoever has claimed it, and settle."""
        await self._flush_pending()
        await self._settle()

    async def _flush_pending(self) -> None:
        if self._round is not None:
            await asyncio.wait({self._round})
        if self._holder is None:
            await self._share_round()
        else:  # beside a round of those that wait, perhaps: what both append is the same
            await self._append_pending(None)

    async def close(self) -> None:
        """Settle what was flushed; what cannot be stays pending until the next start."""
        if self._round is not None:
            await asyncio.wait({self._round})
        if self._settling is not None:
            self._settling.cancel()
            await asyncio.wait({self._settling})
        if self._unsettled:
            with contextlib.suppress(RegistryError):
                await self._settle()

    async def _share_round(self) -> None:
        """One round that begins now or began since the caller last waited."""
        if self._round is None:
            self._round = asyncio.create_task(self._append_pending(self._holder))
            self._round.add_done_callback(self._end_round)
        # A caller that goes away takes nothing from those who share the round.
        await asyncio.shield(self._round)

    def _end_round(self, task: asyncio.Task[None]) -> None:
        self._round = None
        if not task.cancelled():
            task.exception()  # told to those who waited; they may be gone
        if self._unsettled and self._settling is None:
            self._settling = asyncio.create_task(self._settle_later())

    async def _append_pending(self, holder: str | None) -> None:
        seen = self._trusted
        while True:
            if holder is None:
                lines = await self._ledger.pending_lines(self._heads)
                await self._append(lines, seen)
            else:
                lines = await self._append_claimed(holder, seen)
            if len(lines) < PAGE:
                return

    async def _append_claimed(self, holder: str, seen: int) -> list[JournalLine]:
        lines = await self._ledger.claim_lines(holder, self._heads, seconds=CLAIM)
        if lines:
            reached: Mapping[str, int] = {}
            try:
                reached = await self._append(lines, seen)
            finally:
                with contextlib.suppress(RegistryError):  # the claim ends by itself, too
                    await self._ledger.settle(reached, seen=seen, holder=holder)
                    self._unsettled = max(0, self._unsettled - (len(lines) if reached else 0))
        return lines

    async def _append(self, lines: Sequence[JournalLine], seen: int) -> Mapping[str, int]:
        """Append *lines*; what each of their projects has reached then."""
        if not lines:
            return {}
        began = time.monotonic()
        await self._journal.append(lines)
        if self._count is not None:
            self._count(time.monotonic() - began, len(lines))
        if seen != self._trusted:
            raise StorageUnavailable(DOUBT)
        reached = {line.position.project: line.position.sequence for line in lines}
        for project, sequence in reached.items():
            self._heads[project] = max(sequence, self._heads.get(project, 0))
        self._unsettled += len(lines)
        if self._unsettled >= self._settle_at:
            self._enough.set()
        return reached

    async def _settle_later(self) -> None:
        try:
            while self._unsettled:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._enough.wait(), self._settle_after)
                try:
                    await self._settle()
                except RegistryError:  # nothing is lost: the lines are appended again, and known
                    await asyncio.sleep(self._settle_after)
        finally:
            self._settling = None

    async def _settle(self) -> None:
        self._enough.clear()
        settled, self._unsettled = self._unsettled, 0
        try:
            await self._ledger.settle(dict(self._heads), seen=self._trusted)
        except BaseException:
            self._unsettled += settled
            raise

    def _check(self) -> None:
        if self._ledger.interruptions != self._trusted:
            raise StorageUnavailable(DOUBT)

    def _holds(self, position: Position) -> bool:
        return self._heads.get(position.project, 0) >= position.sequence
