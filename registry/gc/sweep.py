"""Carries a Plan out: condemn names, then delete bytes; whatever is needed again by then stays."""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

from registry.gc.plan import Plan
from registry.gc.policy import Rules
from registry.oci.digest import Digest
from registry.oci.errors import RegistryError, StorageUnavailable
from registry.oci.names import RepositoryName
from registry.storage.ports.collection import Collection, Totals
from registry.storage.storage import Storage

BATCH = 50
"""Digests condemned in one transaction: short enough that no push waits long."""
MANIFESTS = 10
"""Manifests deleted in one: each is some fifteen statements."""
TRASH = 100
"""Entries of the trash forgotten in one."""
AT_ONCE = 8
"""Objects that are deleted side by side: Swift takes some ten milliseconds for each."""

Item = TypeVar("Item")


@dataclass(slots=True)
class Report:
    """What a run did. Counts, and bytes that left or are leaving the store."""

    links: int = 0
    links_bytes: int = 0
    """Of the blobs that a repository has no right to any more; others may have it."""
    blobs: int = 0
    blobs_bytes: int = 0
    manifests: int = 0
    manifests_bytes: int = 0
    uploads: int = 0
    uploads_bytes: int = 0
    trash: int = 0
    trash_bytes: int = 0
    """Of the manifests themselves."""
    objects: int = 0
    """Objects that left the store, those of earlier runs too."""
    waiting: int = 0
    """Objects that could not be deleted now; the next run tries again."""
    braked: bool = False


async def execute(
    storage: Storage,
    collection: Collection,
    plan: Plan,
    rules: Rules,
    now: float,
    progress: Callable[[int], None] = lambda _: None,
) -> Report:
    """Sweep *plan*; raises StorageUnavailable, and leaves the rest to the next run then."""
    report = Report()
    gone = Totals(TRASH, 0)
    while gone.blobs == TRASH:
        gone = await collection.purge_trash(now - rules.trash, limit=TRASH)
        report.trash += gone.blobs
        report.trash_bytes += gone.bytes
    for stale in plan.uploads:
        if await collection.forget_upload(stale.id, now - rules.uploads):
            await storage.blobs.discard(stale.id)
            report.uploads += 1
            report.uploads_bytes += stale.offset
    if rules.untagged is not None:
        await _collect_manifests(storage, collection, plan, now - rules.untagged, report)
    before = now - rules.grace
    await _hold_agreed(storage)
    for repository, digests in plan.links.items():
        for some in _batches(digests, BATCH):
            condemned = await collection.condemn(repository, some, before)
            if condemned.position is not None:
                # Names first: bytes go once the journal says that nothing names them.
                await storage.flusher.flush(condemned.position)
            report.links += condemned.links
            report.links_bytes += condemned.bytes
            report.blobs += len(condemned.objects)
            report.blobs_bytes += sum(each.size for each in condemned.objects)
            progress(report.links)
    await _hold_agreed(storage)
    for some in _batches(plan.unlinked, BATCH):
        condemned = await collection.condemn_unlinked(some, before)
        report.blobs += len(condemned.objects)
        report.blobs_bytes += sum(each.size for each in condemned.objects)
    await remove(storage, collection, report)
    return report


async def _collect_manifests(
    storage: Storage, collection: Collection, plan: Plan, before: float, report: Report
) -> None:
    sizes: dict[RepositoryName, dict[Digest, int]] = {}
    for each in plan.untagged:
        sizes.setdefault(each.repository, {})[each.digest] = each.size
    for repository, size_of in sizes.items():
        for some in _batches(list(size_of), MANIFESTS):
            taken, position = await collection.collect_manifests(repository, some, before)
            if position is not None:
                await storage.flusher.flush(position)
            report.manifests += len(taken)
            report.manifests_bytes += sum(size_of[each] for each in taken)


async def _hold_agreed(storage: Storage) -> None:
    """Raise StorageUnavailable if the ledger may have become another one since the run began.

    It is asked something, so that an interruption is noticed if there was one.
    """
    await storage.ledger.count_lines()
    if storage.disagreement is not None:
        raise StorageUnavailable(storage.disagreement)


async def remove(storage: Storage, collection: Collection, report: Report) -> None:
    """Delete the objects that are on their way out, each by itself: one failure stops no other."""
    tried: set[str] = set()
    while True:
        waiting = [each for each in await collection.removals() if each not in tried]
        if not waiting:
            return
        await _hold_agreed(storage)
        # Whoever condemned them may have died before he flushed the line.
        await storage.flusher.flush_all()
        gone: list[str] = []
        for some in _batches(waiting, AT_ONCE):
            tried.update(some)
            done = await asyncio.gather(*(_is_deleted(storage, each) for each in some))
            gone += [name for name, out in zip(some, done, strict=True) if out]
        report.waiting += len(waiting) - len(gone)
        await collection.removed(gone)
        report.objects += len(gone)
        if report.waiting:
            return  # the page is full of what cannot go now; the next run comes back to it


async def _is_deleted(storage: Storage, name: str) -> bool:
    try:
        await storage.blobs.delete(name)
    except RegistryError:
        return False
    return True


def _batches(items: Sequence[Item], size: int) -> Iterator[Sequence[Item]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]
