"""Who sees a record is said in the cloud's image service, and believed here."""

from typing import Final

from registry.storage.ports.images import Image, ImageService
from registry.storage.records import ImageRecord
from registry.storage.sharing import Agreement, Sharing
from registry.storage.storage import Storage

SHAREABLE: Final = frozenset({"repository", "tag"})
"""Kinds of records by which people share; of the others nothing is read."""


async def find_sharing(images: ImageService, image: Image) -> Sharing:
    """Who sees *image* out there; raises Absent and StorageUnavailable."""
    if image.visibility != "shared":
        return Sharing(image.visibility)
    return Sharing.of("shared", (await images.members(image.id)).items())


async def adopt(
    storage: Storage, record: ImageRecord, seen: Sharing, *, version: int | None = None
) -> None:
    """Have the ledger say of *record*'s sharing what was *seen*; flushed then.

    Raises ManifestUnknown where the record has ended, Changed where it is of another *version*, and
    StorageUnavailable.
    """
    shared = await storage.ledger.share_record(record.id, Agreement(seen, version))
    await storage.flusher.flush(shared.position)
