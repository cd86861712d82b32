"""A backup's directory: what a repeat adds and lets go of, and what is refused or found damaged."""

import asyncio
import random
import threading
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest

from registry import agreement, management, push, stores
from registry.backup import take
from registry.backup.faults import BackupFailed
from registry.backup.place import OWNER, Place
from registry.backup.restore import restore, verify
from registry.backup.take import Store, Taken
from registry.config import Config, StorageConfig
from registry.gc import collect
from registry.gc.policy import Rules
from registry.oci.digest import Digest
from registry.oci.errors import BlobUnknown
from registry.oci.names import RepositoryName, Tag
from registry.push import PushRules
from registry.storage.ledger.garbage import SqlCollection
from registry.storage.storage import Storage
from support.builders import Image, image
from support.disk import small_disk
from support.streams import stream

APP = RepositoryName("library", "app")
MIB = 1 << 20
NO_GRACE = Rules(grace=-5, uploads=0, trash=-5, untagged=None)


@pytest.fixture
async def storage(tmp_path: Path) -> AsyncIterator[Storage]:
    async with opened(tmp_path / "data") as storage:
        yield storage


def opened(directory: Path) -> AbstractAsyncContextManager[Storage]:
    return stores.opened(Config(storage=StorageConfig(directory=directory)))


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "copy"


async def push_blob(storage: Storage, content: bytes) -> None:
    await push.put_blob(storage, APP, Digest.of(content), len(content), stream(content))


async def push_image(storage: Storage, tag: str, pushed: Image) -> None:
    await agreement.settle(storage)
    for blob in pushed.blobs:
        await push_blob(storage, blob)
    media_type, content = pushed.media_type, pushed.manifest
    await push.put_manifest(storage, PushRules(), APP, Tag.parse(tag), [], media_type, content)


async def back_up(storage: Storage, data: Path, place: Path, *, copying: bool = False) -> Taken:
    identity = await storage.journal.identity()
    assert identity is not None
    store = Store(data, data / "ledger.db", identity)
    return await asyncio.to_thread(
        take.run, store, Place(place), 1.0, lambda *_: None, threading.Event(), copying=copying
    )


def names_in(directory: Path) -> set[str]:
    return {each.name for each in directory.iterdir()}


async def hold_whole(storage: Storage, tag: str, pushed: Image) -> None:
    assert (await storage.ledger.find_manifest(APP, Tag.parse(tag))).content == pushed.manifest
    for blob in pushed.blobs:
        held = (await storage.ledger.find_blob(APP, Digest.of(blob))).blob
        pieces = [piece async for piece in storage.blobs.read(held, 0, held.size)]
        assert b"".join(pieces) == blob


async def test_a_repeat_brings_only_what_is_new_and_lets_go_of_what_is_gone(
    storage: Storage, tmp_path: Path, place: Path
) -> None:
    data = tmp_path / "data"
    await push_image(storage, "1", image("one"))
    counts = []
    for tag in ("2", None, "gone"):
        taken = await back_up(storage, data, place)
        counts.append((taken.tally.blobs, taken.tally.linked, taken.tally.copied, taken.removed))
        if tag == "2":
            await push_image(storage, "2", image("one", "two"))
        elif tag is None:
            await management.delete_manifest(storage, APP, image("one", "two").digest)
            collection = SqlCollection(f"sqlite:///{data}/ledger.db")
            for _ in ("the trash", "what it held"):
                await collect.run(storage, collection, NO_GRACE, 4e9, force=True)
            await collection.close()
    assert counts == [(2, 2, 0, 0), (4, 2, 0, 0), (2, 0, 0, 2)]
    assert names_in(place) == {"backup.json", "blobs", "names-3", OWNER}
    state, bad = verify(Place(place), lambda *_: None)
    assert (state.blobs, bad) == (2, [])
    restore(Place(place), tmp_path / "new", tmp_path / "new" / "ledger.db", lambda *_: None)
    async with opened(tmp_path / "new") as copy:
        await hold_whole(copy, "1", image("one"))
        assert await copy.ledger.list_tags(APP) == ["1"]


async def test_without_room_it_says_so_and_the_backup_before_counts(
    storage: Storage, tmp_path: Path
) -> None:
    data = tmp_path / "data"
    await push_image(storage, "1", image("one"))
    with small_disk(tmp_path / "disk", 8 * MIB) as disk:
        place = disk / "copy"
        assert (await back_up(storage, data, place)).tally.copied == 2
        await push_blob(storage, random.Random(1).randbytes(16 * MIB))
        with pytest.raises(BackupFailed, match=f"there is no room left for {place}"):
            await back_up(storage, data, place)
        assert list((place / "blobs").glob("aside-*")) == []
        restore(Place(place), tmp_path / "new", tmp_path / "new" / "ledger.db", lambda *_: None)
    async with opened(tmp_path / "new") as copy:
        await hold_whole(copy, "1", image("one"))


async def test_a_directory_that_is_not_this_stores_backup_is_left_alone(
    storage: Storage, tmp_path: Path, place: Path
) -> None:
    data = tmp_path / "data"
    await push_image(storage, "1", image("one"))
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    (foreign / "letter").write_text("dear")
    with pytest.raises(BackupFailed, match="holds what is no backup: name an empty directory"):
        await back_up(storage, data, foreign)
    assert names_in(foreign) == {"letter"}
    for inside in (data / "within", tmp_path):
        with pytest.raises(BackupFailed, match="neither in its store's directory nor around it"):
            await back_up(storage, data, inside)
    await back_up(storage, data, place)
    async with opened(tmp_path / "other") as other:
        await push_image(other, "1", image("one"))
        with pytest.raises(BackupFailed, match="is the backup of another store"):
            await back_up(other, tmp_path / "other", place)
    for taken in (data, tmp_path / "other"):
        with pytest.raises(BackupFailed, match="is there already: restore into an empty"):
            restore(Place(place), taken, taken / "ledger.db", lambda *_: None)
    with pytest.raises(BackupFailed, match="there is no whole backup in"):
        restore(Place(foreign), tmp_path / "no", tmp_path / "no" / "ledger.db", lambda *_: None)


async def test_two_backups_into_one_directory_do_not_mix(
    storage: Storage, tmp_path: Path, place: Path
) -> None:
    await push_image(storage, "1", image("one"))
    identity = await storage.journal.identity()
    assert identity is not None
    with (
        Place(place).opened(identity),
        pytest.raises(BackupFailed, match="another backup into"),
    ):
        await back_up(storage, tmp_path / "data", place)


async def test_damage_in_a_backup_is_found_told_and_healed_by_the_next_push(
    storage: Storage, tmp_path: Path, place: Path
) -> None:
    pushed = image("one")
    await push_image(storage, "1", pushed)
    await back_up(storage, tmp_path / "data", place, copying=True)
    layer = Digest.of(pushed.layers[0])
    (path,) = (place / "blobs").glob(f"*/*/{layer.encoded}/*")
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    name = f"sha256/{layer.encoded}/{path.name}"
    assert verify(Place(place), lambda *_: None)[1] == [name]
    new = tmp_path / "new"
    assert restore(Place(place), new, new / "ledger.db", lambda *_: None)[1] == [name]
    async with opened(new) as copy:
        with pytest.raises(BlobUnknown):
            await copy.ledger.find_blob(APP, layer)
        await push_image(copy, "1", pushed)
        await hold_whole(copy, "1", pushed)
    (place / "names-1" / "ledger.db").write_bytes(b"?")
    with pytest.raises(BackupFailed, match="is damaged: it is not what was backed up"):
        verify(Place(place), lambda *_: None)


async def test_a_blob_that_the_store_itself_lost_is_told_and_the_rest_backed_up(
    storage: Storage, tmp_path: Path, place: Path
) -> None:
    pushed = image("one")
    await push_image(storage, "1", pushed)
    layer = Digest.of(pushed.layers[0])
    (path,) = (tmp_path / "data" / "blobs").glob(f"*/*/{layer.encoded}/*")
    path.unlink()
    taken = await back_up(storage, tmp_path / "data", place)
    assert taken.state.missing == (f"sha256/{layer.encoded}/{path.name}",)
    assert taken.tally.blobs == 1
