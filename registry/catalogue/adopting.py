"""Who sees a record is said in the cloud's image service, and believed here."""

from functools import partial
from typing import Final

from registry.storage.ports.images import Image, ImageService
from registry.storage.ports.projection import Sharing, Sightings
from registry.storage.records import ImageRecord, Member
from registry.storage.storage import Storage

SHAREABLE: Final = frozenset({"repository", "tag"})
"""Kinds of records by which people share; of the others nothing is read."""


async def find_sharing(images: ImageService, image: Image) -> Sharing:
    """Who sees *image* out there; raises Absent and StorageUnavailable."""
    if image.visibility != "shared":
        return Sharing(image.visibility)
    return Sharing.of("shared", (await images.members(image.id)).items())


async def adopt(
    storage: Storage,
    sightings: Sightings,
    record: ImageRecord,
    present: Sharing,
    seen: Sharing,
) -> None:
    """Make the ledger's *present* sharing of *record* the one that was *seen*; flushed then.

    It is agreed at last: who broke off before finds the same difference again.

    Raises ManifestUnknown where the record has ended, and StorageUnavailable.
    """
    ledger = storage.ledger
    share = partial(ledger.share_record, record.id, agreed=True)
    changes = []
    if seen.visibility != present.visibility:
        changes.append(await share(visibility=seen.visibility))
    if seen.visibility == "shared":
        wanted = dict(seen.members)
        known = {each.project: each.status for each in await ledger.list_members(record.id)}
        for project, status in wanted.items():
            if known.get(project) != status:
                changes.append(await share(member=Member(project, status)))
        changes += [await share(remove_member=project) for project in known.keys() - wanted.keys()]
    if changes:
        await storage.flusher.flush(changes[-1].position)
    await sightings.agree(record.id, seen)
