"""Commands that look after a store, where there is none or none that may be used: they say so."""

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from registry.oci.descriptor import OCI_MANIFEST
from registry.oci.digest import Digest
from support.builders import image
from support.openstack import OpenStack
from support.server import BERTH, Server, Settings, running_server
from support.swift import new_prefix
from support.wire import push_image

TENDING = (["gc"], ["fsck"], ["quota"], ["compact"], ["rebuild"])
ASKING = (["gc"], ["gc", "--dry-run"], ["fsck"], ["quota"], ["quota", "--check"])
NAME, APP = "library/app", image("base")


@pytest.fixture
def server() -> Iterator[Server]:
    with running_server() as server:
        push_image(server.address, NAME, "1", APP)
        yield server


def test_a_store_whose_disk_is_not_mounted_is_not_made_anew(tmp_path: Path) -> None:
    nothing = Server(tmp_path, Settings())
    for words in (*TENDING, ["gc", "--dry-run", "--orphans"], ["backup", str(tmp_path / "backup")]):
        refused = nothing.refusal(*words)
        assert f"there is no store in {nothing.data}: is its disk mounted" in refused
    assert not nothing.data.exists()


def test_nothing_is_made_where_swift_has_no_store(openstack: OpenStack, tmp_path: Path) -> None:
    extra = "[glance]\nenabled = true\n"
    nothing = Server(tmp_path, Settings(cloud=openstack, prefix=new_prefix(), extra=extra))
    for words in (*TENDING, ["sync-images"], ["gc", "--dry-run", "--orphans"]):
        assert "Swift has no store of storage.prefix" in nothing.refusal(*words)
    assert not nothing.data.exists()


def test_over_a_store_in_swift_a_ledger_is_made_by_a_rebuild_alone(openstack: OpenStack) -> None:
    with running_server(Settings(cloud=openstack, prefix=new_prefix())) as server:
        assert server.account is not None
        with httpx.Client(base_url=f"{server.url}/v2/east/app", auth=server.account.pair) as http:
            for blob in APP.blobs:
                pushed = http.post(f"/blobs/uploads/?digest={Digest.of(blob)}", content=blob)
                assert pushed.status_code == httpx.codes.CREATED, pushed.text
            headers = {"Content-Type": OCI_MANIFEST}
            pushed = http.put("/manifests/1", content=APP.manifest, headers=headers)
            assert pushed.status_code == httpx.codes.CREATED, pushed.text
        server.stop()
        hold_refused_without_a_ledger(server)
        server.run("rebuild")
        assert "1 repositories, 1 tags" in server.run("quota")


def test_without_a_ledger_nothing_is_told_of_a_store(server: Server) -> None:
    server.stop()
    hold_refused_without_a_ledger(server)
    server.restart()  # makes an empty one, and denies nothing
    server.stop()
    assert (server.data / "ledger.db").exists()
    digest = str(APP.digest)
    for words in (*ASKING, ["gc", "--explain", digest], ["backup", str(server.data / "b")]):
        told = server.refusal(*words)
        assert "the ledger is empty over a store that is not; run `berth rebuild`" in told
    server.run("rebuild")
    assert "library: " in server.run("quota")


def hold_refused_without_a_ledger(server: Server) -> None:
    """Of a server that has ended; its ledger is lost then."""
    for each in server.data.glob("ledger.db*"):
        each.unlink()
    for words in ASKING:
        told = server.refusal(*words)
        assert f"there is no ledger in {server.data}/ledger.db: is ledger.url right?" in told
    assert list(server.data.glob("ledger.db*")) == []


@pytest.mark.parametrize(("name", "mode"), [(".", 0o000), (".", 0o500), ("journal", 0o500)])
def test_whoever_may_not_change_a_store_is_told_so(server: Server, name: str, mode: int) -> None:
    server.stop()
    place = server.data / name
    before = place.stat().st_mode
    place.chmod(mode)
    try:
        for words in (["gc"], ["rebuild"]):
            told = refused_by_modes(server, *words)
            assert f"{place} cannot be read and changed: run this as the user" in told
        if place == server.data:
            found = json.loads(refused_by_modes(server, "doctor", "--json"))["checks"]
            assert f"{place}: Permission denied" in [each["found"] for each in found]
    finally:
        place.chmod(before)
    server.run("gc")


def test_a_store_behind_a_closed_directory_is_told_of(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir()
    server = Server(tmp_path, Settings(), data=closed / "store")
    closed.chmod(0o000)
    try:
        assert "cannot be read and changed: run this as" in refused_by_modes(server, "gc")
        found = json.loads(refused_by_modes(server, "doctor", "--json"))["checks"]
    finally:
        closed.chmod(0o700)
    assert f"{server.data}: Permission denied" in [each["found"] for each in found]
    assert list(closed.iterdir()) == []


def refused_by_modes(server: Server, *words: str) -> str:
    """What `berth` says, failing, that has only the rights that the files' modes give."""
    drop = ("setpriv", "--bounding-set", "-dac_override,-dac_read_search", "--")
    command = [str(BERTH), *words, "--config", str(server.directory / "berth.toml")]
    done = subprocess.run(
        [*drop, *command] if os.geteuid() == 0 else command,
        env={**os.environ, **server.variables},
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 1, done.stdout + done.stderr
    assert "Traceback" not in done.stderr, done.stderr
    return done.stdout or done.stderr


def test_a_ledger_that_is_no_database_is_told_of_and_made_anew(server: Server) -> None:
    server.stop()
    ledger = server.data / "ledger.db"
    ledger.write_bytes(b"not a database " * 1000)
    for words in (["gc"], ["rebuild"], ["serve"]):
        refused = server.refusal(*words)
        assert "its file is no SQLite database; if ledger.url is right, put it away" in refused
    for each in server.data.glob("ledger.db*"):
        each.unlink()
    server.run("rebuild")
    server.restart()
    answer = httpx.get(f"{server.url}/v2/{NAME}/manifests/1", timeout=60)
    assert answer.content == APP.manifest
