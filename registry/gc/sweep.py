"""Carries a Plan out: condemn names, then delete bytes; whatever is needed again by then stays."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

from registry.gc.plan import Plan
from registry.gc.policy import Rules
from registry.oci.errors import RegistryError, StorageUnavailable
from registry.storage.collection import Collection
from registry.storage.storage import Storage

BATCH = 200
"""Digests condemned in one transaction: short enough that no push waits long."""

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
    gone = await collection.purge_trash(now - rules.trash)
    report.trash, report.trash_bytes = gone.blobs, gone.bytes
    for stale in plan.uploads:
        if await collection.forget_upload(stale.id, now - rules.uploads):
            await storage.blobs.discard(stale.id)
            report.uploads += 1
            report.uploads_bytes += stale.offset
    if rules.untagged is not None:
        for each in plan.untagged:
            before = now - rules.untagged
            position = await collection.collect_manifest(each.repository, each.digest, before)
            if position is not None:
                await storage.flusher.flush(position)
                report.manifests += 1
                report.manifests_bytes += each.size
    before = now - rules.grace
    await _hold_agreed(storage)
    for repository, digests in plan.links.items():
        for some in _batches(digests):
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
    for some in _batches(plan.unlinked):
        condemned = await collection.condemn_unlinked(some, before)
        report.blobs += len(condemned.objects)
        report.blobs_bytes += sum(each.size for each in condemned.objects)
    await remove(storage, collection, report)
    return report


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
        gone = []
        for name in waiting:
            tried.add(name)
            try:
                await storage.blobs.delete(name)
            except RegistryError:
                report.waiting += 1
            else:
                gone.append(name)
        await collection.removed(gone)
        report.objects += len(gone)
        if report.waiting:
            return  # the page is full of what cannot go now; the next run comes back to it


def _batches(items: Sequence[Item]) -> Iterator[Sequence[Item]]:
    for start in range(0, len(items), BATCH):
        yield items[start : start + BATCH]
