"""Opens the stores that the configuration names: one of the two modules that know adapters."""

import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from registry import metrics
from registry.catalogue.projector import Projector
from registry.catalogue.reconciler import Reconciler
from registry.config import Config
from registry.oci.errors import StorageUnavailable
from registry.storage.filesystem import FilesystemBlobStore
from registry.storage.flusher import Flusher
from registry.storage.journal_file import FilesystemJournal, is_founded
from registry.storage.layout import RESTORING
from registry.storage.ledger import SqlLedger
from registry.storage.ledger.garbage import SqlCollection
from registry.storage.ports.blobs import BlobStore
from registry.storage.ports.journal import Journal
from registry.storage.storage import Redirects, Storage
from registry.tending import Tender

Close = Callable[[], Awaitable[None]]
_ALL: Final = os.R_OK | os.W_OK | os.X_OK


class Stores:
    """The stores of one process, and how they are let go of."""

    def __init__(self, config: Config) -> None:
        """Raises StorageUnavailable; asks nobody over the network yet."""
        self.ledger = SqlLedger(config.ledger_url, projecting=config.glance.enabled)
        blobs, journal, redirects, self._closing = _bytes(config)
        is_far = config.storage.kind == "swift"
        flusher = Flusher(self.ledger, journal, claimed=is_far, count=metrics.count_flush)
        self.storage = Storage(
            blobs,
            journal,
            self.ledger,
            flusher,
            promise=config.gc.grace_hours * 3600 / 4,
            openings=self.ledger.sightings,
            redirects=redirects,
        )

    async def close(self) -> None:
        """Bring into the journal what can be, then let go."""
        await self.storage.flusher.close()
        await self.ledger.close()
        for close in self._closing:
            await close()


@asynccontextmanager
async def opened(config: Config) -> AsyncIterator[Storage]:
    """The stores with their tables and folders made; let go of at the end.

    Raises StorageUnavailable.
    """
    async with opened_whole(config) as stores:
        yield stores.storage


@asynccontextmanager
async def opened_used(config: Config) -> AsyncIterator[Storage]:
    """The same of a store that a server made; none is made here, where a disk is not mounted.

    Raises StorageUnavailable.
    """
    async with opened_used_whole(config) as stores:
        yield stores.storage


@asynccontextmanager
async def opened_used_whole(config: Config) -> AsyncIterator[Stores]:
    """The same, with what a ledger knows of the image service."""
    if config.storage.kind == "directory":
        _require_store(config.storage.directory.absolute())
    async with opened_whole(config) as stores:
        if await stores.storage.journal.identity() is None:
            raise StorageUnavailable(
                f"Swift has no store of storage.prefix {config.storage.prefix}: is it right, is "
                "the project? `berth serve` makes a new one"
            )
        yield stores


@asynccontextmanager
async def opened_whole(config: Config) -> AsyncIterator[Stores]:
    """As ``opened``, with what a ledger knows of the image service."""
    if config.storage.kind == "directory" or config.ledger.url is None:
        _make_directory(config)
    if config.storage.kind == "directory" and (config.storage.directory / RESTORING).exists():
        raise StorageUnavailable(
            f"a restore into {config.storage.directory.absolute()} was broken off: empty it and "
            "restore again"
        )
    stores = Stores(config)
    try:
        await stores.ledger.migrate()
        yield stores
    finally:
        await stores.close()


@asynccontextmanager
async def opened_tender(config: Config, stores: Stores) -> AsyncIterator[Tender]:
    """Who looks after the records in Glance; raises StorageUnavailable where nobody can sign in."""
    from registry.storage.glance import open_images  # noqa: PLC0415 - half a second

    images = open_images(config.openstack.cloud)
    collection = SqlCollection(config.ledger_url, projecting=config.glance.enabled)
    ledger = stores.ledger
    try:
        yield Tender(
            Projector(stores.storage, ledger.outbox, ledger.sightings, images),
            Reconciler(stores.storage, ledger.outbox, ledger.sightings, images),
            ledger.outbox,
            ledger.sightings,
            collection,
            config.glance.every_minutes * 60,
        )
    finally:
        await collection.close()
        await images.close()


def _bytes(config: Config) -> tuple[BlobStore, Journal, Redirects | None, list[Close]]:
    if config.storage.kind == "swift":
        from registry.storage import swift  # noqa: PLC0415 - half a second that a directory saves

        account = swift.open_account(config.openstack.cloud)
        blobs = swift.SwiftBlobStore(account, prefix=config.storage.prefix)
        journal = swift.SwiftJournal(account, prefix=config.storage.prefix)
        redirects = None
        if config.storage.redirect:
            redirects = Redirects(blobs.redirect_url, config.storage.redirect_seconds)
        return blobs, journal, redirects, [blobs.close, account.close]
    directory = config.storage.directory
    return FilesystemBlobStore(directory), FilesystemJournal(directory), None, []


def _require_store(directory: Path) -> None:
    """Raise StorageUnavailable where no store is, or where this user may not change it."""
    places = (directory, *(directory / name for name in ("blobs", "journal", "meta")))
    try:
        closed = [each for each in places if each.is_dir() and not os.access(each, _ALL)]
        founded = is_founded(directory)
    except OSError:  # it cannot even be looked at
        closed, founded = [directory], True
    if closed:
        raise StorageUnavailable(
            f"{closed[0]} cannot be read and changed: run this as the user who serves it, or name "
            "another with storage.directory"
        )
    if not founded:
        raise StorageUnavailable(
            f"there is no store in {directory}: is its disk mounted, is storage.directory right? "
            "`berth serve` makes a new one"
        )


def _make_directory(config: Config) -> None:
    directory = config.storage.directory
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise StorageUnavailable(
            f"{error.strerror}: {directory.absolute()}; name another with storage.directory"
        ) from error
