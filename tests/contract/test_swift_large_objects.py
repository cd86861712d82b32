"""Large objects in Swift: what they are made of, whose their segments are, how they are read."""

import itertools

import pytest

from contract.blob_store_contract import LARGE, MIB, new_upload, read, write
from registry.oci.digest import Digest
from registry.oci.errors import StorageUnavailable
from registry.storage.records import BlobRecord, Segment
from registry.storage.swift import SwiftAccount, SwiftBlobStore, large
from registry.storage.swift.names import Names
from registry.storage.swift.objects import Objects
from support.faultproxy import FaultProxy
from support.streams import collect, stream
from support.swift import LARGER, blobs_of, lies_in, md5, push


async def test_large_segments_become_a_static_large_object(
    store: SwiftBlobStore, account: SwiftAccount, prefix: str
) -> None:
    upload, segments = await push(store, LARGER)
    assert [segment.etag for segment in segments] == [
        md5(LARGER[: 5 * MIB]),
        md5(LARGER[5 * MIB :]),
    ]
    assert [segment.name for segment in segments] == [f"{upload}/1/0", f"{upload}/2/{5 * MIB}"]
    blob = await store.commit(upload, segments, Digest.of(LARGER))
    head = await Objects(account).head(Names(prefix).object(blob.object))
    assert head is not None
    assert head.is_large
    assert head.etag == md5("".join(segment.etag for segment in segments).encode())
    await store.discard(upload)
    await store.settle()
    assert await read(store, blob) == LARGER
    assert (
        await collect(store.read(blob, 5 * MIB - 1, 5 * MIB + 1))
        == LARGER[5 * MIB - 1 : 5 * MIB + 1]
    )


async def test_delete_takes_a_large_objects_segments_with_it(
    store: SwiftBlobStore, other: SwiftBlobStore, account: SwiftAccount, prefix: str
) -> None:
    upload, segments = await push(store, LARGER)
    blob = await store.commit(upload, segments, Digest.of(LARGER))
    await store.discard(upload)
    await store.settle()
    await other.delete(blob.object)
    await other.delete(blob.object)
    await other.settle()
    assert not any((await lies_in(account, prefix)).values())


async def test_of_two_large_objects_of_an_upload_one_is_retracted_and_the_other_whole(
    store: SwiftBlobStore, other: SwiftBlobStore
) -> None:
    """As where a paused process wakes after another one took its upload over and closed it."""
    upload, segments = await push(store, LARGER)
    late = await store.commit(upload, segments, Digest.of(LARGER))
    blob = await other.commit(upload, segments, Digest.of(LARGER))
    await other.discard(upload)
    await other.settle()
    await store.delete(late.object)
    await store.settle()
    assert await read(store, blob) == LARGER
    with pytest.raises(StorageUnavailable):
        await read(store, late)


async def test_a_large_object_that_nobody_needed_goes_with_its_segments(
    store: SwiftBlobStore, account: SwiftAccount, prefix: str
) -> None:
    """As where the digest was there already."""
    upload, segments = await push(store, LARGER)
    blob = await store.commit(upload, segments, Digest.of(LARGER))
    await store.delete(blob.object)
    await store.discard(upload)
    await store.settle()
    assert not any((await lies_in(account, prefix)).values())


async def test_who_did_not_commit_an_upload_cannot_take_a_large_objects_segments(
    store: SwiftBlobStore, other: SwiftBlobStore
) -> None:
    upload, segments = await push(store, LARGER)
    blob = await store.commit(upload, segments, Digest.of(LARGER))
    await other.discard(upload)
    assert await read(store, blob) == LARGER


async def test_whoever_is_asked_discards_an_upload_that_nobody_committed(
    store: SwiftBlobStore, other: SwiftBlobStore, account: SwiftAccount, prefix: str
) -> None:
    upload, _ = await push(store, LARGER)
    await push(other, LARGE[:MIB], count=1)
    await other.discard(upload)
    (left,) = (await lies_in(account, prefix))["uploads"]
    assert not left.startswith(upload)


async def test_many_small_segments_become_one_plain_object(
    store: SwiftBlobStore, other: SwiftBlobStore, account: SwiftAccount, prefix: str
) -> None:
    """Swift would read them at one a second."""
    content = LARGE[: 9 * MIB // 2] * 2
    upload, segments = await push(store, content, count=18)
    blob = await other.commit(upload, segments, Digest.of(content))
    head = await Objects(account).head(Names(prefix).object(blob.object))
    assert head is not None
    assert not head.is_large
    assert await read(other, blob) == content
    await other.discard(upload)
    await other.settle()
    found = await lies_in(account, prefix)
    assert found["uploads"] == []
    assert found[f"blobs-{blob.digest.encoded[0]}"] == [blob.object]


async def test_small_segments_between_large_ones_are_merged_into_parts_of_the_objects_own(
    store: SwiftBlobStore, other: SwiftBlobStore, account: SwiftAccount, prefix: str
) -> None:
    upload = new_upload()
    content = LARGE[:MIB] * 12
    cuts = [0, 2 * MIB, *(2 * MIB + 1000 * n for n in range(1, 11)), 7 * MIB, len(content)]
    segments: list[Segment] = []
    for epoch, (start, stop) in enumerate(itertools.pairwise(cuts), 1):
        segments += await write(store, upload, epoch, start, content[start:stop])
    blob = await store.commit(upload, segments, Digest.of(content))
    uploads = (await lies_in(account, prefix))["uploads"]
    assert sum(blob.object.rpartition("/")[2] in name for name in uploads) == 1
    assert await read(store, blob) == content
    retracted = await other.commit(upload, segments, Digest.of(content))
    await other.delete(retracted.object)
    await store.discard(upload)
    await store.settle()
    assert await read(store, blob) == content
    await store.delete(blob.object)
    await store.settle()
    assert not any((await lies_in(account, prefix)).values())


async def test_more_segments_than_a_manifest_takes_are_nested(
    store: SwiftBlobStore,
    account: SwiftAccount,
    prefix: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(large, "MOST", 3)
    content = LARGE[:MIB] * 11
    upload, segments = await push(store, content, count=11)
    blob = await store.commit(upload, segments, Digest.of(content))
    retracted = await store.commit(upload, segments, Digest.of(content))
    await store.delete(retracted.object)
    for start, stop in ((0, len(content)), (2 * MIB + 5, 9 * MIB - 5)):
        assert await collect(store.read(blob, start, stop)) == content[start:stop]
    commit = store._commits[upload]
    commit.object, commit.is_retracted = blob.object, False
    await store.discard(upload)
    await store.settle()
    await store.delete(blob.object)
    await store.settle()
    assert not any((await lies_in(account, prefix)).values())


async def test_a_commit_says_if_a_segment_is_not_the_one_that_was_recorded(
    store: SwiftBlobStore, account: SwiftAccount, prefix: str
) -> None:
    upload, segments = await push(store, LARGER)
    other = Segment(segments[0].name, segments[0].size, md5(b"other"))
    shorter = Segment(segments[0].name, segments[0].size - 1, segments[0].etag)
    for first in (other, shorter, Segment(segments[0].name, segments[0].size)):
        with pytest.raises(StorageUnavailable):
            await store.commit(upload, [first, segments[1]], Digest.of(LARGER))
    await store.settle()
    assert not (await lies_in(account, prefix)).get(f"blobs-{Digest.of(LARGER).encoded[0]}")


async def test_a_whole_large_object_is_read_segment_by_segment_again_and_again(
    store: SwiftBlobStore, other: SwiftBlobStore
) -> None:
    content = LARGE[:MIB] * 40
    upload, segments = await push(store, content)
    blob = await store.commit(upload, segments, Digest.of(content))
    plain = await store.put(Digest.of(content), len(content), stream(content))
    for each in (blob, plain):
        for reader in (store, store, other):
            assert await read(reader, each) == content
        with pytest.raises(StorageUnavailable):
            await read(other, BlobRecord(each.digest, each.object, each.size - 1))


async def test_the_mark_of_an_upload_goes_once_nothing_else_is_left_of_it(
    store: SwiftBlobStore, other: SwiftBlobStore, account: SwiftAccount, prefix: str
) -> None:
    upload, segments = await push(store, LARGER)
    blob = await store.commit(upload, segments, Digest.of(LARGER))
    await store.discard(upload)
    await store.settle()
    assert [each async for each in other.uploads()] == []
    await other.discard(upload)
    assert await read(other, blob) == LARGER
    await store.delete(blob.object)
    await store.settle()
    await Objects(account).put(Names(prefix).used(upload), b"its deletion was lost")
    assert [each.name async for each in other.uploads()] == [upload]
    await other.discard(upload)
    assert not any((await lies_in(account, prefix)).values())


# -- an upload of one segment ---------------------------------------------------------------------


async def test_an_upload_of_one_segment_is_closed_without_a_request(
    behind: SwiftAccount,
    other: SwiftBlobStore,
    proxy: FaultProxy,
    account: SwiftAccount,
    prefix: str,
) -> None:
    async with blobs_of(behind, prefix) as store:
        upload, segments = await push(store, LARGER, count=1)
        proxy.requests.clear()
        blob = await store.commit(upload, segments, Digest.of(LARGER))
        await store.discard(upload, blob.object)
        await store.settle()
        assert proxy.requests == []
    assert await read(other, blob) == LARGER
    assert await lies_in(account, prefix) == {"uploads": [blob.object]}
    await other.delete(blob.object)
    assert not any((await lies_in(account, prefix)).values())


async def test_another_process_looks_first_whether_the_segment_is_there(
    store: SwiftBlobStore, other: SwiftBlobStore, account: SwiftAccount, prefix: str
) -> None:
    upload, segments = await push(store, LARGER, count=1)
    blob = await other.commit(upload, segments, Digest.of(LARGER))
    assert blob.object == segments[0].name
    await Objects(account).delete(Names(prefix).object(blob.object))
    for closer in (other, SwiftBlobStore(account, prefix=prefix)):
        with pytest.raises(StorageUnavailable):
            await closer.commit(upload, segments, Digest.of(LARGER))


async def test_a_commit_that_is_forgotten_by_the_time_of_its_discard_keeps_its_object(
    store: SwiftBlobStore,
) -> None:
    """As where the ledger took ten minutes to take it."""
    upload, segments = await push(store, LARGER, count=1)
    blob = await store.commit(upload, segments, Digest.of(LARGER))
    store._commits.clear()
    await store.discard(upload, blob.object)
    assert await read(store, blob) == LARGER


async def test_what_a_later_epoch_wrote_is_made_an_object_of_its_own(
    store: SwiftBlobStore, account: SwiftAccount, prefix: str
) -> None:
    upload = new_upload()
    segments = await write(store, upload, 2, 0, LARGER)
    blob = await store.commit(upload, segments, Digest.of(LARGER))
    await store.discard(upload, blob.object)
    await store.settle()
    head = await Objects(account).head(Names(prefix).object(blob.object))
    assert head is not None
    assert head.is_large
    assert await read(store, blob) == LARGER
