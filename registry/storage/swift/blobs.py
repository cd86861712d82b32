"""The store of bytes in Swift.

``<prefix>-blobs-<0-f>`` hold objects, ``sha256/<hex>/<uuid>``: whole, verified, never changed.
``<prefix>-uploads`` holds segments, ``<upload>/<epoch>/<offset>``, each written once; where one is
all of its upload, it becomes the object where it lies. No name is used twice, nothing is renamed,
nothing expires, and no listing is believed about what is asked for.
"""

import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from registry.oci.digest import Digest
from registry.storage.layout import (
    first_segment,
    is_object_name,
    is_upload_name,
    new_object_name,
)
from registry.storage.ports.blobs import SegmentWriter
from registry.storage.records import BlobRecord, Segment, StoredObject
from registry.storage.swift import tempurl
from registry.storage.swift.account import SwiftAccount
from registry.storage.swift.assembly import Assembly, Made
from registry.storage.swift.large import LargeObjects
from registry.storage.swift.layouts import SPLIT, Layouts
from registry.storage.swift.names import Names, Place, own_name
from registry.storage.swift.objects import Objects
from registry.storage.swift.segments import (
    HELD,
    Recent,
    SwiftSegmentWriter,
    places,
    read_segments,
)
from registry.storage.swift.verified import Verified

MIB: Final = 1024 * 1024
GIB: Final = 1024 * MIB
LARGEST: Final = 4 * GIB
"""Bytes of one plain object; Swift's own limit is 5 GiB."""
SEGMENTS: Final = (16 * MIB, GIB)
"""Bytes of the first and of the largest segments of a body that is larger, or of unknown size."""
REMEMBERED: Final = 600.0
"""Seconds for which a commit counts as this process's latest word on an upload: far less than the
hour for which a ledger knows finished sessions, after which others may clear up."""
COMMITS: Final = 4096
CLEARING: Final = 20.0
"""Seconds for what is still to be cleared up when the store is closed."""


@dataclass(slots=True)
class _Commit:
    """What this process made of an upload."""

    object: str
    made: Made
    places: tuple[Place, ...]
    """All its segments."""
    until: float
    """Of the monotonic clock."""
    is_retracted: bool = False


class SwiftBlobStore:
    """Objects and segments in *account*, in containers whose names begin with *prefix*."""

    def __init__(
        self, account: SwiftAccount, *, prefix: str = "berth", temp_url_key: str | None = None
    ) -> None:
        """*temp_url_key* signs redirects; None: the account's own, which it is asked for."""
        self._account = account
        self._names = Names(prefix)
        self._objects = Objects(account)
        self._large = LargeObjects(self._objects, self._names)
        self._recent = Recent()
        self._assembly = Assembly(self._objects, self._names, self._recent, self._large)
        self._commits: OrderedDict[str, _Commit] = OrderedDict()
        self._layouts = Layouts(account)
        self._key = tempurl.Key(account, temp_url_key)

    # -- writing --------------------------------------------------------------------------------

    async def put(
        self, digest: Digest, size: int | None, chunks: AsyncIterator[bytes]
    ) -> BlobRecord:
        name = new_object_name(digest)
        body = Verified(digest, size, chunks)
        if size is None or size > LARGEST:
            await self._put_segments(name, body)
        elif size > HELD:
            await self._put_stream(name, size, body)
        else:
            content = b"".join([buffer async for piece in body.pieces() for buffer in piece])
            await body.verify()
            await self._objects.put(self._names.object(name), content)
        return BlobRecord(digest, name, body.received)

    async def _put_stream(self, name: str, size: int, body: Verified) -> None:
        """In one pass: the last piece is held back until the digest is right.

        If it is not, the connection is dropped, and Swift never makes the object.
        """
        place = self._names.object(name)
        sink = self._objects.begin_early(place, size)
        try:
            held: list[bytes] = []
            async for piece in body.pieces():
                if held:
                    await sink.send(held)
                held = piece
            await body.verify()
            await sink.send(held)
        except BaseException:
            sink.abort()
            raise
        try:
            await sink.finish()
        except BaseException:
            self._objects.forget(place)
            raise

    async def _put_segments(self, name: str, body: Verified) -> None:
        """By segments that are this object's own, and that are dropped if the digest is wrong."""
        own = own_name(name)
        writer = SwiftSegmentWriter(self._objects, self._names, self._recent, f"{own}/{own}", 0)
        segments: list[Segment] = []
        enough, largest = SEGMENTS
        made: Made | None = None
        try:
            async for piece in body.pieces():
                await writer.write(*piece)
                if writer.size >= enough:
                    segments += filter(None, [await writer.checkpoint()])
                    enough = min(2 * enough, largest)
            await body.verify()
            segments += filter(None, [await writer.checkpoint()])
            made = await self._assembly.make(name, own, segments, owns=True)
        finally:
            await writer.close()
            self._recent.drop(own)
            self._objects.forget(*(places(self._names, segments) if made is None else made.spare))

    async def writer(self, upload: str, epoch: int, offset: int) -> SegmentWriter:
        self._names.upload(upload)
        prefix = f"{upload}/{epoch}"
        return SwiftSegmentWriter(self._objects, self._names, self._recent, prefix, offset)

    def read_segments(self, segments: Sequence[Segment]) -> AsyncIterator[bytes]:
        return read_segments(self._objects, self._names, self._recent, segments)

    async def commit(self, upload: str, segments: Sequence[Segment], digest: Digest) -> BlobRecord:
        self._names.upload(upload)
        name, made = await self._made(upload, segments, digest)
        until = time.monotonic() + REMEMBERED
        self._commits[upload] = _Commit(name, made, places(self._names, segments), until)
        if len(self._commits) > COMMITS:
            self._commits.popitem(last=False)
        return BlobRecord(digest, name, sum(segment.size for segment in segments))

    async def _made(
        self, upload: str, segments: Sequence[Segment], digest: Digest
    ) -> tuple[str, Made]:
        """The object that *segments* have become; it is spare until a ledger has taken it."""
        if len(segments) == 1 and await self._is_whole(upload, segments[0]):
            spare = places(self._names, segments)
            return segments[0].name, Made(is_large=False, spare=spare)
        name = new_object_name(digest)
        return name, await self._assembly.make(name, upload, segments)

    async def _is_whole(self, upload: str, segment: Segment) -> bool:
        """Whether *segment* is an object of its own, without a byte more than was recorded."""
        if segment.content or segment.name != first_segment(upload):
            return False
        if self._recent.is_confirmed(segment):
            return True
        head = await self._objects.head(self._names.segment(segment.name))
        return head is not None and (head.length, head.etag) == (segment.size, segment.etag)

    async def discard(self, upload: str, kept: str = "") -> None:
        # A large object may use the segments of what this process did not commit: ``used`` tells.
        self._names.upload(upload)
        self._recent.drop(upload)
        commit = self._commits.pop(upload, None)
        if commit is None or time.monotonic() > commit.until:
            used = self._names.used(upload)
            if await self._objects.get(used) is None:
                await self._drop_all(upload, kept)
            elif await self._lies_there(upload) == [used]:  # a mark of what is gone
                await self._objects.delete(used)
        elif commit.is_retracted:
            spare = [each for each in commit.places if each.name != kept]
            self._objects.forget(*spare, self._names.used(upload))
            self._objects.leftovers.add(self._drop_all(upload, kept))
        else:
            self._objects.forget(*(each for each in commit.made.spare if each.name != kept))
            if commit.made.is_large:
                self._objects.leftovers.add(self._large.own(commit.object, upload))

    async def _drop_all(self, upload: str, kept: str) -> None:
        """Drop all of an upload but the object *kept*; what a listing misses is for a sweep."""
        lying = await self._lies_there(upload)
        await self._objects.delete_all([each for each in lying if each.name != kept])

    async def _lies_there(self, upload: str) -> list[Place]:
        """What a listing tells of an upload."""
        container = self._names.uploads
        entries = self._objects.listing(container, prefix=self._names.upload(upload))
        return [Place(container, str(entry["name"])) async for entry in entries]

    # -- reading --------------------------------------------------------------------------------

    async def read(self, blob: BlobRecord, start: int, stop: int) -> AsyncIterator[bytes]:
        place = self._names.object(blob.object)
        whole = start == 0 and stop == blob.size
        if whole and blob.size >= SPLIT:
            pieces = self._layouts.read(place, blob.size)
        else:
            pieces = self._objects.read(place, start, stop, whole=whole)
        async for piece in pieces:
            yield piece

    async def redirect_url(self, blob: BlobRecord, seconds: int) -> str:
        """A TempURL: where anybody may GET the blob for so many *seconds*.

        Raises StorageUnavailable where the account has no key.
        """
        return await self._key.sign(self._names.object(blob.object), seconds)

    # -- deleting -------------------------------------------------------------------------------

    async def delete(self, object_name: str) -> None:
        await self._large.delete(object_name)
        for commit in self._commits.values():
            if commit.object == object_name:
                commit.is_retracted = True

    # -- listing --------------------------------------------------------------------------------

    async def objects(self, digest: Digest | None = None) -> AsyncIterator[StoredObject]:
        digits = "0123456789abcdef" if digest is None else digest.encoded[0]
        begins = "" if digest is None else f"{digest.algorithm}/{digest.encoded}/"
        for digit in digits:
            async for entry in self._objects.listing(self._names.blobs(digit), prefix=begins):
                name = str(entry.get("name"))
                if is_object_name(name):
                    yield StoredObject(name, int(entry["bytes"]), _moment(entry))

    async def lists(self, object_name: str) -> bool:
        place = self._names.object(object_name)
        entries = self._objects.listing(place.container, prefix=place.name)
        return place.name in [str(entry.get("name")) async for entry in entries]

    async def uploads(self) -> AsyncIterator[StoredObject]:
        upload, size, last, others, used = "", 0, 0.0, 0, False
        async for entry in self._objects.listing(self._names.uploads):  # by name
            owner, _, rest = str(entry.get("name")).partition("/")
            if owner != upload:
                if is_upload_name(upload) and not (used and others):
                    yield StoredObject(upload, size, last)
                upload, size, last, others, used = owner, 0, 0.0, 0, False
            last = max(last, _moment(entry))
            used |= rest == "used"  # the others are a large object's segments
            if rest != "used":
                others += 1
                size += int(entry["bytes"])
        if is_upload_name(upload) and not (used and others):
            yield StoredObject(upload, size, last)

    async def sweep_aside(self, older_than: float) -> int:
        del older_than  # Swift makes no object of a put that broke off
        return 0

    async def settle(self) -> None:
        """Answer once nothing more is cleared up in the background."""
        await self._objects.leftovers.settle()

    async def close(self) -> None:
        """Let the clearing up end, or give it up. The account stays open."""
        await self._objects.leftovers.settle(CLEARING)


def _moment(entry: Mapping[str, Any]) -> float:
    """When an entry of a listing was written: ``2026-01-31T12:00:00.123456``, in UTC."""
    return datetime.fromisoformat(str(entry["last_modified"])).replace(tzinfo=UTC).timestamp()
