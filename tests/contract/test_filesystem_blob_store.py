"""Blobs in a directory: the port's promises, and what lies there before and after."""

import asyncio
import os
import stat
import subprocess
import sys
import time
import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

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
from registry.oci.errors import DigestInvalid, StorageFull, StorageUnavailable
from registry.storage.filesystem import FilesystemBlobStore
from registry.storage.ports.blobs import BlobStore
from registry.storage.records import BlobRecord, Segment
from support.disk import small_disk
from support.streams import Gone, broken, collect, stream


class TestFilesystemBlobStore(BlobStoreContract):
    @pytest.fixture
    def blobs(self, tmp_path: Path) -> BlobStore:
        return FilesystemBlobStore(tmp_path)


@pytest.fixture
def store(tmp_path: Path) -> FilesystemBlobStore:
    return FilesystemBlobStore(tmp_path)


def found(directory: Path, pattern: str = "**/*") -> list[Path]:
    return sorted(directory.glob(pattern))


def files(directory: Path) -> list[str]:
    return [str(path.relative_to(directory)) for path in found(directory) if path.is_file()]


# -- what lies there ------------------------------------------------------------------------------


async def test_an_object_lies_under_its_name(store: FilesystemBlobStore, tmp_path: Path) -> None:
    digest = Digest.of(HELLO)
    blob = await store.put(digest, None, stream(HELLO))
    algorithm, encoded, name = blob.object.split("/")
    assert (algorithm, encoded) == ("sha256", digest.encoded)
    assert files(tmp_path) == [f"blobs/sha256/{encoded[:2]}/{encoded}/{name}"]


async def test_nothing_is_left_of_a_put_that_failed(
    store: FilesystemBlobStore, tmp_path: Path
) -> None:
    with pytest.raises(DigestInvalid):
        await store.put(Digest.of(b"other"), None, stream(LARGE))
    with pytest.raises(Gone):
        await store.put(Digest.of(LARGE), None, broken(LARGE))
    assert files(tmp_path) == []


async def test_nothing_is_left_of_a_put_that_was_cancelled(
    store: FilesystemBlobStore, tmp_path: Path
) -> None:
    async def stalled() -> AsyncIterator[bytes]:
        for _ in range(3):
            yield LARGE
        await asyncio.sleep(60)

    for delay in (0, 0.001, 0.003, 0.01, 0.03):
        task = asyncio.create_task(store.put(Digest.of(LARGE), None, stalled()))
        await asyncio.sleep(delay)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert files(tmp_path) == []


async def test_everything_is_the_owners_alone(store: FilesystemBlobStore, tmp_path: Path) -> None:
    await store.put(Digest.of(HELLO), None, stream(HELLO))
    await write(store, new_upload(), 1, 0, HELLO)
    for path in found(tmp_path):
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600)


async def test_the_last_delete_of_a_digest_removes_its_directory(
    store: FilesystemBlobStore, tmp_path: Path
) -> None:
    blob = await store.put(Digest.of(HELLO), None, stream(HELLO))
    await store.delete(blob.object)
    assert found(tmp_path, "blobs/*/*/*") == []


async def test_discard_leaves_nothing_of_the_upload(
    store: FilesystemBlobStore, tmp_path: Path
) -> None:
    upload = new_upload()
    await write(store, upload, 1, 0, HELLO)
    await write(store, upload, 2, 12, HELLO)
    await store.discard(upload)
    assert list((tmp_path / "uploads").iterdir()) == []


async def test_an_object_made_of_one_segment_is_not_copied(
    store: FilesystemBlobStore, tmp_path: Path
) -> None:
    upload = new_upload()
    (segment,) = await write(store, upload, 1, 0, LARGE)
    blob = await store.commit(upload, [segment], Digest.of(LARGE))
    (path,) = found(tmp_path, "blobs/*/*/*/*")
    assert path.samefile(tmp_path / "uploads" / segment.name)
    await store.discard(upload)
    assert await read(store, blob) == LARGE


async def test_a_second_writer_of_one_epoch_and_offset_is_refused_and_harms_nothing(
    store: FilesystemBlobStore,
) -> None:
    upload = new_upload()
    segments = await write(store, upload, 1, 0, HELLO)
    with pytest.raises(StorageUnavailable):
        await store.writer(upload, 1, 0)
    assert await collect(store.read_segments(segments)) == HELLO


async def test_a_write_that_was_cancelled_is_in_the_next_checkpoint(
    store: FilesystemBlobStore,
) -> None:
    writer = await store.writer(new_upload(), 1, 0)
    task = asyncio.create_task(writer.write(LARGE))
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    segment = await writer.checkpoint()
    assert segment is not None
    assert segment.size == len(LARGE)
    await writer.close()


async def test_a_sweep_removes_old_leftovers_only(
    store: FilesystemBlobStore, tmp_path: Path
) -> None:
    blob = await store.put(Digest.of(HELLO), None, stream(HELLO))
    segments = await write(store, new_upload(), 1, 0, HELLO)
    old, young = (tmp_path / "uploads" / f"put-{uuid.uuid4()}" for _ in range(2))
    for path in (old, young):
        path.write_bytes(HELLO)
    os.utime(old, (time.time() - 7200,) * 2)
    assert await store.sweep_aside(3600) == 1
    assert young.exists()
    assert not old.exists()
    assert await read(store, blob) == HELLO
    assert await collect(store.read_segments(segments)) == HELLO


# -- names from outside ---------------------------------------------------------------------------

HOSTILE = ["", ".", "..", "../../etc/passwd", "/etc/passwd", "a\0b", str(uuid.UUID(int=1)) + "\n"]


@pytest.mark.parametrize("name", HOSTILE)
async def test_no_strange_name_reaches_a_path(store: FilesystemBlobStore, name: str) -> None:
    digest = Digest.of(HELLO)
    with pytest.raises(StorageUnavailable):
        await store.writer(name, 1, 0)
    with pytest.raises(StorageUnavailable):
        await store.discard(name)
    with pytest.raises(StorageUnavailable):
        await store.commit(name, [], digest)
    for named in (name, f"sha256/{digest.encoded}/{name}", f"sha256/{name}/{uuid.uuid4()}"):
        with pytest.raises(StorageUnavailable):
            await store.delete(named)
        with pytest.raises(StorageUnavailable):
            await collect(store.read(BlobRecord(digest, named, 1), 0, 1))
    for named in (name, f"{uuid.uuid4()}/{name}", f"{name}/1-0"):
        with pytest.raises(StorageUnavailable):
            await collect(store.read_segments([Segment(named, 1)]))


# -- other processes ------------------------------------------------------------------------------

WRITER = """
import asyncio, sys
from pathlib import Path
from registry.storage.filesystem import FilesystemBlobStore

async def main():
    store = FilesystemBlobStore(Path(sys.argv[1]))
    writer = await store.writer(sys.argv[2], 1, 0)
    await writer.write(b"hello, world")
    print(await writer.checkpoint(), flush=True)
    sys.stdin.readline()
    await writer.write(b" and more")
    print(await writer.checkpoint(), flush=True)

asyncio.run(main())
"""


async def test_a_paused_process_that_wakes_after_the_commit_cannot_reach_the_object(
    store: FilesystemBlobStore, tmp_path: Path
) -> None:
    upload = new_upload()
    with subprocess.Popen(  # noqa: ASYNC220 - a pipe's line is waited for, on purpose
        [sys.executable, "-c", WRITER, str(tmp_path), upload],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert "size=12" in process.stdout.readline()
        blob = await store.commit(upload, [Segment(f"{upload}/1-0", 12)], Digest.of(HELLO))
        process.stdin.write("\n")
        process.stdin.flush()
        assert "size=21" in process.stdout.readline()
    (path,) = found(tmp_path, "blobs/*/*/*/*")
    assert path.read_bytes() == HELLO
    assert await read(store, blob) == HELLO


async def test_a_store_sees_what_another_one_on_the_same_directory_did(
    store: FilesystemBlobStore, tmp_path: Path
) -> None:
    other = FilesystemBlobStore(tmp_path)
    upload = new_upload()
    segments = await write(store, upload, 1, 0, LARGE[:MIB])
    segments += await write(other, upload, 2, MIB, LARGE[MIB:])
    blob = await store.commit(upload, segments, Digest.of(LARGE))
    assert await read(other, blob) == LARGE


# -- a full disk ----------------------------------------------------------------------------------


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    with small_disk(tmp_path / "disk", 4 * MIB) as directory:
        yield directory


async def test_a_full_disk_says_so_and_leaves_nothing_half_visible(disk: Path) -> None:
    store = FilesystemBlobStore(disk)
    small = await store.put(Digest.of(HELLO), None, stream(HELLO))
    with pytest.raises(StorageFull):
        await store.put(Digest.of(LARGE), len(LARGE), stream(LARGE))
    assert len(files(disk)) == 1
    assert await read(store, small) == HELLO


async def test_an_upload_on_a_full_disk_keeps_what_was_whole(disk: Path) -> None:
    store = FilesystemBlobStore(disk)
    upload = new_upload()
    writer = await store.writer(upload, 1, 0)
    await writer.write(LARGE[:MIB])
    with pytest.raises(StorageFull):
        await writer.write(LARGE)
    segment = await writer.checkpoint()
    assert segment == Segment(f"{upload}/1-0", MIB)
    await writer.close()
    blob = await store.commit(upload, [segment], Digest.of(LARGE[:MIB]))
    await store.discard(upload)
    assert await read(store, blob) == LARGE[:MIB]


async def test_a_commit_on_a_full_disk_can_be_repeated_when_there_is_room(disk: Path) -> None:
    store = FilesystemBlobStore(disk)
    ballast = await store.put(Digest.of(LARGE[:MIB]), None, stream(LARGE[:MIB]))
    upload = new_upload()
    content = LARGE[: 2 * MIB - 64 * 1024]
    segments = [
        *await write(store, upload, 1, 0, content[:MIB]),
        *await write(store, upload, 3, MIB, content[MIB:]),
    ]
    with pytest.raises(StorageFull):
        await store.commit(upload, segments, Digest.of(content))
    assert len(found(disk, "blobs/*/*/*/*")) == 1
    assert found(disk, "uploads/put-*") == []
    await store.delete(ballast.object)
    blob = await store.commit(upload, segments, Digest.of(content))
    assert await read(store, blob) == content
