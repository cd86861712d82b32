"""A ledger out of which garbage is collected."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from registry.gc.policy import Rules
from registry.oci.digest import Digest
from registry.storage.ledger import SqlLedger
from registry.storage.ledger.garbage import SqlCollection
from support.ledgers import (
    Clock,
    blob,
)

SOLE, LACE = blob("sole"), blob("lace")
GRACE = 100.0
RULES = Rules(grace=GRACE, uploads=50, trash=1000, untagged=200)


@dataclass
class Place:
    """A ledger, its collection and the clock of both."""

    ledger: SqlLedger
    collection: SqlCollection
    clock: Clock

    @property
    def before(self) -> float:
        return self.clock.now - GRACE

    async def unneeded(self) -> list[tuple[str, Digest]]:
        found = await self.collection.unneeded_links(self.before)
        return [(str(each.repository), each.digest) for each in found]


@asynccontextmanager
async def open_place(url: str) -> AsyncIterator[Place]:
    """A place on the empty database at *url*."""
    clock = Clock()
    ledger, collection = SqlLedger(url, clock=clock), SqlCollection(url, clock=clock)
    await ledger.migrate()
    try:
        yield Place(ledger, collection, clock)
    finally:
        await collection.close()
        await ledger.close()
