"""What every BlobStore promises, sentence by sentence."""

import asyncio
import contextlib
import hashlib
import time
import uuid
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from registry.oci.digest import Digest
from registry.oci.errors import DigestInvalid, SizeInvalid, StorageUnavailable
from registry.storage.ports.blobs import BlobStore, SegmentWriter
from registry.storage.records import BlobRecord, Segment
from support.streams import Gone, broken, collect, stream

MIB = 1024 * 1024
HELLO = b"hello, world"
LARGE = b"".join(hashlib.sha256(bytes([n])).digest() * (MIB // 32) for n in range(5)) + HELLO


class BlobStoreContract:
    """Subclass, give the fixture ``blobs``, inherit the tests."""

    # -- put ------------------------------------------------------------------------------------

    @pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
    @pytest.mark.parametrize("content", [b"", HELLO, LARGE])
    async def test_what_was_put_is_read_back(
        self, blobs: BlobStore, content: bytes, algorithm: str
    ) -> None:
        digest = Digest.of(content, algorithm)
        blob = await blobs.put(digest, len(content), stream(content))
        assert (blob.digest, blob.size) == (digest, len(content))
        assert await read(blobs, blob) == content

    async def test_the_size_may_be_unknown(self, blobs: BlobStore) -> None:
        blob = await blobs.put(Digest.of(LARGE), None, stream(LARGE[:MIB], LARGE[MIB:]))
        assert await read(blobs, blob) == LARGE

    async def test_chunks_may_be_of_any_length(self, blobs: BlobStore) -> None:
        chunks = [LARGE[at : at + 1] for at in range(3000)] + [b"", LARGE[3000:], b""]
        blob = await blobs.put(Digest.of(LARGE), len(LARGE), stream(*chunks))
        assert await read(blobs, blob) == LARGE

    async def test_content_of_another_digest_is_refused(self, blobs: BlobStore) -> None:
        with pytest.raises(DigestInvalid):
            await blobs.put(Digest.of(b"other"), len(HELLO), stream(HELLO))

    async def test_fewer_bytes_than_announced_are_refused(self, blobs: BlobStore) -> None:
        with pytest.raises(SizeInvalid):
            await blobs.put(Digest.of(HELLO), len(HELLO) + 1, stream(HELLO))

    async def test_more_bytes_than_announced_are_refused(self, blobs: BlobStore) -> None:
        with pytest.raises(SizeInvalid):
            await blobs.put(Digest.of(LARGE[:MIB]), MIB, stream(LARGE[:MIB], LARGE[MIB:]))

    async def test_an_error_of_the_sender_passes_through(self, blobs: BlobStore) -> None:
        with pytest.raises(Gone):
            await blobs.put(Digest.of(LARGE), len(LARGE), broken(LARGE[:MIB], LARGE[MIB:]))

    async def test_an_os_error_of_the_sender_is_not_the_stores(self, blobs: BlobStore) -> None:
        async def reset() -> AsyncIterator[bytes]:
            yield HELLO
            raise ConnectionResetError

        with pytest.raises(ConnectionResetError):
            await blobs.put(Digest.of(HELLO), None, reset())

    async def test_a_put_can_be_cancelled(self, blobs: BlobStore) -> None:
        async def stalled() -> AsyncIterator[bytes]:
            yield LARGE
            await asyncio.sleep(60)

        task = asyncio.create_task(blobs.put(Digest.of(LARGE), len(LARGE), stalled()))
        await asyncio.sleep(0.02)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    async def test_no_object_name_is_used_twice(self, blobs: BlobStore) -> None:
        digest = Digest.of(HELLO)
        names = {(await blobs.put(digest, None, stream(HELLO))).object for _ in range(3)}
        assert len(names) == 3

    async def test_many_puts_at_once_do_not_mix(self, blobs: BlobStore) -> None:
        contents = [bytes([n]) * (MIB + n) for n in range(8)]
        stored = await asyncio.gather(
            *(blobs.put(Digest.of(c), len(c), stream(c[:70_000], c[70_000:])) for c in contents)
        )
        for content, blob in zip(contents, stored, strict=True):
            assert await read(blobs, blob) == content

    # -- read -----------------------------------------------------------------------------------

    @pytest.mark.parametrize(
        ("start", "stop"),
        [(0, 0), (0, 1), (0, len(LARGE)), (MIB - 1, MIB + 1), (3 * MIB, len(LARGE)), (7, 7)],
    )
    async def test_a_range_is_read_exactly(self, blobs: BlobStore, start: int, stop: int) -> None:
        blob = await blobs.put(Digest.of(LARGE), None, stream(LARGE))
        assert await collect(blobs.read(blob, start, stop)) == LARGE[start:stop]

    async def test_no_piece_is_empty_or_larger_than_a_mebibyte(self, blobs: BlobStore) -> None:
        blob = await blobs.put(Digest.of(LARGE), None, stream(LARGE))
        sizes = [len(piece) async for piece in blobs.read(blob, 0, blob.size)]
        assert all(0 < size <= MIB for size in sizes)

    async def test_a_missing_object_is_unavailable_at_the_first_piece(
        self, blobs: BlobStore
    ) -> None:
        blob = await blobs.put(Digest.of(HELLO), None, stream(HELLO))
        await blobs.delete(blob.object)
        with pytest.raises(StorageUnavailable):
            await anext(blobs.read(blob, 0, 1))

    async def test_a_short_object_is_never_a_short_body(self, blobs: BlobStore) -> None:
        blob = await blobs.put(Digest.of(LARGE), None, stream(LARGE))
        longer = BlobRecord(blob.digest, blob.object, blob.size + 1)
        with pytest.raises(StorageUnavailable):
            await read(blobs, longer)

    async def test_a_reading_may_be_broken_off(self, blobs: BlobStore) -> None:
        blob = await blobs.put(Digest.of(LARGE), None, stream(LARGE))
        pieces = blobs.read(blob, 0, blob.size)
        assert LARGE.startswith(await anext(pieces))
        await pieces.aclose()  # type: ignore[attr-defined]
        assert await read(blobs, blob) == LARGE

    # -- delete ---------------------------------------------------------------------------------

    async def test_delete_is_idempotent(self, blobs: BlobStore) -> None:
        blob = await blobs.put(Digest.of(HELLO), None, stream(HELLO))
        await blobs.delete(blob.object)
        await blobs.delete(blob.object)

    async def test_a_delete_leaves_other_objects_of_the_digest(self, blobs: BlobStore) -> None:
        dead, alive = [await blobs.put(Digest.of(HELLO), None, stream(HELLO)) for _ in range(2)]
        await blobs.delete(dead.object)
        assert await read(blobs, alive) == HELLO

    async def test_puts_and_deletes_of_one_digest_at_once_do_not_meet(
        self, blobs: BlobStore
    ) -> None:
        async def put_and_delete() -> None:
            for _ in range(20):
                blob = await blobs.put(Digest.of(HELLO), None, stream(HELLO))
                assert await read(blobs, blob) == HELLO
                await blobs.delete(blob.object)

        await asyncio.gather(*(put_and_delete() for _ in range(4)))

    # -- listing --------------------------------------------------------------------------------

    async def test_objects_are_listed_until_they_are_deleted(self, blobs: BlobStore) -> None:
        assert [each async for each in blobs.objects()] == []
        kept = [await blobs.put(Digest.of(HELLO), None, stream(HELLO)) for _ in range(2)]
        kept.append(await blobs.put(Digest.of(LARGE, "sha512"), None, stream(LARGE)))
        gone = await blobs.put(Digest.of(b"gone"), None, stream(b"gone"))
        await blobs.delete(gone.object)
        listed = [each async for each in blobs.objects()]
        assert {each.name: each.size for each in listed} == {
            each.object: each.size for each in kept
        }
        assert all(abs(each.made_at - time.time()) < 600 for each in listed)
        of_hello = [each.name async for each in blobs.objects(Digest.of(HELLO))]
        assert sorted(of_hello) == sorted(each.object for each in kept[:2])
        assert [each async for each in blobs.objects(Digest.of(b"nobody's"))] == []

    async def test_uploads_are_listed_until_they_are_discarded(self, blobs: BlobStore) -> None:
        assert [each async for each in blobs.uploads()] == []
        names = [new_upload(), new_upload()]
        for upload in names:
            await write(blobs, upload, 1, 0, LARGE)
        listed = [each async for each in blobs.uploads()]
        assert {each.name: each.size for each in listed} == dict.fromkeys(names, len(LARGE))
        assert all(abs(each.made_at - time.time()) < 600 for each in listed)
        for upload in names:
            await blobs.discard(upload)
        assert [each async for each in blobs.uploads()] == []

    # -- segments -------------------------------------------------------------------------------

    async def test_a_new_writer_has_nothing_to_record(self, blobs: BlobStore) -> None:
        writer = await blobs.writer(new_upload(), 1, 0)
        assert await writer.checkpoint() is None
        await writer.close()

    async def test_a_checkpoint_counts_all_that_was_written(self, blobs: BlobStore) -> None:
        upload = new_upload()
        segments = await write(blobs, upload, 1, 0, LARGE[:MIB], LARGE[MIB:])
        assert sum(segment.size for segment in segments) == len(LARGE)
        assert await collect(blobs.read_segments(segments)) == LARGE

    async def test_a_later_checkpoint_grows_the_segment_or_is_a_new_one(
        self, blobs: BlobStore
    ) -> None:
        writer = await blobs.writer(new_upload(), 1, 0)
        segments: list[Segment] = []
        for start in (0, MIB, 2 * MIB):
            await writer.write(LARGE[start : start + MIB])
            segment = await writer.checkpoint()
            assert segment is not None
            recorded(segments, segment)
            assert await collect(blobs.read_segments(segments)) == LARGE[: start + MIB]
        await writer.close()

    async def test_buffers_are_written_one_after_the_other(self, blobs: BlobStore) -> None:
        upload = new_upload()
        writer = await blobs.writer(upload, 1, 0)
        await writer.write(LARGE[:MIB], b"", LARGE[MIB : MIB + 1], LARGE[MIB + 1 :])
        await writer.write()
        await writer.write(b"")
        segment = await writer.checkpoint()
        await writer.close()
        assert segment is not None
        assert segment.size == len(LARGE)
        assert await collect(blobs.read_segments([segment])) == LARGE

    async def test_closing_twice_is_closing_once(self, blobs: BlobStore) -> None:
        writer = await blobs.writer(new_upload(), 1, 0)
        await writer.close()
        await writer.close()

    async def test_only_the_recorded_bytes_of_a_segment_are_read(self, blobs: BlobStore) -> None:
        (segment,) = await write(blobs, new_upload(), 1, 0, HELLO)
        shorter = replace(segment, size=5)
        assert await collect(blobs.read_segments([shorter])) == HELLO[:5]

    async def test_a_segment_shorter_than_recorded_is_unavailable(self, blobs: BlobStore) -> None:
        upload = new_upload()
        (segment,) = await write(blobs, upload, 1, 0, HELLO)
        longer = replace(segment, size=len(HELLO) + 1)
        with pytest.raises(StorageUnavailable):
            await collect(blobs.read_segments([longer]))
        for segments in ([longer], [longer, segment]):
            with pytest.raises(StorageUnavailable):
                await blobs.commit(upload, segments, Digest.of(HELLO))

    # -- commit ---------------------------------------------------------------------------------

    async def test_one_segment_becomes_an_object(self, blobs: BlobStore) -> None:
        upload = new_upload()
        segments = await write(blobs, upload, 1, 0, LARGE)
        blob = await blobs.commit(upload, segments, Digest.of(LARGE))
        assert (blob.digest, blob.size) == (Digest.of(LARGE), len(LARGE))
        assert await read(blobs, blob) == LARGE

    async def test_several_segments_become_one_object(self, blobs: BlobStore) -> None:
        upload = new_upload()
        segments = [
            *await write(blobs, upload, 1, 0, LARGE[:MIB]),
            *await write(blobs, upload, 3, MIB, LARGE[MIB : MIB + 3]),
            *await write(blobs, upload, 5, MIB + 3, LARGE[MIB + 3 :]),
        ]
        assert await collect(blobs.read_segments(segments)) == LARGE
        blob = await blobs.commit(upload, segments, Digest.of(LARGE))
        assert blob.size == len(LARGE)
        assert await read(blobs, blob) == LARGE

    async def test_an_epoch_right_after_another_may_grow_its_segment(
        self, blobs: BlobStore
    ) -> None:
        upload = new_upload()
        segments: list[Segment] = []
        for epoch, (start, stop) in enumerate([(0, MIB), (MIB, MIB + 3), (MIB + 3, None)], 1):
            for segment in await write(blobs, upload, epoch, start, LARGE[start:stop]):
                recorded(segments, segment)
        assert sum(each.size for each in segments) == len(LARGE)
        blob = await blobs.commit(upload, segments, Digest.of(LARGE))
        assert await read(blobs, blob) == LARGE

    async def test_an_upload_of_nothing_becomes_an_empty_object(self, blobs: BlobStore) -> None:
        blob = await blobs.commit(new_upload(), [], Digest.of(b""))
        assert await read(blobs, blob) == b""

    async def test_what_was_not_recorded_does_not_count(self, blobs: BlobStore) -> None:
        upload = new_upload()
        (first,) = await write(blobs, upload, 1, 0, HELLO + b"lost")
        first = replace(first, size=len(HELLO))
        (second,) = await write(blobs, upload, 2, len(HELLO), b"!")
        for segments, content in (([first, second], HELLO + b"!"), ([first], HELLO)):
            blob = await blobs.commit(upload, segments, Digest.of(content))
            assert await read(blobs, blob) == content

    async def test_a_writer_of_an_older_epoch_that_wakes_changes_nothing(
        self, blobs: BlobStore
    ) -> None:
        upload = new_upload()
        old = await blobs.writer(upload, 1, 0)
        await old.write(HELLO)
        first = await old.checkpoint()
        assert first is not None
        segments = [first, *await write(blobs, upload, 2, len(HELLO), b"!")]
        await try_write(old, b"late")
        blob = await blobs.commit(upload, segments, Digest.of(HELLO + b"!"))
        await try_write(old, b"later")
        await old.close()
        assert await read(blobs, blob) == HELLO + b"!"

    async def test_a_writer_that_was_never_closed_cannot_reach_the_object(
        self, blobs: BlobStore
    ) -> None:
        upload = new_upload()
        old = await blobs.writer(upload, 1, 0)
        await old.write(HELLO)
        segment = await old.checkpoint()
        assert segment is not None
        blob = await blobs.commit(upload, [segment], Digest.of(HELLO))
        await try_write(old, b"late")
        await old.close()
        assert await read(blobs, blob) == HELLO
        with pytest.raises(StorageUnavailable):
            await read(blobs, BlobRecord(blob.digest, blob.object, blob.size + 1))

    async def test_commit_after_a_crash_is_repeated_or_says_that_it_cannot(
        self, blobs: BlobStore
    ) -> None:
        upload = new_upload()
        segments = await write(blobs, upload, 1, 0, HELLO)
        first = await blobs.commit(upload, segments, Digest.of(HELLO))
        try:
            second = await blobs.commit(upload, segments, Digest.of(HELLO))
        except StorageUnavailable:
            return
        if first.object != second.object:
            await blobs.delete(first.object)
        assert await read(blobs, second) == HELLO
        await blobs.discard(upload, second.object)
        assert await read(blobs, second) == HELLO

    # -- discard --------------------------------------------------------------------------------

    async def test_discard_drops_the_segments_and_is_idempotent(self, blobs: BlobStore) -> None:
        upload = new_upload()
        segments = await write(blobs, upload, 1, 0, LARGE)
        await blobs.discard(upload)
        await blobs.discard(upload)
        with pytest.raises(StorageUnavailable):
            await collect(blobs.read_segments(segments))

    async def test_discard_leaves_the_committed_object_and_other_uploads(
        self, blobs: BlobStore
    ) -> None:
        upload, other = new_upload(), new_upload()
        blob = await blobs.commit(upload, await write(blobs, upload, 1, 0, HELLO), Digest.of(HELLO))
        segments = await write(blobs, other, 1, 0, LARGE)
        await blobs.discard(upload, blob.object)
        assert await read(blobs, blob) == HELLO
        assert await collect(blobs.read_segments(segments)) == LARGE

    async def test_discard_drops_an_object_of_its_segments_that_is_not_kept(
        self, blobs: BlobStore
    ) -> None:
        """As where an upload is cancelled that was about to be closed."""
        upload = new_upload()
        segments = await write(blobs, upload, 1, 0, LARGE)
        blob = await blobs.commit(upload, segments, Digest.of(LARGE))
        await blobs.discard(upload)
        await blobs.delete(blob.object)
        with pytest.raises(StorageUnavailable):
            await read(blobs, blob)
        with pytest.raises(StorageUnavailable):
            await collect(blobs.read_segments(segments))

    async def test_an_object_is_listed_by_its_name_until_it_is_deleted(
        self, blobs: BlobStore
    ) -> None:
        upload = new_upload()
        segments = await write(blobs, upload, 1, 0, LARGE)
        for blob in (
            await blobs.put(Digest.of(HELLO), len(HELLO), stream(HELLO)),
            await blobs.commit(upload, segments, Digest.of(LARGE)),
        ):
            assert await blobs.lists(blob.object)
            await blobs.delete(blob.object)
            assert not await blobs.lists(blob.object)


def new_upload() -> str:
    return str(uuid.uuid4())


async def read(blobs: BlobStore, blob: BlobRecord) -> bytes:
    return await collect(blobs.read(blob, 0, blob.size))


async def write(
    blobs: BlobStore, upload: str, epoch: int, offset: int, *pieces: bytes
) -> list[Segment]:
    writer = await blobs.writer(upload, epoch, offset)
    segments: list[Segment] = []
    for piece in pieces:
        await writer.write(piece)
        segment = await writer.checkpoint()
        assert segment is not None
        recorded(segments, segment)
    await writer.close()
    return segments


def recorded(segments: list[Segment], segment: Segment) -> None:
    """As the ledger does it."""
    if segments and segments[-1].name == segment.name:
        segments.pop()
    segments.append(segment)


async def try_write(writer: SegmentWriter, data: bytes) -> None:
    with contextlib.suppress(StorageUnavailable):
        await writer.write(data)
