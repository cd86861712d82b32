"""Opens the stores that the configuration names: one of the two modules that know adapters."""

import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from sqlalchemy import make_url

from registry import metrics
from registry.catalogue.projector import Projector
from registry.catalogue.reconciler import Reconciler
from registry.config import Config
from registry.oci.errors import StorageUnavailable
from registry.storage.filesystem import FilesystemBlobStore
from registry.storage.flusher import Flusher
from registry.storage.journal_file import FilesystemJournal
from registry.storage.layout import RESTORING
from registry.storage.ledger import SqlLedger
from registry.storage.ledger.garbage import SqlCollection
from registry.storage.ports.blobs import BlobStore
from registry.storage.ports.journal import Journal
from registry.storage.storage import Redirects, Storage
from registry.storage.store_file import is_founded
from registry.tending import Tender

Close = Callable[[], Awaitable[None]]
_ALL: Final = os.R_OK | os.W_OK | os.X_OK


@dataclass(frozen=True, slots=True)
class Bytes:
    """What lies in one place: blobs, and the journal beside them."""

    blobs: BlobStore
    journal: Journal
    redirects: Redirects | None = None
    closing: tuple[Close, ...] = ()

    @classmethod
    def open(cls, config: Config) -> Self:
        """Raises StorageUnavailable; asks nobody over the network yet."""
        if config.storage.kind == "directory":
            directory = config.storage.directory
            return cls(FilesystemBlobStore(directory), FilesystemJournal(directory))
        from registry.storage import swift  # noqa: PLC0415 - half a second that a directory saves

        account = swift.open_account(config.openstack.cloud)
        blobs = swift.SwiftBlobStore(account, prefix=config.storage.prefix)
        journal = swift.SwiftJournal(account, prefix=config.storage.prefix)
        redirects = None
        if config.storage.redirect:
            redirects = Redirects(blobs.redirect_url, config.storage.redirect_seconds)
        return cls(blobs, journal, redirects, (blobs.close, account.close))

    async def close(self) -> None:
        """Let go."""
        for close in self.closing:
            await close()


class Stores:
    """The stores of one process, and how they are let go of."""

    def __init__(self, config: Config) -> None:
        """Raises StorageUnavailable; asks nobody over the network yet."""
        self.ledger = SqlLedger(config.ledger_url, projecting=config.glance.enabled)
        self._bytes = Bytes.open(config)
        journal, is_far = self._bytes.journal, config.storage.kind == "swift"
        self.storage = Storage(
            self._bytes.blobs,
            journal,
            self.ledger,
            Flusher(self.ledger, journal, claimed=is_far, count=metrics.count_flush),
            promise=config.gc.grace_hours * 3600 / 4,
            openings=self.ledger.sightings,
            redirects=self._bytes.redirects,
        )

    async def close(self) -> None:
        """Bring into the journal what can be, then let go."""
        await self.storage.flusher.close()
        await self.ledger.close()
        await self._bytes.close()


@asynccontextmanager
async def opened(config: Config) -> AsyncIterator[Storage]:
    """The stores with their tables and folders made; let go of at the end.

    Raises StorageUnavailable.
    """
    async with opened_whole(config) as stores:
        yield stores.storage


@asynccontextmanager
async def opened_used(config: Config, *, anew: bool = False) -> AsyncIterator[Storage]:
    """The same of a store that a server made; none is made here, where a disk is not mounted.

    Neither is a ledger, unless it is to be made *anew*. Raises StorageUnavailable.
    """
    async with opened_used_whole(config, anew=anew) as stores:
        yield stores.storage


@asynccontextmanager
async def opened_used_whole(config: Config, *, anew: bool = False) -> AsyncIterator[Stores]:
    """The same, with what a ledger knows of the image service."""
    if config.storage.kind == "directory":
        _require_directory(config.storage.directory.absolute())
    else:
        await _require_container(config)
    if not anew and (path := absent_ledger(config)) is not None:
        raise StorageUnavailable(
            f"there is no ledger in {path}: is ledger.url right? If it was lost, `berth rebuild` "
            "makes it anew out of the journal"
        )
    async with opened_whole(config) as stores:
        yield stores


def absent_ledger(config: Config) -> Path | None:
    """A SQLite ledger's file that is not there yet: opening it would make it."""
    url = make_url(config.ledger_url)
    path = Path(url.database or "")
    return path if url.get_backend_name() == "sqlite" and not path.exists() else None


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
            Projector(stores.storage, ledger.outbox, images),
            Reconciler(stores.storage, ledger.outbox, ledger.sightings, images),
            ledger.outbox,
            ledger.sightings,
            collection,
            config.glance.every_minutes * 60,
        )
    finally:
        await collection.close()
        await images.close()


async def has_lines(config: Config) -> bool:
    """Whether names were ever written into the journal. Raises StorageUnavailable."""
    if config.storage.kind == "directory" and not is_founded(config.storage.directory):
        return False
    there = Bytes.open(config)
    try:
        return bool(await there.journal.heads())
    finally:
        await there.close()


async def _require_container(config: Config) -> None:
    """Raise StorageUnavailable where Swift has no store of that name."""
    there = Bytes.open(config)
    try:
        identity = await there.journal.identity()
    finally:
        await there.close()
    if identity is None:
        raise StorageUnavailable(
            f"Swift has no store of storage.prefix {config.storage.prefix}: is it right, is the "
            "project? `berth serve` makes a new one"
        )


def _require_directory(directory: Path) -> None:
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
    if not os.access(directory, _ALL):
        raise StorageUnavailable(
            f"{directory.absolute()} cannot be read and changed: run this as the user who serves "
            "it, or name another with storage.directory"
        )
