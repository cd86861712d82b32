"""Ledgers in one database, whose sums and limits are looked at."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from registry.limits import Limits
from registry.oci.digest import Digest
from registry.oci.names import RepositoryName
from registry.storage.ledger import SqlLedger
from registry.storage.ledger.garbage import SqlCollection
from registry.storage.ports.quota import Usage
from registry.storage.records import BlobRecord
from support.ledgers import Clock, blob

SOLE, LACE = blob("sole"), blob("lace")
WHOLE = RepositoryName("shoes", "")
ROOM = 1000


@dataclass
class Place:
    """Two processes' ledgers, what collects there, and the clock of all."""

    ledger: SqlLedger
    other: SqlLedger
    collection: SqlCollection
    clock: Clock
    url: str

    async def usage(self, name: RepositoryName = WHOLE) -> Usage:
        return (await self.ledger.quotas.standing(name)).usage

    async def limit(self, name: RepositoryName = WHOLE, **limits: int) -> None:
        await self.ledger.quotas.set_limits(name, Limits(**limits))

    async def exact(self) -> None:
        assert await self.other.quotas.differences() == []


@asynccontextmanager
async def open_place(url: str) -> AsyncIterator[Place]:
    """A place on the empty database at *url*."""
    clock = Clock()
    ledger, other = SqlLedger(url, clock=clock), SqlLedger(url, clock=clock)
    collection = SqlCollection(url, clock=clock)
    await ledger.migrate()
    try:
        yield Place(ledger, other, collection, clock, url)
    finally:
        for each in (collection, other, ledger):
            await each.close()


def sized(word: str, size: int) -> BlobRecord:
    return BlobRecord(Digest.of(word.encode()), f"object-{word}", size)
