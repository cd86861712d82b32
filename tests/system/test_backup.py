"""Backups of a used store: made while it lives, broken off, without room, damaged; and restored."""

import asyncio
import contextlib
import random
import shutil
import signal
import sqlite3
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Self

import httpx
import pytest

from registry import agreement, stores, wiring
from registry.backup.place import Place
from registry.backup.restore import restore, verify
from registry.cli_backup import _take
from registry.config import Config, StorageConfig
from registry.gc import collect
from registry.oci.digest import Digest
from registry.oci.manifest import parse
from registry.oci.names import RepositoryName, Tag
from registry.storage.ledger import SqlLedger
from registry.storage.ledger.garbage import SqlCollection
from support.builders import Image, image
from support.disk import enlarge, small_disk
from support.environment import temporary_directory, wait_until
from support.server import BERTH, Server, Settings, running_server

APP = "library/app"
EXTRA = "[gc]\nevery_minutes = 0\ntrash_days = 0\n"
DAY = 86_400


@pytest.fixture
def server() -> Iterator[Server]:
    with running_server(Settings(extra=EXTRA)) as server:
        yield server


@pytest.fixture
def http(server: Server) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.url, timeout=60) as http:
        yield http


@pytest.fixture
def place() -> Iterator[Path]:
    """Where a backup may go; on the store's own disk."""
    with temporary_directory("backup") as directory:
        yield directory / "copy"


def push_blob(http: httpx.Client, content: bytes) -> None:
    url = f"/v2/{APP}/blobs/uploads/?digest={Digest.of(content)}"
    answer = http.post(url, content=content)
    assert answer.status_code == httpx.codes.CREATED, answer.text


def push(http: httpx.Client, tag: str, pushed: Image) -> None:
    """Once more where a collection whose grace was taken away took a blob in between."""
    told = ""
    for _ in range(20):
        for blob in pushed.blobs:
            push_blob(http, blob)
        headers = {"Content-Type": pushed.media_type}
        url = f"/v2/{APP}/manifests/{tag}"
        answer = http.put(url, content=pushed.manifest, headers=headers)
        if answer.status_code == httpx.codes.CREATED:
            return
        told = answer.text
        assert "MANIFEST_BLOB_UNKNOWN" in told, told
    raise AssertionError(told)


def hold_whole(http: httpx.Client, tag: str, pushed: Image) -> None:
    assert http.get(f"/v2/{APP}/manifests/{tag}").content == pushed.manifest, tag
    for blob in pushed.blobs:
        assert http.get(f"/v2/{APP}/blobs/{Digest.of(blob)}").content == blob


@contextlib.contextmanager
def changed(server: Server) -> Iterator[sqlite3.Connection]:
    """The server's ledger, changed behind its back."""
    with contextlib.closing(sqlite3.connect(server.data / "ledger.db", timeout=30)) as ledger:
        yield ledger
        ledger.commit()


def days_pass(server: Server, days: float) -> None:
    """All that the ledger remembers of times lies further back."""
    moved = (
        ("link", "touched_at"), ("blob", "created_at"), ("manifest", "pushed_at"),
        ("trash", "deleted_at"), ("upload", "touched_at"),
    )  # fmt: skip
    with changed(server) as ledger:
        for table, column in moved:
            ledger.execute(f"UPDATE {table} SET {column} = {column} - {days * DAY}")  # noqa: S608


class Life:
    """Pushes, deletions and collections without end, in threads; knows what must stay."""

    def __init__(self, server: Server, http: httpx.Client) -> None:
        self._server = server
        self._http = http
        self._over = threading.Event()
        self._failures: list[BaseException] = []
        self.kept: dict[str, Image] = {}
        self.collected = 0
        self._threads = [
            threading.Thread(target=self._guarded, args=(work,))
            for work in (self._push_and_delete, self._collect)
        ]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join(120)
        assert self._failures == []

    def _guarded(self, work: object) -> None:
        try:
            assert callable(work)
            while not self._over.is_set():
                work()
        except BaseException as error:  # noqa: BLE001 - told in the test's own thread
            self._failures.append(error)

    def _push_and_delete(self) -> None:
        chance, http = random.Random(), self._http
        number = len(self.kept)
        fresh = image("base", f"layer {number} {chance.random()}")
        push(http, f"kept-{number}", fresh)
        self.kept[f"kept-{number}"] = fresh
        gone = image("base", f"gone {number} {chance.random()}")
        push(http, "churn", gone)
        url = f"/v2/{APP}/manifests/{gone.digest}"
        assert http.delete(url).status_code == httpx.codes.ACCEPTED
        session = http.post(f"/v2/{APP}/blobs/uploads/")
        http.patch(session.headers["location"], content=b"never finished")
        time.sleep(0.1)

    def _collect(self) -> None:
        days_pass(self._server, 2)
        self.collected += asyncio.run(collect_all(settings_of(self._server)))
        time.sleep(0.2)


def settings_of(server: Server) -> Config:
    return Config.load(server.directory / "berth.toml", {})


async def collect_all(settings: Config) -> int:
    """As `berth gc --force` does; the objects that went."""
    collection = SqlCollection(settings.ledger_url)
    try:
        async with stores.opened(settings) as storage:
            await agreement.settle(storage)
            rules = wiring.rules(settings)
            _, report = await collect.run(storage, collection, rules, time.time(), force=True)
            return report.objects
    except collect.Busy:
        return 0
    finally:
        await collection.close()


async def hold_restored(settings: Config, kept: dict[str, Image], known: set[str]) -> None:
    """Hold that a store is of one piece, and has at least *kept*."""
    async with stores.opened(settings) as storage:
        await agreement.settle(storage)
        assert storage.disagreement is None
        assert isinstance(storage.ledger, SqlLedger)
        assert await storage.ledger.quotas.differences() == []
        name = RepositoryName("library", "app")
        tags = set(await storage.ledger.list_tags(name))
        assert set(kept) <= tags <= known
        for tag in tags:
            manifest = await storage.ledger.find_manifest(name, Tag.parse(tag))
            assert tag not in kept or manifest.content == kept[tag].manifest
            for digest in parse(manifest.content, manifest.media_type).blobs:
                blob = (await storage.ledger.find_blob(name, digest)).blob
                pieces = [piece async for piece in storage.blobs.read(blob, 0, blob.size)]
                assert Digest.of(b"".join(pieces)) == digest
        await storage.flusher.flush(await storage.ledger.delete_tag(name, Tag.parse(min(tags))))


def test_what_was_acknowledged_before_a_backup_is_in_it_whatever_goes_on_meanwhile(
    server: Server, http: httpx.Client, place: Path, tmp_path: Path
) -> None:
    taken = 0
    before: dict[str, Image] = {}
    with Life(server, http) as life:
        while taken < 3:
            done = taken, life.collected
            wait_until(
                lambda: len(life.kept) > 2 * done[0] and life.collected >= done[1],  # noqa: B023
                "pushes and collections", 120,
            )  # fmt: skip
            before = dict(life.kept)
            copying = taken % 2 == 1
            asyncio.run(_take(settings_of(server), place, lambda *_: None, copying=copying))
            known = {*life.kept, *before, "churn", f"kept-{len(life.kept)}"}
            hold_copy(place, tmp_path / f"restored-{taken}", before, known)
            taken += 1
        wait_until(lambda: life.collected > 0, "a collection that takes something", 120)


def test_the_commands_make_a_backup_and_a_server_of_it(
    server: Server, http: httpx.Client, place: Path
) -> None:
    pushed = image("one", "two")
    push(http, "1", pushed)
    size = sum(map(len, pushed.blobs))
    told = server.run("backup", str(place))
    assert told == f"3 blobs, {size} bytes: 0 copied, 3 linked, 0 removed\n"
    told = server.run("backup", "--verify", str(place))
    assert told == f"3 blobs, {size} bytes are what was backed up\n"
    with temporary_directory("restored") as directory:
        copy = Server(directory, Settings(extra=EXTRA))
        assert copy.run("restore", str(place)).startswith("restored: 3 blobs, into ")
        copy.start()
        try:
            with httpx.Client(base_url=copy.url, timeout=60) as other:
                hold_whole(other, "1", pushed)
                push(other, "2", image("base", "after"))
                hold_whole(other, "2", image("base", "after"))
        finally:
            copy.stop()
    refused = server.refusal("backup", str(server.data / "within"))
    assert refused == "berth: a backup lies neither in its store's directory nor around it\n"


@pytest.mark.parametrize("room", [64 * 1024, 1024 * 1024])
def test_a_disk_without_room_is_told_of_and_a_repeat_goes_on(
    server: Server, http: httpx.Client, tmp_path: Path, room: int
) -> None:
    """At the ledger's copy, and at the blobs'."""
    pushed = image("small")
    push(http, "1", pushed)
    for number in range(4):
        push_blob(http, random.Random(number).randbytes(400_000))
    with small_disk(tmp_path / "small", room) as disk:
        refused = server.refusal("backup", str(disk / "copy"))
        assert refused.startswith(f"berth: there is no room left for {disk / 'copy'}: free some")
        assert "there is no whole backup" in server.refusal(
            "backup", "--verify", str(disk / "copy")
        )
        enlarge(disk, 64 * 1024 * 1024)
        server.run("backup", str(disk / "copy"))
        hold_copy(disk / "copy", tmp_path / "restored", {"1": pushed}, {"1"})


def test_a_disk_without_room_for_a_restored_store_is_told_of(
    server: Server, http: httpx.Client, place: Path, tmp_path: Path
) -> None:
    pushed = image("small")
    push(http, "1", pushed)
    push_blob(http, random.Random(1).randbytes(400_000))
    server.run("backup", str(place))
    with small_disk(tmp_path / "small", 200_000) as disk:
        copy = Server(disk, Settings(extra=EXTRA))
        refused = copy.refusal("restore", str(place))
        assert "there is no room left for" in refused
        assert refused.endswith("then empty it and restore again\n")
        assert "there is no store in" in copy.refusal("gc")
        assert "was broken off: empty it and restore again" in copy.refusal("serve")
        enlarge(disk, 64 * 1024 * 1024)
        assert "restore into an empty directory" in copy.refusal("restore", str(place))
        shutil.rmtree(copy.data)
        copy.run("restore", str(place))
        asyncio.run(hold_restored(settings_of(copy), {"1": pushed}, {"1"}))


def test_what_the_disk_cannot_read_of_a_backup_is_damaged(
    server: Server, http: httpx.Client, place: Path
) -> None:
    push(http, "1", image("one"))
    server.run("backup", str(place))
    (spoilt, *_) = sorted((place / "blobs").glob("*/*/*/*"))
    spoilt.unlink()
    spoilt.mkdir()
    refused = server.refusal("backup", "--verify", str(place))
    assert f"damaged or gone: {spoilt.relative_to(place / 'blobs').parts[0]}" in refused
    assert "1 blobs are damaged or gone" in refused


def test_killed_in_its_midst_it_leaves_the_backup_before_and_is_gone_on_with(
    server: Server, http: httpx.Client, place: Path, tmp_path: Path
) -> None:
    push(http, "1", image("one"))
    settings = settings_of(server)
    asyncio.run(_take(settings, place, lambda *_: None, copying=True))
    for number in range(40):
        push_blob(http, random.Random(number).randbytes(256 * 1024))
    push(http, "2", image("two"))
    config = str(server.directory / "berth.toml")
    for turn, pause in enumerate((0.0, 0.2)):
        begun = {path.name for path in place.glob("names-*")}
        command = [str(BERTH), "backup", str(place), "--copy", "--config", config]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as run:
            wait_until(
                lambda: run.poll() is not None
                or {path.name for path in place.glob("names-*")} != begun,  # noqa: B023
                "the run's beginning", 120,
            )  # fmt: skip
            time.sleep(pause)
            run.send_signal(signal.SIGKILL)
        assert run.returncode in {-signal.SIGKILL, 0}
        hold_copy(place, tmp_path / f"{turn}", {"1": image("one")}, {"1", "2"})
        with changed(server) as ledger:  # the killed one's lease on collections: a minute
            ledger.execute("UPDATE job SET until = 0")
    taken = asyncio.run(_take(settings, place, lambda *_: None, copying=True))
    assert taken.tally.blobs == 44
    assert len(list(place.glob("names-*"))) == 1
    assert list((place / "blobs").glob("aside-*")) == []
    assert verify(Place(place), lambda *_: None)[1] == []
    hold_copy(place, tmp_path / "last", {"1": image("one"), "2": image("two")}, {"1", "2"})


def hold_copy(place: Path, target: Path, kept: dict[str, Image], known: set[str]) -> None:
    """Hold that a store made of the backup is of one piece, and has at least *kept*."""
    _, bad = restore(Place(place), target, target / "ledger.db", lambda *_: None)
    assert bad == []
    settings = Config(storage=StorageConfig(directory=target))
    asyncio.run(hold_restored(settings, kept, known))
    assert asyncio.run(wiring.rebuild(settings, lambda *_: None)) > 0
