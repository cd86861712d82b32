"""Outbox to image service: each record as it is at that moment, after its parent."""

import asyncio
import contextlib
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Final, Never

from registry import metrics
from registry.catalogue.adopting import SHAREABLE, adopt, find_sharing
from registry.oci.errors import ManifestUnknown, StorageFull, StorageUnavailable
from registry.storage.changes import RecordState
from registry.storage.images import image_of
from registry.storage.ports.images import Absent, Image, ImageService, Refused, Taken
from registry.storage.ports.projection import Due, Lag, Outbox
from registry.storage.sharing import Changed, Members, Sharing, may_be_left, shared_anew
from registry.storage.storage import Storage

LEASE: Final = 120.0
"""Seconds that a sender has for one record."""
SENDERS: Final = 4
"""At once; a chain of layers is one sender's anyway."""
FEW, MANY = 4, 32
"""Records that one sender takes at a time."""
PAUSE: Final = 5.0
"""Seconds until a record is tried again at which the image service failed."""
PATIENCE: Final = 3
"""Failures one after the other after which the image service is taken to be away."""
LONGEST: Final = 10.0
"""Seconds at most between two attempts while it is away."""
_log = logging.getLogger(__name__)

Sleep = Callable[[float], Awaitable[None]]
Outcomes = Counter[str]
"""``sent``, ``ended``, ``renamed``, ``refused``, ``parked``, ``failed``, ``left`` -> records."""


class Projector:
    """Sends what the outbox says is due; any number of them may, in any number of processes."""

    def __init__(self, storage: Storage, outbox: Outbox, images: ImageService) -> None:
        self._storage = storage
        self._outbox = outbox
        self._images = images

    async def run(self, *, pause: float = 0.5, sleep: Sleep = asyncio.sleep) -> Never:
        """Send for ever; look every *pause* seconds. Raises StorageUnavailable for the ledger."""
        away = 0.0
        while True:
            lag = await self.tell()
            outcomes = Outcomes()
            if lag.count and self._storage.disagreement is None:
                outcomes = await self.send(lag.count)
            if is_away(outcomes):
                away = min(max(1.0, 2 * away), LONGEST)
                _log.warning("the image service is away: %s records wait for it", lag.count)
                await sleep(away)
            else:
                away = 0.0
                if not moved(outcomes):
                    await sleep(pause)

    async def drain(
        self,
        progress: Callable[[Lag], None] = lambda _: None,
        *,
        patience: float = 10.0,
        sleep: Sleep = asyncio.sleep,
    ) -> Lag:
        """Send until nothing waits, or until nothing moved for *patience* seconds.

        Raises StorageUnavailable where the image service does not answer, or the ledger.
        """
        still = 0.0
        while True:
            lag = await self.tell()
            progress(lag)
            if lag.count == 0 or still >= patience:
                return lag
            outcomes = await self.send(lag.count)
            if is_away(outcomes):
                raise StorageUnavailable("the image service does not answer")
            if moved(outcomes):
                still = 0.0
            else:
                still += 1
                await sleep(1)

    async def tell(self) -> Lag:
        """How far behind the image service is, for people too."""
        lag = await self._outbox.lag()
        metrics.tell_lag(lag.count, lag.seconds, lag.parked)
        return lag

    async def send(self, count: int) -> Outcomes:
        """What is due of about *count* records, by several senders at once; what came of it."""
        limit = max(FEW, min(MANY, -(-count // SENDERS)))
        senders = min(SENDERS, -(-count // limit))
        ended = await asyncio.gather(
            *(self._send_batch(limit) for _ in range(senders)), return_exceptions=True
        )
        outcomes = Outcomes()
        for each in ended:
            if isinstance(each, BaseException):
                raise each
            outcomes.update(each)
        for outcome, number in outcomes.items():
            metrics.count_images(outcome, number)
        return outcomes

    async def _send_batch(self, limit: int) -> Outcomes:
        outcomes = Outcomes()
        failures = 0
        for due in await self._outbox.lease_due(limit=limit, seconds=LEASE):
            if failures >= PATIENCE:
                await self._outbox.give_back(due)
                continue
            try:
                outcome = await self._send(due)
            except (StorageUnavailable, StorageFull, Absent, Changed, ManifestUnknown) as error:
                # Meanwhile somebody deleted it out there, said here who sees it, or ended it here.
                _log.info("%s record %s is not sent now: %s", due.kind, due.record, error)
                # Each of them, or a few that always fail would stand before all others for ever.
                await self._outbox.give_back(due, delay=PAUSE)
                outcome = "failed"
                failures += 1
            else:
                failures = 0
            outcomes[outcome] += 1
        if failures >= PATIENCE:
            outcomes["away"] += 1
        return outcomes

    async def _send(self, due: Due) -> str:
        begun = await self._outbox.begin(due, seconds=LEASE)
        if begun is None:
            return "left"
        # What others see must outlive the ledger: one made anew knows only what the journal has.
        await self._storage.flusher.flush_pending()
        try:
            if begun.state is None:
                await self._end(begun)
                await self._outbox.done(begun)
                return "ended"
            shown = await self._show(begun, begun.state)
        except Refused as error:
            return await self._refuse(begun, str(error))
        if isinstance(shown, str):
            return shown
        position = await self._outbox.agree(begun)
        if position is not None:
            await self._storage.flusher.flush(position)
        await self._outbox.done(replace(begun, state=shown))
        return "sent"

    async def _rename(self, due: Due, *, missed: bool) -> str:
        position = await self._outbox.rename(due, missed=missed)
        if position is None:
            return "left"
        await self._storage.flusher.flush(position)
        return "renamed"

    async def _refuse(self, due: Due, reason: str) -> str:
        what = f"{due.kind} record {due.record} of project {due.project}"
        _log.warning("the image service refuses the %s: %s", what, reason)
        if not await self._outbox.refused(due, reason):
            return "refused"
        _log.error(
            "the %s was refused too often and is not sent any more, nor are its children; "
            "mend the cause, then run `berth sync-images`: %s", what, reason,
        )  # fmt: skip
        return "parked"

    # -- what is ----------------------------------------------------------------------------------

    async def _show(self, due: Due, state: RecordState) -> RecordState | str:
        """What is out there then; an outcome where the record cannot have its id."""
        found = await self._find(due.record) if due.sent or due.unsure else None
        if found is None:
            image = image_of(state.record)
            try:
                await self._images.create(image)
            except Taken:
                found = await self._find(due.record)
            else:
                await self._set_members(image.id, {}, Sharing.of_state(state).members)
                return state
        if found is None or not _is_ours(found, due):
            # Used up by a deletion out there, or somebody else's.
            return await self._rename(due, missed=found is None)
        return await self._match(due, state, found)

    async def _match(self, due: Due, state: RecordState, found: Image) -> RecordState:
        """Make what was *found* the record as it is; but who sees it is said out there."""
        wanted = image_of(state.record)
        if due.kind == "tag":  # people may hide and protect their images
            wanted = replace(
                wanted,
                hidden=wanted.hidden or found.hidden,
                protected=wanted.protected or found.protected,
            )
        if due.kind not in SHAREABLE:
            await self._images.change(found, replace(wanted, visibility=found.visibility))
            return state
        sharing, present = await find_sharing(self._images, found), Sharing.of_state(state)
        if _was_changed(due, sharing, present):
            if sharing != present:
                await adopt(self._storage, state.record, sharing)
            state = RecordState(
                replace(state.record, visibility=sharing.visibility), state.uses, sharing.members
            )
            await self._images.change(found, replace(wanted, visibility=sharing.visibility))
        else:
            if present.visibility != "shared":
                # Members stay, unseen, and see the image as soon as it is shared anew.
                for project in dict(sharing.members).keys() - dict(state.members).keys():
                    await self._images.remove_member(found.id, project)
            await self._images.change(found, wanted)
            if present.visibility == "shared":
                return await self._share(due, state, found, sharing)
        return state

    async def _share(
        self, due: Due, state: RecordState, found: Image, sharing: Sharing
    ) -> RecordState:
        """Have the members of a record that is to be shared; it was *sharing* out there."""
        if sharing.visibility == "shared":
            # Without another look: whoever is a member since the first one was made so out there.
            there: Mapping[str, str] = dict(sharing.members)
        else:
            there = await self._images.members(found.id)
        members = state.members
        if _is_anew(due, Sharing.of_state(state)):
            members = shared_anew(due.kept, due.tried, there, members)
        await self._set_members(found.id, there, members)
        if members != state.members:  # once it is so: else it would pass for people's word
            agreed, version = Sharing("shared", members), state.record.version
            await adopt(self._storage, state.record, agreed, version=version)
        return replace(state, members=members)

    async def _set_members(self, image: str, there: Mapping[str, str], members: Members) -> None:
        """Have *members* instead of those that are *there*."""
        wanted = dict(members)
        for project in there.keys() - wanted.keys():
            await self._images.remove_member(image, project)
        for project, status in wanted.items():
            if project not in there:
                await self._images.add_member(image, project, status)
            elif there[project] != status:
                await self._images.set_member(image, project, status)

    # -- what is no more --------------------------------------------------------------------------

    async def _end(self, due: Due) -> None:
        """Nothing of the record is out there then, and nothing can come."""
        found, is_there = await self._find(due.record), due.sent
        if found is None and due.unsure and not due.sent:
            # Whoever began to send it may be about to do so still: he shall come too late.
            nothing = Image(
                id=due.record, owner=due.project, hidden=True, properties={"oci_kind": due.kind}
            )
            with contextlib.suppress(Taken):
                await self._images.create(nothing)
            found, is_there = await self._find(due.record), True
        # Looks that find nothing prove nothing: what was sent is deleted all the same.
        if is_there if found is None else _is_ours(found, due):
            await self._images.delete(due.record)

    async def _find(self, image: str) -> Image | None:
        try:
            return await self._images.find(image)
        except Absent:
            return None


def _is_ours(found: Image, due: Due) -> bool:
    """What we are known to have made there is ours whatever people made of its properties."""
    return found.is_of(due.project, due.kind) or (due.sent and found.owner == due.project)


def _is_anew(due: Due, present: Sharing) -> bool:
    """Whether a record is to be shared that was not when it was sent last."""
    return (
        due.agreed is not None
        and due.agreed.visibility != "shared"
        and present.visibility == "shared"
    )


def _was_changed(due: Due, seen: Sharing, present: Sharing) -> bool:
    """Whether it was out there that somebody said who sees the record.

    Where nobody knows what was agreed or tried: yes, unless somebody once tried.
    """
    if due.agreed is None and not due.tried:
        return due.sent or not due.unsure
    if seen.visibility == "shared" and _is_anew(due, present):
        return False  # by whomever: what both sides said of its members is put together
    return not may_be_left(seen, due.agreed, due.kept, due.tried)


def is_away(outcomes: Outcomes) -> bool:
    """Whether the image service answered nobody."""
    return bool(outcomes["away"]) and not moved(outcomes)


def moved(outcomes: Outcomes) -> bool:
    """Whether something was done."""
    return any(outcomes[each] for each in ("sent", "ended", "renamed"))
