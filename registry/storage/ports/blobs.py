"""Bytes: the ports of a blob store and of the one who writes an upload."""

from collections.abc import AsyncIterator, Sequence
from typing import Protocol

from registry.oci.digest import Digest
from registry.storage.records import BlobRecord, Segment, StoredObject


class SegmentWriter(Protocol):
    """The one writer of an upload in one epoch."""

    async def write(self, *buffers: bytes) -> None:
        """Take *buffers* (some MiB in all at most) after all that was written before."""
        ...

    async def checkpoint(self) -> Segment | None:
        """What can be recorded now: all that was written since the last new segment began.

        None where nothing was. A later checkpoint either grows the same segment or is a new one.
        A segment that holds its own content lies nowhere else: it is the ledger that keeps it.
        """
        ...

    async def close(self) -> None:
        """Let go of what the writer holds; what is not in a checkpoint may be lost. Idempotent."""
        ...


class BlobStore(Protocol):
    """Bytes: blobs by object name, and the segments of uploads.

    A blob's life: its bytes come by one ``put``, or by ``writer`` segments that ``commit`` makes
    one; then ``read`` serves them, unchanged for ever, until ``delete``. Nothing of an upload is
    visible before. An object name is never used twice, so a late delete hits only a dead name.
    Any method may raise StorageUnavailable, and a writing one StorageFull; each names the others.
    """

    async def put(
        self, digest: Digest, size: int | None, chunks: AsyncIterator[bytes]
    ) -> BlobRecord:
        """Store *chunks* as one new object, durable when this answers.

        Raises DigestInvalid if they are not *digest*'s content and SizeInvalid if they are not
        *size* bytes (None: unknown); then nothing is stored, nor if *chunks* raises.
        """
        ...

    async def writer(self, upload: str, epoch: int, offset: int) -> SegmentWriter:
        """A writer of *upload* from byte *offset* on, of this *epoch* alone.

        Its first segment may be the last one of the epoch just before, grown, where that one's
        writer was closed and nothing came between.
        """
        ...

    def read_segments(self, segments: Sequence[Segment]) -> AsyncIterator[bytes]:
        """The recorded bytes, in order: of each segment its first ``size`` bytes."""
        ...

    async def commit(self, upload: str, segments: Sequence[Segment], digest: Digest) -> BlobRecord:
        """Make one object of *segments*, durable when this answers; *digest* names it only.

        The segments are used up, or the only one becomes the object where it lies: whoever commits
        the same upload once more then answers the same object. A repeat after a crash raises
        StorageUnavailable where they are gone.
        """
        ...

    async def discard(self, upload: str, kept: str = "") -> None:
        """Drop what is left of an upload that is over, except the object *kept*. Idempotent."""
        ...

    def read(self, blob: BlobRecord, start: int, stop: int) -> AsyncIterator[bytes]:
        """Bytes *start* (inclusive) to *stop* (exclusive), in pieces of 1 MiB at most.

        Raises StorageUnavailable at the first piece where the object is missing, and later where
        it ends short: never a short body that looks whole.
        """
        ...

    async def delete(self, object_name: str) -> None:
        """Remove an object. Idempotent: success means that it is not there."""
        ...

    def objects(self, digest: Digest | None = None) -> AsyncIterator[StoredObject]:
        """Every object that lies in the store, or every one of *digest*; the list may lag.

        What comes or goes meanwhile may be in it or not. What was an upload's segment is not: it
        lies among the uploads still.
        """
        ...

    async def lists(self, object_name: str) -> bool:
        """Whether the store has such an object in its list, which may lag."""
        ...

    def uploads(self) -> AsyncIterator[StoredObject]:
        """Uploads of which something lies in the store: id, bytes, when it was last written to."""
        ...

    async def sweep_aside(self, older_than: float) -> int:
        """Remove what broken puts left and nothing wrote to for *older_than* seconds; how many."""
        ...
