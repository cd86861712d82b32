"""The stores of a race: one directory and one PostgreSQL, opened by each process for itself."""

import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from registry.storage.flusher import Flusher
from registry.storage.journal_file import FilesystemJournal
from registry.storage.ledger import SqlLedger
from registry.storage.ledger.garbage import SqlCollection
from registry.storage.ports.blobs import BlobStore
from registry.storage.ports.collection import Collection
from registry.storage.ports.journal import Journal
from registry.storage.ports.ledger import Ledger
from registry.storage.storage import Storage
from support.racepoints import RacePoints
from support.racestore import LateBlobStore

ROTATE = 256 * 1024
"""Bytes of a log of the journal: few, so that there is something to fold."""
ALWAYS = -1.0
"""Each look at a blob promises it anew."""


@asynccontextmanager
async def open_storage(
    directory: Path, url: str, chance: random.Random, points: RacePoints | None = None
) -> AsyncIterator[tuple[Storage, SqlLedger]]:
    """Stores whose every port call lies between two *points*, if there are any."""
    kinds: list[Any] = [LateBlobStore, FilesystemJournal, SqlLedger]
    if points is not None:
        ports = (BlobStore, Journal, Ledger)
        kinds = [points.watched(port, kind) for port, kind in zip(ports, kinds, strict=True)]
    ledger: SqlLedger = kinds[2](url)
    journal = kinds[1](directory, rotate_at=ROTATE)
    flusher = Flusher(ledger, journal)
    try:
        store: LateBlobStore = kinds[0](directory, chance)
        yield Storage(store, journal, ledger, flusher, promise=ALWAYS), ledger
    finally:
        await flusher.close()
        await ledger.close()


def open_collection(url: str, points: RacePoints) -> SqlCollection:
    """The same for what collectors ask."""
    collection: SqlCollection = points.watched(Collection, SqlCollection)(url)
    return collection
