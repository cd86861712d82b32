"""A ledger whose records are sent to a model of an image service that fails on demand."""

import contextlib
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from registry.catalogue.projector import Outcomes, Projector
from registry.catalogue.reconciler import Reconciler, Report
from registry.oci.chain import RecordDraft
from registry.oci.errors import StorageUnavailable
from registry.oci.names import RepositoryName
from registry.storage.flusher import Flusher
from registry.storage.images import image_of
from registry.storage.ledger import SqlLedger
from registry.storage.memory.blobs import MemoryBlobStore
from registry.storage.memory.images import MemoryImageService
from registry.storage.memory.journal import MemoryJournal
from registry.storage.ports.images import Image, ImageService, Refused
from registry.storage.ports.journal import Journal
from registry.storage.records import ImageRecord
from registry.storage.storage import Storage
from support.ledgers import SHOES, Clock, Template, find_by_key, put, tagged

FAR = 100_000.0
"""Seconds after which everything is due again that was put off."""


class SpoiltImageService(MemoryImageService):
    """A model that fails on demand."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[tuple[str, str]] = []
        """(method, id), without those that only read."""
        self.refuses: dict[str, str] = {}
        """Id -> why it is not taken."""
        self.silent: dict[str, bool] = {}
        """Id -> whether it is made, though nobody is told."""
        self.before = 0
        """So many of the next calls fail and do nothing."""
        self.after = 0
        """So many of the next changes after that are done, and their answer is lost."""
        self.away = False

    async def create(self, image: Image) -> None:
        if image.id in self.silent:
            if self.silent[image.id]:
                await super().create(image)
            self.calls.append(("create", image.id))
            raise StorageUnavailable("no answer")
        with self._spoilt("create", image.id):
            await super().create(image)

    async def find(self, image: str) -> Image:
        with self._spoilt("", image):
            return await super().find(image)

    async def find_listed(self, images: Sequence[str]) -> list[Image]:
        with self._spoilt("", ""):
            return await super().find_listed(images)

    async def change(self, before: Image, after: Image) -> None:
        with self._spoilt("change", after.id):
            await super().change(before, after)

    async def delete(self, image: str) -> None:
        with self._spoilt("delete", image):
            await super().delete(image)

    async def members(self, image: str) -> Mapping[str, str]:
        with self._spoilt("", image):
            return await super().members(image)

    async def add_member(self, image: str, project: str, status: str) -> None:
        with self._spoilt("add_member", image):
            await super().add_member(image, project, status)

    async def set_member(self, image: str, project: str, status: str) -> None:
        with self._spoilt("set_member", image):
            await super().set_member(image, project, status)

    async def remove_member(self, image: str, project: str) -> None:
        with self._spoilt("remove_member", image):
            await super().remove_member(image, project)

    @contextlib.contextmanager
    def _spoilt(self, method: str, image: str) -> Iterator[None]:
        if self.away or self.before:
            self.before = max(0, self.before - 1)
            raise StorageUnavailable("spoilt")
        if method:
            if image in self.refuses:
                raise Refused(self.refuses[image])
            self.calls.append((method, image))
        yield
        if method and self.after:
            self.after -= 1
            raise StorageUnavailable("spoilt afterwards")


@dataclass
class Catalogue:
    """All of it."""

    ledger: SqlLedger
    storage: Storage
    images: SpoiltImageService
    projector: Projector
    reconciler: Reconciler
    clock: Clock

    async def push(
        self, tag: str, *layers: str, word: str = "boots", name: RepositoryName = SHOES
    ) -> None:
        drafts: tuple[RecordDraft, ...] = tagged(name, tag, *layers)
        await self.ledger.put_manifest(put(name, word, tag, drafts=drafts))

    async def send(self) -> Outcomes:
        """One round of all that is due."""
        return await self.projector.send(99)

    async def make_in_vain(self, record: str, *, made: bool = True) -> None:
        """Have *record* sent for the first time; nobody is told whether its image is *made*."""
        self.images.silent[record] = made
        while ("create", record) not in self.images.calls:  # its parent comes first
            self.clock.now += 60
            await self.send()
        del self.images.silent[record]

    async def settle(self) -> Outcomes:
        """Rounds until nothing is due, however long it was put off."""
        all_of_them = Outcomes()
        while True:
            self.clock.now += FAR
            outcomes = await self.send()
            all_of_them.update(outcomes)
            if not outcomes:
                return all_of_them

    async def sweep(self, seconds: float = 0.0) -> Report:
        """A look, *seconds* from now."""
        self.clock.now += seconds
        return await self.reconciler.sweep()

    async def record(self, key: str, project: str = "shoes") -> ImageRecord:
        return await find_by_key(self.ledger, project, key)

    async def hold_same(self) -> None:
        """Every record is there as it is, nothing else of ours is, and nothing waits."""
        records = []
        for hidden in ("true", "false"):
            filters = {"os_hidden": hidden}
            records += await self.ledger.list_records(projects=None, filters=filters, limit=999)
        assert {each.id: image_of(each) for each in records} == self.images.images
        for each in records:
            if each.visibility == "shared":
                members = {
                    who.project: who.status for who in await self.ledger.list_members(each.id)
                }
                assert members == self.images.shared[each.id]
        assert (await self.ledger.outbox.lag()).count == 0


def catalogue_over(
    ledger: SqlLedger,
    images: SpoiltImageService,
    clock: Clock,
    service: ImageService | None = None,
    journal: Journal | None = None,
) -> Catalogue:
    """Over a *ledger* that projects; *service* where the images are another's than the model's.

    *journal* is the one that the ledger was made of, if any.
    """
    journal = journal or MemoryJournal()
    storage = Storage(MemoryBlobStore(), journal, ledger, Flusher(ledger, journal))
    used = service or images
    return Catalogue(
        ledger,
        storage,
        images,
        Projector(storage, ledger.outbox, used),
        Reconciler(storage, ledger.outbox, ledger.sightings, used),
        clock,
    )


@contextlib.asynccontextmanager
async def open_catalogue(directory: Path, template: Template) -> AsyncIterator[Catalogue]:
    """With a ledger of its own in *directory*."""
    clock = Clock()
    url = await template.copy(directory / "ledger.db")
    ledger = SqlLedger(url, clock=clock, projecting=True)
    catalogue = catalogue_over(ledger, SpoiltImageService(), clock)
    try:
        yield catalogue
    finally:
        await catalogue.storage.flusher.close()
        await ledger.close()
