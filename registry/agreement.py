"""Whether store and ledger belong together (an empty ledger must not make a full store forget)."""

import uuid
from collections.abc import Callable

from registry.storage.ports import Journal, Ledger
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
    heads = await ledger.heads()
    for project, sequence in (await journal.heads()).items():
        if heads.get(project, 0) < sequence:
            return f"the ledger is behind the journal; {REBUILD}"
    return None


async def settle(storage: Storage) -> None:
    """Check anew and write down what came of it; flush what a crash left pending."""
    storage.disagreement = await check(storage.journal, storage.ledger)
    if storage.disagreement is None:
        await storage.flusher.flush_all()


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
    await ledger.found(identity, whole=False)
    heads = await ledger.heads()
    for project, bound in (await journal.folded()).items():
        if heads.get(project, 0) < bound.end:
            await ledger.restart(project, bound.start)
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
