"""Bytes in dicts: the model that every other blob store is compared with."""

import time
from collections.abc import AsyncIterator, Callable, Sequence

from registry.oci.digest import Digest
from registry.oci.errors import DigestInvalid, SizeInvalid, StorageUnavailable
from registry.storage.layout import new_object_name
from registry.storage.ports.blobs import SegmentWriter
from registry.storage.records import BlobRecord, Segment, StoredObject

PIECE = 1024 * 1024


class MemorySegmentWriter:
    """Appends to one bytearray."""

    def __init__(self, name: str, content: bytearray) -> None:
        self._name = name
        self._content = content
        self._closed = False

    async def write(self, *buffers: bytes) -> None:
        if self._closed:
            raise StorageUnavailable("the writer was closed")
        self._content += b"".join(buffers)

    async def checkpoint(self) -> Segment | None:
        return Segment(self._name, len(self._content)) if self._content else None

    async def close(self) -> None:
        self._closed = True


class MemoryBlobStore:
    """Objects and segments by name."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._objects: dict[str, bytes] = {}
        self._made: dict[str, float] = {}
        self._segments: dict[str, bytearray] = {}

    async def put(
        self, digest: Digest, size: int | None, chunks: AsyncIterator[bytes]
    ) -> BlobRecord:
        content = b"".join([chunk async for chunk in chunks])
        if size is not None and len(content) != size:
            raise SizeInvalid(f"{size} bytes were announced, and {len(content)} came")
        if Digest.of(content, digest.algorithm) != digest:
            raise DigestInvalid(f"the {len(content)} bytes that came are of another digest")
        return self._keep(digest, content)

    async def writer(self, upload: str, epoch: int, offset: int) -> SegmentWriter:
        name = f"{upload}/{epoch}-{offset}"
        if name in self._segments:
            raise StorageUnavailable("the segment is there already")
        content = self._segments[name] = bytearray()
        return MemorySegmentWriter(name, content)

    async def read_segments(self, segments: Sequence[Segment]) -> AsyncIterator[bytes]:
        for segment in segments:
            content = self._segment(segment)
            for start in range(0, len(content), PIECE):
                yield content[start : start + PIECE]

    async def commit(self, upload: str, segments: Sequence[Segment], digest: Digest) -> BlobRecord:
        del upload
        return self._keep(digest, b"".join(map(self._segment, segments)))

    async def discard(self, upload: str, kept: str = "") -> None:
        del kept  # no segment becomes an object
        for name in [name for name in self._segments if name.startswith(f"{upload}/")]:
            del self._segments[name]

    async def read(self, blob: BlobRecord, start: int, stop: int) -> AsyncIterator[bytes]:
        content = self._objects.get(blob.object)
        if content is None:
            raise StorageUnavailable("the object is missing")
        for at in range(start, min(stop, len(content)), PIECE):
            yield content[at : min(at + PIECE, stop)]
        if stop > len(content):
            raise StorageUnavailable("an object is shorter than recorded")

    async def delete(self, object_name: str) -> None:
        self._objects.pop(object_name, None)

    async def objects(self, digest: Digest | None = None) -> AsyncIterator[StoredObject]:
        begins = "" if digest is None else f"{digest.algorithm}/{digest.encoded}/"
        for name, content in list(self._objects.items()):
            if name.startswith(begins):
                yield StoredObject(name, len(content), self._made[name])

    async def lists(self, object_name: str) -> bool:
        return object_name in self._objects

    async def uploads(self) -> AsyncIterator[StoredObject]:
        sizes: dict[str, int] = {}
        for name, content in self._segments.items():
            upload = name.partition("/")[0]
            sizes[upload] = sizes.get(upload, 0) + len(content)
        for upload, size in sizes.items():
            yield StoredObject(upload, size, self._clock())

    async def sweep_aside(self, older_than: float) -> int:
        del older_than
        return 0

    def _keep(self, digest: Digest, content: bytes) -> BlobRecord:
        name = new_object_name(digest)
        self._objects[name] = content
        self._made[name] = self._clock()
        return BlobRecord(digest, name, len(content))

    def _segment(self, segment: Segment) -> bytes:
        content = self._segments.get(segment.name, b"")
        if len(content) < segment.size:
            raise StorageUnavailable("a segment is shorter than recorded")
        return bytes(content[: segment.size])
