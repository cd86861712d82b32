"""Blobs in Swift: the port's promises on a real one, and what lies there before and after."""

import asyncio
import itertools
import uuid
from collections.abc import AsyncIterator

import httpx
import pytest

from contract.blob_store_contract import (
    HELLO,
    LARGE,
    MIB,
    BlobStoreContract,
    new_upload,
    read,
    write,
)
from registry.oci.digest import Digest
from registry.oci.errors import DigestInvalid, SizeInvalid, StorageFull, StorageUnavailable
from registry.storage.ports.blobs import BlobStore
from registry.storage.records import Segment
from registry.storage.swift import SwiftAccount, SwiftBlobStore, blobs, segments
from registry.storage.swift.names import Names
from support.faultproxy import FaultProxy
from support.openstack import OpenStack
from support.streams import Gone, broken, collect, stream
from support.swift import LARGER, blobs_of, lies_in, push


class TestSwiftBlobStore(BlobStoreContract):
    @pytest.fixture
    def blobs(self, store: SwiftBlobStore) -> BlobStore:
        return store


class TestSwiftBlobStoreThatKeepsEachByteItself(BlobStoreContract):
    """As it does behind the first bytes of an upload."""

    @pytest.fixture
    def blobs(self, store: SwiftBlobStore, monkeypatch: pytest.MonkeyPatch) -> BlobStore:
        monkeypatch.setattr(segments, "LEFT", 0)
        return store


# -- what lies there ------------------------------------------------------------------------------


async def test_an_object_lies_under_its_name_in_one_of_sixteen_containers(
    store: SwiftBlobStore, account: SwiftAccount, prefix: str
) -> None:
    assert await lies_in(account, prefix) == {}
    for content in (HELLO, LARGE):
        blob = await store.put(Digest.of(content), len(content), stream(content))
        algorithm, encoded, name = blob.object.split("/")
        assert (algorithm, encoded) == ("sha256", Digest.of(content).encoded)
        assert str(uuid.UUID(name)) == name
        assert (await lies_in(account, prefix))[f"blobs-{encoded[0]}"] == [blob.object]


@pytest.mark.parametrize("count", [1, 3])
async def test_of_a_short_upload_nothing_lies_there_until_it_is_closed(
    store: SwiftBlobStore,
    other: SwiftBlobStore,
    account: SwiftAccount,
    prefix: str,
    proxy: FaultProxy,
    behind: SwiftAccount,
    count: int,
) -> None:
    content = LARGE[: segments.LEFT]
    upload, written = await push(store, content, count=count)
    assert b"".join(each.content for each in written) == content
    assert await lies_in(account, prefix) == {}
    assert [each async for each in store.uploads()] == []
    assert await collect(other.read_segments(written)) == content
    async with blobs_of(behind, prefix) as closer:
        blob = await closer.commit(upload, written, Digest.of(content))
        await closer.discard(upload)
        await closer.settle()
    assert {request.split()[0] for request in proxy.requests} == {"PUT"}
    assert await read(other, blob) == content
    found = await lies_in(account, prefix)
    assert found == {f"blobs-{blob.digest.encoded[0]}": [blob.object]}


async def test_an_upload_that_grew_large_takes_its_first_bytes_along(
    store: SwiftBlobStore, other: SwiftBlobStore, account: SwiftAccount, prefix: str
) -> None:
    upload = new_upload()
    cuts = (0, segments.LEFT, segments.LEFT + 1, MIB, len(LARGER))
    written: list[Segment] = []
    for epoch, (start, stop) in enumerate(itertools.pairwise(cuts), 1):
        written += await write(store, upload, epoch, start, LARGER[start:stop])
    assert [bool(each.content) for each in written] == [True, False, False, False]
    blob = await other.commit(upload, written, Digest.of(LARGER))
    assert await read(store, blob) == LARGER
    await other.discard(upload)
    await other.settle()
    assert await read(store, blob) == LARGER
    await store.delete(blob.object)
    await store.settle()
    assert not any((await lies_in(account, prefix)).values())


@pytest.mark.parametrize("size", [len(LARGE), None], ids=["size known", "size unknown"])
async def test_nothing_is_left_of_a_put_that_failed(
    store: SwiftBlobStore, account: SwiftAccount, prefix: str, size: int | None
) -> None:
    async def stalled() -> AsyncIterator[bytes]:
        yield LARGE
        await asyncio.sleep(60)

    digest = Digest.of(LARGE)
    with pytest.raises(DigestInvalid):
        await store.put(Digest.of(b"other"), size, stream(LARGE[:MIB], LARGE[MIB:]))
    with pytest.raises(SizeInvalid):
        await store.put(digest, len(LARGE) - 1, stream(LARGE[:MIB], LARGE[MIB:]))
    with pytest.raises(SizeInvalid):
        await store.put(digest, len(LARGE) + 1, stream(LARGE[:MIB], LARGE[MIB:]))
    with pytest.raises(Gone):
        await store.put(digest, size, broken(LARGE[:MIB], LARGE[MIB:]))
    for delay in (0.0, 0.02, 0.1, 0.3):
        task = asyncio.create_task(store.put(digest, size, stalled()))
        await asyncio.sleep(delay)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    await asyncio.sleep(0.2)  # for Swift to see what was dropped
    await store.settle()
    assert not any((await lies_in(account, prefix)).values())


@pytest.mark.parametrize("known", [False, True], ids=["size unknown", "beyond the limit"])
async def test_a_body_that_is_no_plain_object_goes_by_segments_of_its_own(
    store: SwiftBlobStore,
    account: SwiftAccount,
    prefix: str,
    monkeypatch: pytest.MonkeyPatch,
    *,
    known: bool,
) -> None:
    monkeypatch.setattr(blobs, "LARGEST", 20 * MIB - 1)
    content = LARGE[:MIB] * 20
    pieces = [content[at : at + 700_000] for at in range(0, len(content), 700_000)]
    blob = await store.put(Digest.of(content), len(content) if known else None, stream(*pieces))
    assert await read(store, blob) == content
    uuid_of_blob = blob.object.rpartition("/")[2]
    uploads = (await lies_in(account, prefix))["uploads"]
    assert [name.split("/")[:2] for name in uploads[:-1]] == [[uuid_of_blob] * 2] * 2
    await store.delete(blob.object)
    await store.settle()
    assert not any((await lies_in(account, prefix)).values())


async def test_names_that_this_store_cannot_have_given_are_refused(store: SwiftBlobStore) -> None:
    for name in ("sha256/0/../x", "secrets", f"sha256/{'0' * 64}/"):
        with pytest.raises(StorageUnavailable):
            await store.delete(name)
    for upload in ("..", "", "a/b"):
        with pytest.raises(StorageUnavailable):
            await store.discard(upload)
        with pytest.raises(StorageUnavailable):
            await store.writer(upload, 1, 0)
    with pytest.raises(StorageUnavailable):
        await collect(store.read_segments([Segment("../journal/x/1", 1)]))


# -- redirects and quotas -------------------------------------------------------------------------


async def test_a_redirect_url_serves_one_blob_to_anybody_for_a_while(
    store: SwiftBlobStore, openstack: OpenStack, account: SwiftAccount, prefix: str
) -> None:
    upload, segments = await push(store, LARGER)
    blob = await store.commit(upload, segments, Digest.of(LARGER))
    secret = await store.put(Digest.of(HELLO), None, stream(HELLO))
    url = await store.redirect_url(blob, 60)
    async with httpx.AsyncClient() as client:
        assert (await client.get(url)).content == LARGER
        assert (await client.get(url.replace(blob.object, secret.object))).status_code == 401
        expired = await store.redirect_url(blob, 1)
        await asyncio.sleep(2.1)
        assert (await client.get(expired)).status_code == 401
    given = SwiftBlobStore(account, prefix=prefix, temp_url_key=openstack.temp_url_key)
    assert (await given.redirect_url(blob, 60)).startswith(openstack.account_url("service"))


async def test_a_quota_that_is_used_up_is_told(
    store: SwiftBlobStore, account: SwiftAccount, prefix: str
) -> None:
    small = await store.put(Digest.of(HELLO), None, stream(HELLO))
    container = Names(prefix).object(small.object).container
    await set_quota(account, container, len(HELLO) + 3)
    with pytest.raises(StorageFull):
        await store.put(Digest.of(HELLO), len(HELLO), stream(HELLO))
    content = next(LARGE[n:] for n in range(1000) if same_container(LARGE[n:], small.digest))
    with pytest.raises(StorageFull):
        await store.put(Digest.of(content), len(content), stream(content))
    assert await read(store, small) == HELLO
    await store.delete(small.object)


def same_container(content: bytes, digest: Digest) -> bool:
    return Digest.of(content).encoded[0] == digest.encoded[0]


async def set_quota(account: SwiftAccount, container: str, size: int) -> None:
    headers = {"X-Auth-Token": await account._credentials.token()}
    headers["X-Container-Meta-Quota-Bytes"] = str(size)
    async with httpx.AsyncClient() as client:
        url = f"{await account.endpoint()}/{container}"
        assert (await client.post(url, headers=headers)).status_code == 204
