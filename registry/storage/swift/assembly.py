"""An upload's segments become one object."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain

from registry.oci.errors import StorageUnavailable
from registry.storage.records import Segment
from registry.storage.swift import plan
from registry.storage.swift.large import LargeObjects, Stored
from registry.storage.swift.names import Names, Place
from registry.storage.swift.objects import Objects
from registry.storage.swift.segments import HELD, Recent, places, read_segments


@dataclass(frozen=True, slots=True)
class Made:
    """How an object was made."""

    is_large: bool
    spare: tuple[Place, ...]
    """Segments that it does not need."""


class Assembly:
    """Makes objects of segments; nothing is left of one that failed."""

    def __init__(self, objects: Objects, names: Names, recent: Recent, large: LargeObjects) -> None:
        self._objects = objects
        self._names = names
        self._recent = recent
        self._large = large

    async def make(
        self, name: str, upload: str, segments: Sequence[Segment], *, owns: bool = False
    ) -> Made:
        """Make object *name* of *upload*'s segments; a large one *owns* those it needs, if told."""
        planned = plan.parts(segments)
        copied = [part.segments for part in planned if not part.is_stored]
        made = [self._names.object(name)]
        try:
            if planned[0].is_plain and len(planned) == 1:
                await self._write(made[0], planned[0].segments)
                return Made(is_large=False, spare=places(self._names, segments))
            stored = []
            for number, part in enumerate(planned):
                if part.is_stored:
                    (segment,) = part.segments
                    place = self._names.segment(segment.name)
                    stored.append(Stored(place, segment.size, _etag(segment)))
                else:
                    place = self._names.own_part(upload, name, number)
                    made.append(place)
                    etag = await self._write(place, part.segments)
                    stored.append(Stored(place, part.size, etag))
            await self._large.put(name, upload, stored, owns=owns)
        except BaseException:
            self._objects.forget(*made)
            raise
        return Made(is_large=True, spare=places(self._names, chain.from_iterable(copied)))

    async def _write(self, place: Place, segments: Sequence[Segment]) -> str:
        """One object of *segments*, read and written again; its ETag."""
        pieces = read_segments(self._objects, self._names, self._recent, segments)
        size = sum(segment.size for segment in segments)
        if size <= HELD:
            head = await self._objects.put(place, b"".join([piece async for piece in pieces]))
            return head.etag
        sink = await self._objects.begin(place, size)
        try:
            async for piece in pieces:
                await sink.send([piece])
        except BaseException:
            sink.abort()
            raise
        return await sink.finish()


def _etag(segment: Segment) -> str:
    if not segment.etag:
        raise StorageUnavailable("a segment was recorded without its ETag")
    return segment.etag
