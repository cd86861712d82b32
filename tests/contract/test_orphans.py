"""Orphans in a directory and in a real Swift: found when they are old, and nothing else goes."""

import contextlib
import os
import time
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from registry import agreement
from registry.gc import orphans
from registry.gc.policy import BRAKE_FROM, Rules
from registry.limits import Leave
from registry.metering import ending_if_refused
from registry.oci.digest import Digest
from registry.oci.errors import QuotaExceeded, StorageUnavailable, UploadBusy
from registry.push import append_chunk, finish_upload, record_blob
from registry.storage.filesystem import FilesystemBlobStore
from registry.storage.flusher import Flusher
from registry.storage.layout import first_segment
from registry.storage.ledger import SqlLedger
from registry.storage.ledger.garbage import SqlCollection
from registry.storage.memory.blobs import MemoryBlobStore
from registry.storage.memory.journal import MemoryJournal
from registry.storage.ports.blobs import BlobStore
from registry.storage.records import BlobRecord, StoreIdentity
from registry.storage.storage import Storage
from registry.storage.swift import SwiftBlobStore
from support.ledgers import SHOES, put
from support.openstack import OpenStack
from support.streams import collect, stream
from support.swift import account_of, blobs_of, push

RULES = Rules(grace=3600)
LATER = 3 * 3600.0


@dataclass
class Place:
    """Stores that belong together, and their collection."""

    storage: Storage
    collection: SqlCollection

    async def sweep(
        self, later: float = LATER, *, dry: bool = False, force: bool = False
    ) -> orphans.Orphans:
        now = time.time() + later
        return await orphans.sweep(self.storage, self.collection, RULES, now, dry=dry, force=force)

    async def keep(self, content: bytes) -> BlobRecord:
        stored = await self.storage.blobs.put(Digest.of(content), len(content), stream(content))
        return await self.storage.ledger.finish_upload(SHOES, None, stored)

    async def stray(self, content: bytes) -> BlobRecord:
        return await self.storage.blobs.put(Digest.of(content), len(content), stream(content))

    async def names(self) -> set[str]:
        return {each.name async for each in self.storage.blobs.objects()}


@contextlib.asynccontextmanager
async def around(blobs: BlobStore, directory: Path) -> AsyncIterator[Place]:
    url = f"sqlite:///{directory}/ledger.db"
    ledger = await SqlLedger.open(url)
    journal = MemoryJournal()
    storage = Storage(blobs, journal, ledger, Flusher(ledger, journal))
    await agreement.settle(storage)
    collection = SqlCollection(url)
    yield Place(storage, collection)
    await storage.flusher.close()
    await collection.close()
    await ledger.close()


@pytest.fixture(params=["directory", "swift"])
async def place(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Place]:
    if request.param == "directory":
        async with around(FilesystemBlobStore(tmp_path), tmp_path) as place:
            yield place
        return
    cloud: OpenStack = request.getfixturevalue("openstack")
    async with (
        account_of(cloud) as account,
        blobs_of(account) as store,
        around(store, tmp_path) as place,
    ):
        yield place


async def test_what_no_row_knows_goes_once_it_is_old(place: Place) -> None:
    kept = [await place.keep(f"kept {number}".encode()) for number in range(3)]
    stray = await place.stray(b"a crash came before the row")
    twin = await place.stray(b"kept 0")
    found = await place.sweep(later=0)
    assert (found.young, found.objects, found.removed) == (2, 0, 0)
    assert found.listed.blobs == 5
    found = await place.sweep(dry=True)
    assert sorted(found.names) == sorted([stray.object, twin.object])
    assert found.bytes == stray.size + twin.size
    assert (await place.names()) == {each.object for each in (*kept, stray, twin)}
    assert (await place.sweep()).removed == 2
    assert await place.names() == {each.object for each in kept}
    for each in kept:
        content = await collect(place.storage.blobs.read(each, 0, each.size))
        assert Digest.of(content) == each.digest


async def test_what_is_on_its_way_out_is_left_to_the_collector(place: Place) -> None:
    held = await place.keep(b"collected just now")
    await place.collection.condemn(SHOES, [held.digest], time.time() + LATER)
    assert (await place.sweep()).objects == 0
    assert await place.names() == {held.object}


async def test_uploads_without_a_session_go_and_sessions_stay(place: Place) -> None:
    open_ = await place.storage.ledger.begin_upload(SHOES, "anna")
    for upload in (open_.id, str(uuid.uuid4())):
        writer = await place.storage.blobs.writer(upload, 1, 0)
        await writer.write(b"some bytes" * 8192)  # less would wait in the ledger, with a session
        await writer.checkpoint()
        await writer.close()
    assert (await place.sweep(later=0)).uploads == 0
    assert (await place.sweep()).uploads == 1
    assert [each.name async for each in place.storage.blobs.uploads()] == [open_.id]


async def test_segments_of_a_large_object_stay(place: Place) -> None:
    """In Swift its segments lie among the uploads, whose session is long forgotten."""
    content = b"0123456789abcdef" * (1024 * 1024)
    upload, segments = await push(place.storage.blobs, content, count=1)
    stored = await place.storage.blobs.commit(upload, segments, Digest.of(content))
    held = await place.storage.ledger.finish_upload(SHOES, None, stored)
    await place.storage.blobs.discard(upload, held.object)
    found = await place.sweep()
    assert found.removed == 0
    again = await collect(place.storage.blobs.read(held, 0, held.size))
    assert Digest.of(again) == held.digest


async def test_a_segment_that_became_a_blob_stays_until_its_row_is_gone(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It lies among the uploads; that is known from the ledger alone."""
    monkeypatch.setattr(orphans, "PAGE", 1)
    content = b"0123456789abcdef" * 8192
    ledger, blobs = place.storage.ledger, place.storage.blobs
    upload, segments = await push(blobs, content, count=1)
    stored = await blobs.commit(upload, segments, Digest.of(content))
    held = await ledger.finish_upload(SHOES, None, stored)
    await blobs.discard(upload, held.object)
    lost, _ = await push(blobs, content[::-1], count=1)  # and a crash before its row
    found = await place.sweep()
    assert found.removed + found.uploads > 0
    assert [each async for each in blobs.uploads() if each.name == lost] == []
    assert await collect(blobs.read(held, 0, held.size)) == content
    await place.collection.condemn(SHOES, [held.digest], time.time() + LATER)
    await place.sweep()
    assert await collect(blobs.read(held, 0, held.size)) == content  # it is the collector's


async def test_whoever_was_taken_over_with_the_object_in_hand_takes_nothing_away(
    place: Place,
) -> None:
    """He is refused, and the other one has closed the upload with the very same segment."""
    content = b"0123456789abcdef" * 8192
    ledger, blobs, digest = place.storage.ledger, place.storage.blobs, Digest.of(content)
    upload = (await ledger.begin_upload(SHOES, "anna")).id
    await append_chunk(place.storage, SHOES, upload, 0, None, stream(content))
    stale = await ledger.lease_upload(SHOES, upload, at=None, seconds=0.0)
    late = await blobs.commit(upload, stale.segments, digest)
    held = await finish_upload(place.storage, SHOES, upload, None, digest, 0, stream())
    with pytest.raises(UploadBusy):
        await record_blob(place.storage, SHOES, stale, late, Leave())
    assert await collect(blobs.read(held, 0, held.size)) == content


async def test_whoever_is_refused_after_another_closed_the_upload_takes_nothing_away(
    place: Place,
) -> None:
    """A writer that was taken over, and wakes to hear that there is no room for it."""
    content = b"0123456789abcdef" * 8192
    ledger = place.storage.ledger
    session = await ledger.begin_upload(SHOES, "anna")
    digest = Digest.of(content)
    await append_chunk(place.storage, SHOES, session.id, 0, None, stream(content))
    stale = replace(await ledger.find_upload(SHOES, session.id), epoch=0)
    await finish_upload(place.storage, SHOES, session.id, None, digest, 0, stream())
    with pytest.raises(QuotaExceeded):
        async with ending_if_refused(place.storage, stale):
            raise QuotaExceeded("no room", {})
    held = (await ledger.find_blob(SHOES, digest)).blob
    if isinstance(place.storage.blobs, SwiftBlobStore):
        await place.storage.blobs.settle()
        assert held.object == first_segment(session.id)
    assert await collect(place.storage.blobs.read(held, 0, held.size)) == content


async def test_nothing_goes_while_store_and_ledger_disagree(place: Place) -> None:
    stray = await place.stray(b"perhaps a row is only missing")
    await place.storage.ledger.put_manifest(put(SHOES, "a", "v1"))
    await place.storage.flusher.flush_all()
    await place.storage.ledger.restart("shoes", 0)  # as a ledger of an earlier day
    with pytest.raises(StorageUnavailable, match="behind the journal"):
        await place.sweep()
    place.storage.disagreement = "as a test will have it"
    with pytest.raises(StorageUnavailable, match="as a test"):
        await place.sweep()
    assert await place.names() == {stray.object}


async def test_a_sweep_stops_where_a_ledger_is_put_back_beneath_it(tmp_path: Path) -> None:
    """Between its listing and its deletions another ledger may have taken the place."""

    class Turning(MemoryJournal):
        asked = 0

        async def identity(self) -> StoreIdentity | None:
            self.asked += 1
            if self.asked > 2:
                return StoreIdentity("another", 1)
            return await super().identity()

    async with around(MemoryBlobStore(), tmp_path) as place:
        journal = Turning()
        identity = await place.storage.journal.identity()
        assert identity is not None
        await journal.found(identity)
        place.storage.journal = journal
        journal.asked = 1
        stray = await place.stray(b"stray")
        with pytest.raises(StorageUnavailable, match="belongs to store"):
            await place.sweep()
        assert await place.names() == {stray.object}


async def test_a_brake_holds_where_most_of_the_store_is_unknown(tmp_path: Path) -> None:
    async with around(MemoryBlobStore(), tmp_path) as place:
        await place.keep(b"the only one")
        for number in range(BRAKE_FROM):
            await place.stray(f"stray {number}".encode())
        found = await place.sweep()
        assert (found.braked, found.removed, found.objects) == (True, 0, BRAKE_FROM)

        assert len(await place.names()) == BRAKE_FROM + 1
        assert (await place.sweep(force=True)).removed == BRAKE_FROM


async def test_what_broken_puts_left_goes_too(tmp_path: Path) -> None:
    async with around(FilesystemBlobStore(tmp_path), tmp_path) as place:
        aside = tmp_path / "uploads" / f"put-{uuid.uuid4()}"
        aside.write_bytes(b"half")
        (tmp_path / "uploads" / "notes").mkdir()
        assert (await place.sweep()).aside == 0, "its age is the file system's own"
        old = time.time() - LATER
        os.utime(aside, (old, old))
        assert (await place.sweep()).aside == 1
        assert (tmp_path / "uploads" / "notes").exists(), "nobody's upload"


async def test_the_brake_holds_for_uploads_too(tmp_path: Path) -> None:
    """Of a ledger that lost its rows whole blobs lie among them."""
    async with around(MemoryBlobStore(), tmp_path) as place:
        await place.keep(b"the only one")
        for _ in range(BRAKE_FROM):
            await push(place.storage.blobs, b"streamed", count=1)
        found = await place.sweep()
        assert (found.braked, found.uploads) == (True, 0)
        assert (await place.sweep(force=True)).uploads == BRAKE_FROM
