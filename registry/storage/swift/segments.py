"""Segments of uploads: each an object that is written once, and read back in order."""

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator, Iterable, Sequence
from typing import Final

from registry.oci.errors import RegistryError, StorageUnavailable
from registry.storage.records import Segment
from registry.storage.swift.names import Names, Place
from registry.storage.swift.objects import Objects
from registry.storage.swift.sink import Sink
from registry.storage.work import PIECE

HELD: Final = 2 * PIECE
"""Bytes up to which an object is held in memory and sent at once: a repeat is possible then."""
LEFT: Final = 64 * 1024
"""Bytes at an upload's beginning that are left to the ledger, which keeps them with the session: an
upload that has no more is written once, under its final name, when it is closed."""
KEPT: Final = 16 * PIECE
"""Bytes of small segments that are kept in memory, for a commit that is near."""


WRITTEN: Final = 1024
"""Segments of which it is remembered how Swift has them."""


class Recent:
    """The segments that this process wrote last, so that a commit need not ask for them."""

    def __init__(self) -> None:
        self._kept: OrderedDict[str, bytes] = OrderedDict()
        self._size = 0
        self._written: OrderedDict[str, Segment] = OrderedDict()

    def confirm(self, segment: Segment) -> None:
        """Remember that Swift said of *segment* that it has just these bytes."""
        self._written[segment.name] = segment
        if len(self._written) > WRITTEN:
            self._written.popitem(last=False)

    def is_confirmed(self, segment: Segment) -> bool:
        """Whether Swift said so of all of *segment*, and of no byte more."""
        return self._written.get(segment.name) == segment

    def keep(self, name: str, content: bytes) -> None:
        """Remember *content*, and forget what is older than fits."""
        self._kept[name] = content
        self._size += len(content)
        while self._size > KEPT:
            self._size -= len(self._kept.popitem(last=False)[1])

    def find(self, name: str) -> bytes | None:
        """A segment's bytes, if they are here."""
        return self._kept.get(name)

    def drop(self, upload: str) -> None:
        """Forget an upload's segments."""
        for name in [name for name in self._written if name.startswith(f"{upload}/")]:
            del self._written[name]
        for name in [name for name in self._kept if name.startswith(f"{upload}/")]:
            self._size -= len(self._kept.pop(name))


def places(names: Names, segments: Iterable[Segment]) -> tuple[Place, ...]:
    """Where *segments* lie, those that do."""
    return tuple(names.segment(each.name) for each in segments if not each.content)


class SwiftSegmentWriter:
    """Writes segments of one upload; each checkpoint ends one.

    Where Swift breaks off a segment, all of it is lost, and the writer with it.
    """

    def __init__(
        self, objects: Objects, names: Names, recent: Recent, prefix: str, offset: int
    ) -> None:
        """Segments are named *prefix*, a slash, and the byte where they begin."""
        self._objects = objects
        self._names = names
        self._recent = recent
        self._prefix = prefix
        self._offset = offset
        self._held: list[bytes] = []
        self._size = 0
        """Bytes since the segment began."""
        self._sink: Sink | None = None
        self._failure: RegistryError | None = None
        # Where a caller was cancelled, its write may still be under way at the next checkpoint.
        self._turn = asyncio.Lock()

    @property
    def size(self) -> int:
        """Bytes that are in no checkpoint yet."""
        return self._size

    async def write(self, *buffers: bytes) -> None:
        async with self._turn:
            self._check()
            some = [each for each in buffers if each]
            if not some:
                return
            try:
                await self._write(some)
            except BaseException as error:
                self._fail(error)
                raise

    async def checkpoint(self) -> Segment | None:
        async with self._turn:
            if self._failure is None and not self._size:
                return None
            self._check()
            if self._sink is None and self._offset + self._size <= LEFT:
                segment = Segment(self._name, self._size, content=b"".join(self._held))
                self._held = []
            else:
                segment = await self._store()
            self._offset += self._size
            self._size = 0
            return segment

    async def close(self) -> None:
        async with self._turn:
            self._fail(StorageUnavailable("the writer was closed"))

    async def _write(self, buffers: list[bytes]) -> None:
        self._size += sum(map(len, buffers))
        if self._sink is not None:
            await self._sink.send(buffers)
            return
        self._held += buffers
        if self._size > HELD:
            self._sink = await self._objects.begin(self._place, None)
            held, self._held = self._held, []
            await self._sink.send(held)

    async def _store(self) -> Segment:
        """What came since the last segment, as an object."""
        try:
            if self._sink is not None:
                etag = await self._sink.finish()
                self._sink = None
            else:
                etag = await self._put_held()
        except BaseException as error:
            self._objects.forget(self._place)
            self._fail(error)
            raise
        segment = Segment(self._name, self._size, etag)
        self._recent.confirm(segment)
        return segment

    async def _put_held(self) -> str:
        content = b"".join(self._held)
        head = await self._objects.put(self._place, content)
        self._held = []
        self._recent.keep(self._name, content)
        return head.etag

    @property
    def _name(self) -> str:
        return f"{self._prefix}/{self._offset}"

    @property
    def _place(self) -> Place:
        return self._names.segment(self._name)

    def _check(self) -> None:
        if self._failure is not None:
            raise type(self._failure)(self._failure.detail)

    def _fail(self, error: BaseException) -> None:
        if self._failure is None:
            broken = StorageUnavailable("the writing was broken off")
            self._failure = error if isinstance(error, RegistryError) else broken
        if self._sink is not None:
            self._sink.abort()
            self._sink = None
        self._held = []


async def read_segments(
    objects: Objects, names: Names, recent: Recent, segments: Sequence[Segment]
) -> AsyncIterator[bytes]:
    """The recorded bytes, in order: of each segment its first ``size`` bytes."""
    for segment in segments:
        kept = segment.content or recent.find(segment.name)
        if segment.content and len(segment.content) < segment.size:
            raise StorageUnavailable("a segment is shorter than recorded")
        if kept is not None and len(kept) >= segment.size:
            for at in range(0, segment.size, PIECE):
                yield kept[at : min(at + PIECE, segment.size)]
            continue
        place = names.segment(segment.name)
        async for piece in objects.read(place, 0, segment.size, etag=segment.etag):
            yield piece
