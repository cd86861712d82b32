"""Orphans: what lies in the store and no row knows, as crashes leave it; listed, then swept."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field

from registry import agreement
from registry.gc.policy import Rules, is_braked
from registry.oci.errors import RegistryError, StorageUnavailable
from registry.storage.layout import first_segment
from registry.storage.ports.collection import Collection, Totals
from registry.storage.records import StoredObject
from registry.storage.storage import Storage

PAGE = 500
"""Names that are looked up in one transaction."""
BATCH = 100
"""Objects that go between two looks at store and ledger."""
MOST = 100_000
"""Orphans that one run sweeps; the next one finds the others."""
JOB = "orphans"


@dataclass(slots=True)
class Orphans:
    """What a run found, and what became of it."""

    listed: Totals = field(default_factory=lambda: Totals(0, 0))
    """All objects in the store."""
    objects: int = 0
    bytes: int = 0
    """Of the objects that no row knows and that are older than the grace."""
    young: int = 0
    """Objects that no row knows yet: somebody may be pushing them."""
    names: list[str] = field(default_factory=list)
    uploads: int = 0
    """Of which something lies in the store, though they are no sessions any more."""
    aside: int = 0
    """Beginnings of objects that broken puts left."""
    removed: int = 0
    waiting: int = 0
    """Objects that could not be deleted now; the next run tries again."""
    braked: bool = False


async def sweep(
    storage: Storage,
    collection: Collection,
    rules: Rules,
    now: float,
    *,
    dry: bool = False,
    force: bool = False,
    pause: float = 0.0,
    progress: Callable[[int], None] = lambda _: None,
) -> Orphans:
    """List the store, then remove what no row knows and is older than the grace.

    Nothing goes while store and ledger disagree (StorageUnavailable is raised), nor where it would
    be more than the brake allows, unless *force*. *pause*: seconds between two pages.
    """
    await _require_agreement(storage)
    found = Orphans()
    async for page in _pages(storage.blobs.objects()):
        unknown = set(await collection.unknown_objects([each.name for each in page]))
        found.listed = _totals(found.listed, page)
        for each in page:
            if each.name not in unknown:
                continue
            if each.made_at >= now - rules.grace:
                found.young += 1
            elif len(found.names) < MOST:
                found.names.append(each.name)
                found.objects += 1
                found.bytes += each.size
        progress(found.listed.blobs)
        await asyncio.sleep(pause)
    # A whole blob may lie among the uploads, so what is lost of a ledger shows there too.
    listed, doomed, ended = found.listed, Totals(found.objects, found.bytes), list[str]()
    async for page in _pages(storage.blobs.uploads()):
        old = [each.name for each in page if each.made_at < now - rules.grace]
        over = await _ended(collection, old)
        listed = _totals(listed, page)
        doomed = _totals(doomed, [each for each in page if each.name in over])
        ended += over[: MOST - len(ended)]
        await asyncio.sleep(pause)
    found.braked = is_braked(rules, doomed, listed) and not force
    if dry or found.braked:
        return found
    for start in range(0, len(found.names), BATCH):
        await _remove(storage, collection, found, found.names[start : start + BATCH])
        await asyncio.sleep(pause)
    await _drop_uploads(storage, collection, found, ended)
    found.aside = await storage.blobs.sweep_aside(rules.grace)
    return found


async def _remove(
    storage: Storage, collection: Collection, found: Orphans, names: Sequence[str]
) -> None:
    await _require_agreement(storage)
    for name in await collection.unknown_objects(names):
        try:
            await storage.blobs.delete(name)
        except RegistryError:
            found.waiting += 1
        else:
            found.removed += 1


async def _ended(collection: Collection, uploads: Sequence[str]) -> list[str]:
    """Those of *uploads* that are no sessions any more, and that no object came of."""
    # In this order: of what is no session no object comes any more.
    gone = await collection.unknown_uploads(uploads)
    unknown = set(await collection.unknown_objects([first_segment(each) for each in gone]))
    return [each for each in gone if first_segment(each) in unknown]


def _totals(known: Totals, more: Sequence[StoredObject]) -> Totals:
    return Totals(known.blobs + len(more), known.bytes + sum(each.size for each in more))


async def _drop_uploads(
    storage: Storage, collection: Collection, found: Orphans, ended: Sequence[str]
) -> None:
    for start in range(0, len(ended), BATCH):
        await _require_agreement(storage)
        for upload in await _ended(collection, ended[start : start + BATCH]):
            try:
                await storage.blobs.discard(upload)
            except RegistryError:
                found.waiting += 1
            else:
                found.uploads += 1


async def _pages(listing: AsyncIterator[StoredObject]) -> AsyncIterator[list[StoredObject]]:
    page: list[StoredObject] = []
    async for each in listing:
        page.append(each)
        if len(page) == PAGE:
            yield page
            page = []
    if page:
        yield page


async def _require_agreement(storage: Storage) -> None:
    """Asked anew each time: a ledger may be put back to an earlier one beneath a running sweep."""
    reason = storage.disagreement or await agreement.check(storage.journal, storage.ledger)
    if reason is not None:
        raise StorageUnavailable(reason)
