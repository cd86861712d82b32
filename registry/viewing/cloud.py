"""Records as the cloud's image service shows them to the caller, remembered for a minute."""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from typing import Final
from weakref import WeakValueDictionary

from registry.auth.ports import Principal
from registry.oci.errors import StorageUnavailable
from registry.storage.ports.images import CallerImages
from registry.storage.records import ImageRecord

FRESH: Final = 60.0
"""Seconds for which an answer is taken for true, unless another time is configured."""
HELD: Final = 600.0
"""Seconds for which it still is while the image service gives none."""
SILENCE: Final = 1.0
"""Seconds for which nothing is asked after no answer came."""
REMEMBERED: Final = 32_768
"""Answers at most, of all callers together."""
_ANONYMOUS: Final = "anonymous"


class CloudViewer:
    """The Viewer on an image service that the caller can be asked for with his own token."""

    def __init__(
        self,
        images: CallerImages,
        *,
        fresh: float = FRESH,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """*fresh*: seconds for which an answer is true; *clock*: seconds that do not jump."""
        self._images = images
        self._fresh = fresh
        self._clock = clock
        self._known: OrderedDict[tuple[Hashable, str], tuple[bool, float]] = OrderedDict()
        self._turns: WeakValueDictionary[Hashable, asyncio.Lock] = WeakValueDictionary()
        self._silent_until = float("-inf")

    def can_ask(self, principal: Principal) -> bool:
        """As in Viewer: who shows a token of this registry's has left the cloud's at home."""
        return principal.anonymous or principal.grants is None

    async def find_seen(
        self, principal: Principal, records: Sequence[ImageRecord]
    ) -> frozenset[str]:
        """As in Viewer, by each of the caller's projects, until all are seen."""
        seen: set[str] = set()
        unknown: StorageUnavailable | None = None
        for who, token in _voices(principal):
            rest = [each for each in records if each.id not in seen]
            if not rest:
                break
            try:
                seen |= await self._look(who, token, rest)
            except StorageUnavailable as error:
                unknown = error
        if unknown is not None and not seen:
            raise unknown
        return frozenset(seen)

    async def close(self) -> None:
        """End what asks the image service."""
        await self._images.close()

    async def _look(
        self, who: Hashable, token: str | None, records: Sequence[ImageRecord]
    ) -> set[str]:
        turn = self._turns.setdefault(who, asyncio.Lock())
        async with turn:  # or the requests of one pull would all ask the same
            stale = [each for each in records if not self._is_known(who, each, self._fresh)]
            try:
                if stale:
                    await self._ask(who, token, stale)
            except StorageUnavailable:
                if not any(self._is_known(who, each, HELD) for each in records):
                    raise
        return {each.id for each in records if self._is_seen(who, each)}

    async def _ask(self, who: Hashable, token: str | None, records: Sequence[ImageRecord]) -> None:
        if self._clock() < self._silent_until:
            raise StorageUnavailable("the image service gave no answer a moment ago")
        asked_at = self._clock()
        ids = [each.id for each in records]
        try:
            seen = await self._images.find_seen(token, records[0].project, ids)
        except StorageUnavailable:
            self._silent_until = self._clock() + SILENCE
            raise
        for each in ids:
            self._known[who, each] = (each in seen, asked_at)
            self._known.move_to_end((who, each))
        while len(self._known) > REMEMBERED:
            self._known.popitem(last=False)

    def _is_known(self, who: Hashable, record: ImageRecord, seconds: float) -> bool:
        _, asked_at = self._known.get((who, record.id), (False, float("-inf")))
        return self._clock() - asked_at < seconds

    def _is_seen(self, who: Hashable, record: ImageRecord) -> bool:
        seen, _ = self._known.get((who, record.id), (False, 0.0))
        return seen and self._is_known(who, record, HELD)


def _voices(principal: Principal) -> list[tuple[Hashable, str | None]]:
    """Whom to ask as: the caller in each of his projects; nobody, where he has none.

    What he sees may depend on his roles there, which not all of his credentials have alike.
    """
    if not principal.cloud_tokens:
        return [(_ANONYMOUS, None)]
    return [
        ((principal.subject, project, principal.roles.get(project)), token)
        for project, token in sorted(principal.cloud_tokens.items())
    ]
