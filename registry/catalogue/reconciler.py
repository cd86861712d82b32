"""Image service to ledger: who sees a record, and tags whose records were deleted out there."""

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from registry import metrics
from registry.catalogue.adopting import adopt, find_sharing
from registry.oci.errors import ManifestUnknown, StorageUnavailable
from registry.storage.images import differences, image_of
from registry.storage.ports.images import Absent, Image, ImageService
from registry.storage.ports.projection import Outbox, Sighting, Sightings
from registry.storage.records import ImageRecord
from registry.storage.sharing import Changed, Sharing
from registry.storage.storage import Storage

PAGE: Final = 100
"""Records that are looked at in one request."""
FREELY: Final = 3
"""Tags that may always go."""
PART: Final = 0.1
"""Of all tags, or of one project's, that may go at once."""
CANARY_EVERY: Final = 10
"""Absent records that one proof serves that the image service shows ours at all."""
_log = logging.getLogger(__name__)


@dataclass(slots=True)
class Report:
    """What one look came to."""

    looked: int = 0
    shared: int = 0
    """Records whose visibility or members were another than here."""
    restored: int = 0
    """Records that are sent anew, for they are not what they should be."""
    missing: int = 0
    untagged: int = 0
    braked: bool = False


class Reconciler:
    """Looks after all records of tags and repositories that wait for nothing."""

    def __init__(
        self, storage: Storage, outbox: Outbox, sightings: Sightings, images: ImageService
    ) -> None:
        self._storage = storage
        self._outbox = outbox
        self._sightings = sightings
        self._images = images
        self._report = Report()
        self._absent: list[Sighting] = []
        self._canary: str | None = None
        """A record of ours that was there a moment ago."""

    async def sweep(self) -> Report:
        """Look once; not twice at a time.

        Raises StorageUnavailable, also while store and ledger disagree: then nothing may go.
        """
        if self._storage.disagreement is not None:
            raise StorageUnavailable(self._storage.disagreement)
        self._report, self._absent, self._canary = Report(), [], None
        began = await self._sightings.now()
        after = ""
        while page := await self._sightings.list_sent(after=after, limit=PAGE):
            await self._look(page)
            self._report.looked += len(page)
            after = page[-1].state.record.id
        missing = await self._find_missing()
        self._report.missing = len(missing)
        gone = [each for each in missing if await self._is_gone(each, began)]
        await self._hold_brake([each for each in missing if each.state.record.kind == "tag"])
        for sighting in gone:
            if not self._report.braked:
                await self._untag(sighting.state.record)
        return self._report

    async def _look(self, page: Sequence[Sighting]) -> None:
        ids = [each.state.record.id for each in page]
        listed = {each.id: each for each in await self._images.find_listed(ids)}
        self._absent += [each for each in page if each.state.record.id not in listed]
        seen = [each for each in page if each.state.record.id in listed]
        await self._sightings.seen([each.state.record.id for each in seen if each.missing_since])
        for sighting in seen:
            await self._compare(sighting, listed[sighting.state.record.id])

    async def _compare(self, sighting: Sighting, found: Image) -> None:
        record = sighting.state.record
        if found.owner != record.project:  # nothing that it says is believed
            _log.warning("image %s is not its project's any more", record.id)
            await self._restore(record.id)
            return
        self._canary = found.id
        present = Sharing.of_state(sighting.state)
        try:
            seen = await find_sharing(self._images, found)
            if seen != present:
                # A record that was changed since may be out there as it is now, or half of it.
                version = record.version
                await adopt(self._storage, record, seen, version=version)
                self._report.shared += 1
        except (Absent, ManifestUnknown, Changed):  # meanwhile: the next look tells
            return
        if _is_other(sighting, found):
            await self._restore(record.id)

    async def _restore(self, record: str) -> None:
        await self._outbox.mark([record])
        self._report.restored += 1

    # -- what is not there ------------------------------------------------------------------------

    async def _find_missing(self) -> list[Sighting]:
        """Those of which a GET says so too, while another record of ours can be seen."""
        missing: list[Sighting] = []
        for place in range(0, len(self._absent), CANARY_EVERY):
            some = []
            for sighting in self._absent[place : place + CANARY_EVERY]:
                found = await self._find(sighting.state.record.id)
                if found is None:
                    some.append(sighting)
                else:
                    await self._sightings.seen([found.id])
                    await self._compare(sighting, found)
            if some and (self._canary is None or await self._find(self._canary) is None):
                _log.error("the image service shows none of our records: nothing is untagged")
                return []
            missing += some
        return missing

    async def _is_gone(self, sighting: Sighting, began: float) -> bool:
        """Whether it is a tag's, and was missing long enough."""
        record = sighting.state.record
        if not await self._sightings.missed(record.id, began=began):
            return False
        if record.kind == "tag":
            return True
        await self._restore(record.id)  # it is protected: people cannot have meant that
        return False

    async def _hold_brake(self, missing: Sequence[Sighting]) -> None:
        counted = Counter(each.state.record.project for each in missing)
        tags = await self._sightings.count_tags() if missing else {}
        self._report.braked = is_braked(counted, tags)
        metrics.tell_brake(on=self._report.braked)
        if self._report.braked:
            _log.error(
                "the records of %s tags are missing in the image service, more than a tenth: "
                "nothing is untagged. If they were deleted on purpose, delete the tags here; else "
                "restore them with `berth sync-images --all`", len(missing),
            )  # fmt: skip

    async def _untag(self, record: ImageRecord) -> None:
        position = await self._sightings.untag(record.id)
        if position is not None:
            await self._storage.flusher.flush(position)
            _log.info("untagged %s in project %s: its image is gone", record.name, record.project)
            self._report.untagged += 1

    async def _find(self, image: str) -> Image | None:
        try:
            return await self._images.find(image)
        except Absent:
            return None


def is_braked(missing: Mapping[str, int], tags: Mapping[str, int]) -> bool:
    """Whether too many of all tags, or of one project's, would go at once. Pure."""
    groups = [(sum(missing.values()), sum(tags.values()))]
    groups += [(count, tags.get(project, 0)) for project, count in missing.items()]
    return any(count > FREELY and count > PART * of for count, of in groups)


def _is_other(sighting: Sighting, found: Image) -> bool:
    """Whether somebody rewrote what is ours to say; hiding and protecting a tag is not."""
    wanted = image_of(sighting.state.record)
    steps = differences(found, wanted)
    people = {"/visibility", "/protected", "/os_hidden"}
    return not found.active or any(step["path"] not in people for step in steps)
