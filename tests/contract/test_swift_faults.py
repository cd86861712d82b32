"""Blobs in Swift while Swift, Keystone or the network between fail."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest

from contract.blob_store_contract import HELLO, LARGE, MIB, new_upload, read
from registry.oci.digest import Digest
from registry.oci.errors import StorageFull, StorageUnavailable
from registry.storage.records import BlobRecord
from registry.storage.swift import SwiftAccount, SwiftBlobStore
from registry.storage.swift.sink import AHEAD
from support.faultproxy import FaultProxy
from support.openstack import OpenStack
from support.streams import collect, stream
from support.swift import LARGER, blobs_of, lies_in, push, service_session

TWENTY = LARGE[:MIB] * 20


@pytest.fixture
async def store(behind: SwiftAccount, prefix: str) -> AsyncIterator[SwiftBlobStore]:
    async with blobs_of(behind, prefix) as store:
        yield store


async def put(store: SwiftBlobStore, content: bytes) -> BlobRecord:
    return await store.put(Digest.of(content), len(content), stream(content))


# -- writing --------------------------------------------------------------------------------------

PASSING: list[dict[str, Any]] = [
    {"status": 503},
    {"status": 500},
    {"refuses": True},
    {"loses_answer": True},
    {"cuts_request": 60},
]


@pytest.mark.parametrize("fault", PASSING, ids=str)
async def test_a_small_object_is_sent_again(
    store: SwiftBlobStore, proxy: FaultProxy, fault: Mapping[str, Any]
) -> None:
    await put(store, HELLO)
    proxy.spoil("^PUT", times=2, **fault)
    assert await read(store, await put(store, HELLO)) == HELLO


async def test_what_comes_while_an_object_is_begun_is_held_but_never_much_of_it(
    store: SwiftBlobStore, proxy: FaultProxy, account: SwiftAccount, prefix: str
) -> None:
    taken = 0
    held = asyncio.Event()

    async def body() -> AsyncIterator[bytes]:
        nonlocal taken
        for at in range(0, len(TWENTY), MIB):
            taken += MIB
            if taken > 2 * MIB:  # it comes though Swift has not said a word
                held.set()
            yield TWENTY[at : at + MIB]

    proxy.spoil("^PUT", times=100, hangs=True)
    putting = asyncio.create_task(store.put(Digest.of(TWENTY), len(TWENTY), body()))
    async with asyncio.timeout(30):
        await held.wait()
        await asyncio.sleep(0.3)
    assert taken <= AHEAD + 5 * MIB
    putting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await putting
    proxy.rules.clear()
    assert not (await lies_in(account, prefix)).get(f"blobs-{Digest.of(TWENTY).encoded[0]}")
    assert await read(store, await put(store, TWENTY)) == TWENTY


@pytest.mark.parametrize("fault", PASSING[:3], ids=str)
async def test_a_stream_is_begun_again_before_its_first_byte(
    store: SwiftBlobStore, proxy: FaultProxy, fault: Mapping[str, Any]
) -> None:
    proxy.spoil("^PUT", times=2, **fault)
    assert await read(store, await put(store, LARGE)) == LARGE


@pytest.mark.parametrize("fault", [{"loses_answer": True}, {"cuts_request": MIB}], ids=str)
async def test_of_a_stream_that_broke_nothing_is_left(
    store: SwiftBlobStore,
    account: SwiftAccount,
    prefix: str,
    proxy: FaultProxy,
    fault: Mapping[str, Any],
) -> None:
    await put(store, LARGE)
    proxy.spoil("^PUT", **fault)
    with pytest.raises(StorageUnavailable):
        await put(store, LARGE)
    await asyncio.sleep(0.1)
    await store.settle()
    assert sum(map(len, (await lies_in(account, prefix)).values())) == 1


@pytest.mark.parametrize("content", [HELLO, LARGE], ids=["small", "large"])
async def test_an_etag_that_is_not_the_contents_is_noticed(
    store: SwiftBlobStore, proxy: FaultProxy, content: bytes
) -> None:
    await put(store, content)
    proxy.spoil("^PUT .*sha256", header=(b"etag", b"0" * 32))
    with pytest.raises(StorageUnavailable, match="not what was sent"):
        await put(store, content)


@pytest.mark.parametrize("content", [HELLO, LARGE], ids=["small", "large"])
@pytest.mark.parametrize("status", [413, 507])
async def test_no_room_is_told_at_once(
    store: SwiftBlobStore, proxy: FaultProxy, content: bytes, status: int
) -> None:
    proxy.spoil("^PUT", status=status)
    with pytest.raises(StorageFull):
        await put(store, content)
    assert len(proxy.requests) == 1


async def test_what_does_not_pass_is_told_without_secrets(
    store: SwiftBlobStore, behind: SwiftAccount, proxy: FaultProxy
) -> None:
    proxy.spoil("^PUT", times=100, status=503)
    with pytest.raises(StorageUnavailable, match="503") as caught:
        await put(store, HELLO)
    assert len(proxy.requests) == 4
    words = f"{caught.value} {caught.value.__cause__} {caught.value.__context__}"
    assert await behind._credentials.token() not in words
    assert "127.0.0.1" not in words


async def test_silence_is_not_waited_for_without_end(
    openstack: OpenStack, proxy: FaultProxy
) -> None:
    account = SwiftAccount(service_session(openstack), endpoint=proxy.url, seconds=0.3)
    async with blobs_of(account) as store:
        proxy.spoil("^PUT", times=100, hangs=True)
        for content in (HELLO, LARGE):
            with pytest.raises(StorageUnavailable, match="in time"):
                await asyncio.wait_for(put(store, content), 20)
    await account.close()


async def test_every_connection_in_use_is_told(openstack: OpenStack) -> None:
    session = service_session(openstack)
    account = SwiftAccount(session, connections=1, seconds=0.5)
    async with blobs_of(account) as store:
        blob = await put(store, TWENTY)
        pieces = store.read(blob, 0, blob.size)
        await anext(pieces)
        await anext(pieces)
        with pytest.raises(StorageUnavailable, match="in use"):
            await put(store, HELLO)
        await pieces.aclose()  # type: ignore[attr-defined]
        await put(store, HELLO)
    await account.close()


# -- segments -------------------------------------------------------------------------------------


@pytest.mark.parametrize("pieces", [1, 4], ids=["held", "streamed"])
async def test_a_segment_that_broke_is_never_recorded(
    store: SwiftBlobStore,
    account: SwiftAccount,
    prefix: str,
    proxy: FaultProxy,
    pieces: int,
) -> None:
    upload, segments = await push(store, LARGE[:MIB], count=1)
    proxy.spoil("^PUT", times=100, cuts_request=MIB // 2)
    writer = await store.writer(upload, 2, MIB)
    with contextlib.suppress(StorageUnavailable):
        for _ in range(pieces):
            await writer.write(LARGE[:MIB])
    for _ in range(2):
        with pytest.raises(StorageUnavailable):
            await writer.checkpoint()
    await writer.close()
    await store.settle()
    assert (await lies_in(account, prefix))["uploads"] == [segments[0].name]


async def test_a_writer_that_is_full_says_so_to_the_end(
    store: SwiftBlobStore, proxy: FaultProxy
) -> None:
    proxy.spoil("^PUT", times=100, status=507)
    writer = await store.writer(new_upload(), 1, 0)
    await writer.write(LARGE[:MIB])
    for _ in range(2):
        with pytest.raises(StorageFull):
            await writer.checkpoint()
    with pytest.raises(StorageFull):
        await writer.write(LARGE[:MIB])
    await writer.close()


async def test_a_large_object_that_swift_does_not_show_is_no_commit(
    store: SwiftBlobStore, account: SwiftAccount, prefix: str, proxy: FaultProxy
) -> None:
    upload, segments = await push(store, LARGER)
    proxy.spoil("^HEAD .*sha256", header=(b"content-length", b"7"))
    with pytest.raises(StorageUnavailable, match="does not show"):
        await store.commit(upload, segments, Digest.of(LARGER))
    await store.settle()
    found = await lies_in(account, prefix)
    assert not any(found[name] for name in found if name.startswith("blobs"))
    blob = await store.commit(upload, segments, Digest.of(LARGER))
    assert await read(store, blob) == LARGER


async def test_segments_are_read_again_by_whoever_has_them_not(
    store: SwiftBlobStore, other: SwiftBlobStore
) -> None:
    _, segments = await push(store, LARGE, count=5)
    assert await collect(other.read_segments(segments)) == LARGE


# -- reading --------------------------------------------------------------------------------------


@pytest.mark.parametrize("content", [LARGE, TWENTY], ids=["in one", "in steps"])
async def test_a_404_is_asked_of_all_replicas_before_it_is_believed(
    store: SwiftBlobStore, proxy: FaultProxy, content: bytes
) -> None:
    blob = await put(store, content)
    proxy.spoil("^GET", status=404, times=100, head=r"\A(?![\s\S]*x-newest)")
    assert await read(store, blob) == content
    proxy.spoil("^GET", status=404, times=100)
    with pytest.raises(StorageUnavailable, match="missing"):
        await read(store, blob)


@pytest.mark.parametrize("content", [LARGE, TWENTY], ids=["in one", "in steps"])
async def test_a_reading_that_breaks_is_taken_up_where_it_broke(
    store: SwiftBlobStore, proxy: FaultProxy, content: bytes
) -> None:
    blob = await put(store, content)
    for _ in range(2):
        proxy.spoil("^GET", times=2, cuts_answer=MIB + 7)
        assert await read(store, blob) == content


@pytest.mark.parametrize("content", [LARGE, TWENTY], ids=["in one", "in steps"])
async def test_a_body_that_is_cut_again_and_again_never_looks_whole(
    store: SwiftBlobStore, proxy: FaultProxy, content: bytes
) -> None:
    blob = await put(store, content)
    proxy.spoil("^GET", times=100, cuts_answer=7_000)
    with pytest.raises(StorageUnavailable, match=r"broke off|no whole answer"):
        await read(store, blob)


async def test_an_answer_that_nobody_read_is_no_part_of_the_next_one(openstack: OpenStack) -> None:
    account = SwiftAccount(service_session(openstack), connections=1)
    async with blobs_of(account) as store:
        gone, blob = [await put(store, content) for content in (HELLO, LARGE)]
        await store.delete(gone.object)
        for _ in range(3):
            with pytest.raises(StorageUnavailable):
                await read(store, gone)
            assert await read(store, blob) == LARGE
    await account.close()


async def test_a_reading_is_given_up_while_the_next_part_is_on_its_way(
    store: SwiftBlobStore, proxy: FaultProxy
) -> None:
    blob = await put(store, TWENTY)
    assert await read(store, blob) == TWENTY
    pieces = store.read(blob, 0, blob.size)
    await anext(pieces)
    await pieces.aclose()  # type: ignore[attr-defined]
    proxy.spoil("^GET", skip=1, times=100, status=503)
    with pytest.raises(StorageUnavailable):
        await read(store, blob)


# -- deleting -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "report",
    [
        {"Response Status": "400 Bad Request", "Errors": [["x", "500"]], "Number Deleted": 2},
        {"Response Status": "200 OK", "Errors": [["x", "503"]], "Number Deleted": 2},
        {"Response Status": "200 OK", "Errors": [], "Number Deleted": 0, "Number Not Found": 1},
        "no report",
    ],
    ids=["bad", "errors", "nothing", "no report"],
)
async def test_a_delete_that_did_not_do_all_is_told_and_repeated(
    store: SwiftBlobStore, account: SwiftAccount, prefix: str, proxy: FaultProxy, report: object
) -> None:
    upload, segments = await push(store, LARGER)
    blob = await store.commit(upload, segments, Digest.of(LARGER))
    await store.discard(upload)
    await store.settle()
    body = b"\r\n\r\n" + json.dumps(report).encode() if isinstance(report, dict) else b"<html>"
    proxy.spoil("^DELETE .*multipart", status=200, body=body)
    with pytest.raises(StorageUnavailable):
        await store.delete(blob.object)
    await store.delete(blob.object)
    await store.settle()
    assert not any((await lies_in(account, prefix)).values())


async def test_what_cannot_be_cleared_up_is_only_logged(
    store: SwiftBlobStore, proxy: FaultProxy, caplog: pytest.LogCaptureFixture
) -> None:
    upload, segments = await push(store, LARGE[:MIB])
    await store.commit(upload, segments, Digest.of(LARGE[:MIB]))
    proxy.spoil("^DELETE", times=100, status=503)
    await store.discard(upload)
    await store.settle()
    assert "left over" in caplog.text
