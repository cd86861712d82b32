"""Whether store and ledger belong together (an empty ledger must not make a full store forget)."""

import uuid
from collections.abc import Callable

from registry.oci.errors import RegistryError, StorageUnavailable
from registry.storage.ports.journal import Journal
from registry.storage.ports.ledger import DOUBT, Ledger
from registry.storage.records import StoreIdentity
from registry.storage.storage import Storage

REBUILD = "run `berth rebuild`, which makes the ledger anew out of the journal"


async def check(journal: Journal, ledger: Ledger) -> str | None:
    """Why they do not belong together, in words; None where all is well.

    A store and a ledger that were both never used are founded as a pair.
    """
    stored = await journal.identity()
    known = await ledger.identity()
    if known is None:
        if stored is None:
            stored = StoreIdentity(str(uuid.uuid4()), 1)
            await journal.found(stored)
        elif await journal.heads():
            return f"the ledger is empty over a store that is not; {REBUILD}"
        await ledger.found(stored, whole=True)
        return None
    identity, whole = known
    if stored is None:
        return "the ledger names a store, and the store was never used: is its directory mounted?"
    if stored != identity:
        return f"the ledger belongs to store {identity.store}, and this is store {stored.store}"
    if not whole:
        return f"the ledger is half rebuilt; {REBUILD}"
    # In this order: what comes meanwhile is in the ledger before it is in the journal.
    stored_heads = await journal.heads()
    heads = await ledger.heads()
    for project, sequence in stored_heads.items():
        if heads.get(project, 0) < sequence:
            return f"the ledger is behind the journal; {REBUILD}"
    if await _contradicted(journal, ledger):
        return f"the ledger went another way than the journal; {REBUILD}"
    return None


async def settle(storage: Storage) -> None:
    """Check anew and write down what came of it; flush what a crash left pending."""
    seen = storage.ledger.interruptions
    storage.conclude(await check(storage.journal, storage.ledger), seen)
    if storage.disagreement is None:
        await storage.flusher.flush_all()


async def require(storage: Storage) -> None:
    """Settle, and raise StorageUnavailable where they do not belong together.

    Whoever asked such a ledger would be told that nothing is there, nothing wrong, nothing known.
    """
    await settle(storage)
    if storage.disagreement is not None:
        raise StorageUnavailable(storage.disagreement)


class Watch:
    """Notices that a ledger which had been settled on is another one, or an earlier one, now."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._lines = 0
        self._identity: tuple[StoreIdentity, bool] | None = None

    @property
    def is_in_doubt(self) -> bool:
        """Whether the ledger was out of reach since the last comparison; asks nobody."""
        return self._storage.disagreement == DOUBT

    async def look(self) -> bool:
        """Compare store and ledger where there is a reason to; whether that mended something.

        Two small queries where all is well. What cannot be asked is a disagreement too.
        """
        storage = self._storage
        seen = storage.ledger.interruptions
        try:
            if storage.disagreement is None and await self._is_as_before():
                return False
            await settle(storage)
            if storage.disagreement is not None:
                return False
            self._lines = await storage.ledger.count_lines()
            self._identity = await storage.ledger.identity()
        except RegistryError as error:
            storage.conclude(str(error.detail or error), seen)
            raise
        return True

    async def _is_as_before(self) -> bool:
        """Never fewer lines, never anybody else's, never half rebuilt."""
        if self._identity is None:
            return False  # nothing was settled yet
        lines = await self._storage.ledger.count_lines()
        known = await self._storage.ledger.identity()
        if known is None or known != self._identity or lines < self._lines:
            return False
        self._lines = lines
        return True


async def rebuild(
    journal: Journal, ledger: Ledger, progress: Callable[[int], None], *, batch: int = 500
) -> int:
    """Replay the journal into *ledger*; answer the number of lines. May be broken off and repeated.

    *progress* is called with the number of lines read so far. Raises StorageUnavailable where the
    ledger is another store's, or where the journal has a gap or a damaged line.
    """
    identity = await journal.identity()
    if identity is None:
        return 0
    if await check(journal, ledger) is not None:
        await ledger.found(identity, whole=False)  # from here on nobody changes names
        await _begin_anew(journal, ledger)
    count = 0
    lines = []
    async for line in journal.read():
        lines.append(line)
        count += 1
        if len(lines) >= batch:
            await ledger.replay(lines)
            lines.clear()
            progress(count)
    await ledger.replay(lines)
    progress(count)
    await ledger.found(identity, whole=True)
    return count


async def _begin_anew(journal: Journal, ledger: Ledger) -> None:
    """Forget the projects whose lines cannot simply be gone on with."""
    heads, folded = await ledger.heads(), await journal.folded()
    starts = {
        project: bound.start
        for project, bound in folded.items()
        if heads.get(project, 0) < bound.end
    }
    for project in await _contradicted(journal, ledger):
        starts.setdefault(project, folded[project].start if project in folded else 0)
    for project, start in starts.items():
        await ledger.restart(project, start)


async def _contradicted(journal: Journal, ledger: Ledger) -> set[str]:
    """Projects with a line on its way in whose place the journal has another.

    It was drawn by a ledger that had been put back, and never acknowledged.
    """
    found: set[str] = set()
    reached: dict[str, int] = {}
    while True:
        lines = await ledger.pending_lines(reached)
        found |= await journal.contradicted(lines)
        if not lines:
            return found
        reached |= {line.position.project: line.position.sequence for line in lines}
