"""Bytes that changed, or are gone, in a directory and in a real Swift: found, refused, healed."""

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from registry import agreement, metrics, push
from registry.gc import fsck
from registry.gc.policy import Rules
from registry.keeping import Keeper
from registry.oci.digest import Digest
from registry.oci.errors import BlobUnknown, StorageUnavailable
from registry.storage.filesystem import FilesystemBlobStore
from registry.storage.flusher import Flusher
from registry.storage.ledger import SqlLedger
from registry.storage.ledger.garbage import SqlCollection
from registry.storage.memory.journal import MemoryJournal
from registry.storage.ports.blobs import BlobStore
from registry.storage.records import BlobRecord
from registry.storage.storage import Storage
from registry.storage.swift.names import Names
from registry.storage.swift.objects import Objects
from support.ledgers import HATS, SHOES, put
from support.openstack import OpenStack
from support.streams import collect, stream
from support.swift import account_of, blobs_of, new_prefix

CONTENT = b"these very bytes" * 5000
OTHER = b"untouched"


@dataclass
class Place:
    """Stores, and a way to overwrite an object behind their backs."""

    storage: Storage
    collection: SqlCollection
    overwrite: Callable[[str, bytes], Awaitable[None]]

    async def push(self, content: bytes) -> BlobRecord:
        return await push.put_blob(
            self.storage, SHOES, Digest.of(content), len(content), stream(content)
        )

    async def check(self) -> fsck.Verdict:
        return await fsck.check(self.storage, self.collection, before=9e9, rate=1e9)

    async def read(self, blob: BlobRecord) -> bytes:
        held = await self.storage.ledger.find_blob(SHOES, blob.digest)
        return await collect(self.storage.blobs.read(held.blob, 0, held.blob.size))


@contextlib.asynccontextmanager
async def around(
    blobs: BlobStore, directory: Path, overwrite: Callable[[str, bytes], Awaitable[None]]
) -> AsyncIterator[Place]:
    url = f"sqlite:///{directory}/ledger.db"
    ledger, journal = await SqlLedger.open(url), MemoryJournal()
    storage = Storage(blobs, journal, ledger, Flusher(ledger, journal))
    await agreement.settle(storage)
    collection = SqlCollection(url)
    yield Place(storage, collection, overwrite)
    await storage.flusher.close()
    await collection.close()
    await ledger.close()


@pytest.fixture(params=["directory", "swift"])
async def place(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Place]:
    if request.param == "directory":
        store = FilesystemBlobStore(tmp_path)

        async def write(name: str, content: bytes) -> None:
            algorithm, encoded, own = name.split("/")
            path = tmp_path / "blobs" / algorithm / encoded[:2] / encoded / own
            path.chmod(0o600)
            path.write_bytes(content)

        async with around(store, tmp_path, write) as place:
            yield place
        return
    cloud: OpenStack = request.getfixturevalue("openstack")
    prefix = new_prefix()
    async with account_of(cloud) as account, blobs_of(account, prefix) as swift:

        async def put_over(name: str, content: bytes) -> None:
            await Objects(account).put(Names(prefix).object(name), content)

        async with around(swift, tmp_path, put_over) as place:
            yield place


def flipped(content: bytes) -> bytes:
    return content[:999] + bytes([content[999] ^ 1]) + content[1000:]


async def test_a_flipped_byte_is_found_refused_and_healed_by_the_next_push(place: Place) -> None:
    held, other = await place.push(CONTENT), await place.push(OTHER)
    assert (await place.check()).bad == []
    await place.overwrite(held.object, flipped(CONTENT))
    verdict = await place.check()
    assert verdict.bad == [held]
    assert (verdict.blobs, verdict.bytes) == (2, len(CONTENT) + len(OTHER))
    with pytest.raises(BlobUnknown):
        await place.read(held)
    assert await place.read(other) == OTHER
    assert (await place.check()).bad == [], "told once"
    fresh = await place.push(CONTENT)
    assert fresh.object != held.object
    assert await place.read(held) == CONTENT
    assert await place.collection.removals() == [held.object]


async def test_an_object_cut_short_is_bad(place: Place) -> None:
    held = await place.push(CONTENT)
    await place.overwrite(held.object, CONTENT[:5000])
    verdict = await place.check()
    assert (verdict.bad, verdict.unread) == ([held], [])


async def test_an_object_that_is_gone_is_missing_first_and_bad_an_hour_later(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = await place.push(CONTENT)
    await place.storage.blobs.delete(held.object)
    verdict = await place.check()
    assert (verdict.missing, verdict.bad) == ([held], [])
    verdict = await place.check()
    assert (verdict.missing, verdict.bad) == ([held], [])
    monkeypatch.setattr(fsck, "AGAIN", 0.0)  # the hour is over
    assert (await place.check()).bad == [held]
    await place.push(CONTENT)
    assert await place.read(held) == CONTENT


async def test_a_repair_finds_what_is_sound_and_what_lies_beside_it(place: Place) -> None:
    kept, moved, lost = [await place.push(CONTENT + word) for word in (b"1", b"2", b"3")]
    await place.storage.ledger.link_blob(HATS, SHOES, lost.digest)
    await place.storage.ledger.put_manifest(put(HATS, "a", "v1", blobs=(lost,)))
    twin = await place.storage.blobs.put(moved.digest, None, stream(CONTENT + b"2"))
    bad_twin = await place.storage.blobs.put(lost.digest, None, stream(CONTENT + b"3"))
    for each in (kept, moved, lost, bad_twin):
        await place.overwrite(each.object, flipped(CONTENT))
    assert len((await place.check()).bad) == 3
    await place.overwrite(kept.object, CONTENT + b"1")  # a disk came back
    done = await fsck.repair(place.storage, place.collection)
    assert (done.sound, done.adopted) == ([kept], [twin])
    (broken,) = done.broken
    assert broken.blob == lost
    assert [each.by.tags for each in broken.holders] == [("v1",)]
    assert await place.read(kept) == CONTENT + b"1"
    assert await place.read(moved) == CONTENT + b"2"
    assert await place.collection.removals() == [moved.object]
    assert await place.storage.ledger.pending_lines() == [], "what was adopted is in the journal"


async def test_nothing_is_judged_while_store_and_ledger_disagree(place: Place) -> None:
    held = await place.push(CONTENT)
    await place.overwrite(held.object, flipped(CONTENT))
    place.storage.disagreement = "as a test will have it"
    for work in (place.check(), fsck.repair(place.storage, place.collection)):
        with pytest.raises(StorageUnavailable, match="as a test"):
            await work
    assert await place.collection.count_bad() == 0


async def test_the_figures_tell_the_oldest_verification_and_what_is_bad(place: Place) -> None:
    held = await place.push(CONTENT)
    await place.collection.verified(held, good=False)
    await place.push(OTHER)
    keeper = Keeper(
        storage=place.storage, collection=place.collection, rules=Rules(), every=0, verify=1,
        rate=1e9,
    )  # fmt: skip
    await keeper.hash_anew()
    await keeper.tell()
    told = metrics.exposition(ready=True).decode()
    assert "berth_bad_blobs 1.0" in told
    (line,) = [each for each in told.splitlines()
               if each.startswith("berth_oldest_unverified_seconds ")]  # fmt: skip
    assert 0 <= float(line.split()[1]) < 600
