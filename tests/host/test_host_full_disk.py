"""The host's own disk is full: what is said, what goes on, and what comes back with the space."""

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.daemons import Daemon, busybox_layer, daemon_of, running_daemon, shop_image
from support.environment import NotReady, wait_until
from support.hostplaces import HostPlace
from support.localdisk import KINDS, MIB, fill
from support.server import Server, running_server
from volumes.files import allocate, run
from volumes.mounts import mount_image, unmount

SIZE = 640 * MIB


@pytest.fixture(scope="module")
def registry() -> Iterator[Server]:
    with running_server() as server:
        base = busybox_layer()
        for edition in ("1", "2"):
            shop_image(edition, base).push(server, "library/shop", edition)
        yield server


@pytest.fixture
def daemon(place: HostPlace, registry: Server) -> Iterator[Daemon]:
    """A daemon whose state lies on a disk of its own."""
    image = place.directory / "disk.img"
    allocate(image, SIZE)
    package, name, *words = KINDS["ext4"]
    run(name, *words, str(image), package=package)
    mount_image(image, place.state, "ext4")
    place.state.chmod(0o700)
    yield daemon_of(place, registry)
    place.clear()
    unmount(place.state)


def document(name: str, image: str = "shop:1") -> str:
    return json.dumps({
        "version": "v3", "appkey": name, "networks": [],
        "containers": [{
            "name": "c", "index": 0, "image": image, "cpu": "0.2", "mem": "32Mi",
            "readiness": {"min_ready_s": 0}, "stop": {"grace_s": 0},
        }],
    })  # fmt: skip


def fill_up(directory: Path) -> Path:
    """Leave not a byte, nor a file's name, to be had."""
    filler = directory / "filler"
    for piece in (MIB, 4096, 1):
        fill(filler, SIZE, piece)
    return filler


def test_a_full_disk_is_told_loses_nothing_and_all_goes_on_when_there_is_space(
    daemon: Daemon, place: HostPlace
) -> None:
    with running_daemon(daemon) as process:
        daemon.climg("set-create", "--wait", "-", stdin=document("first"))
        before = daemon.show("first")
        filler = fill_up(place.state)
        refused = daemon.climg("set-create", "-", stdin=document("second", "shop:2"), check=False)
        said = (refused.stdout + refused.stderr).strip()
        assert refused.returncode != 0, said
        assert "free space" in said
        listed = json.loads(daemon.climg("set-list", "--json").stdout)
        assert [each["appkey"] for each in listed] == ["first"]
        assert [each["pid"] for each in daemon.show("first")["containers"]] == [
            each["pid"] for each in before["containers"]
        ]
        assert daemon.climg("set-exec", "first", "--", "/bin/echo", "alive").stdout == "alive\n"
        stopped = daemon.climg("set-stop", "first", check=False)
        assert stopped.returncode != 0
        assert "free space" in stopped.stdout + stopped.stderr
        _told_without_a_traceback(daemon)
        assert process.kill() == -signal.SIGKILL
    filler.unlink()
    with running_daemon(daemon):
        [found] = json.loads(daemon.climg("set-list", "--json").stdout)
        assert found["containers"][0]["pid"] == before["containers"][0]["pid"]
        daemon.climg("set-create", "--wait", "-", stdin=document("second", "shop:2"))
        for name in ("first", "second"):
            daemon.climg("set-delete", name, "--yes", "--wait")
    assert not [name for name in place.leftovers() if name != "mounts"], place.leftovers()


def test_an_agent_that_starts_on_a_full_disk_says_so_or_serves(
    daemon: Daemon, place: HostPlace
) -> None:
    with running_daemon(daemon) as process:
        daemon.climg("set-create", "--wait", "-", stdin=document("first"))
        before = daemon.show("first")["containers"][0]["pid"]
        assert process.kill() == -signal.SIGKILL
    filler = fill_up(place.state)
    try:
        daemon.start().stop()
    except NotReady as end:
        assert "disk is full" in str(end)  # noqa: PT017 - it may serve as well
    _told_without_a_traceback(daemon)
    filler.unlink()
    with running_daemon(daemon):
        assert daemon.show("first")["containers"][0]["pid"] == before
        daemon.climg("set-delete", "first", "--yes", "--wait")


def test_an_image_that_finds_no_room_comes_when_there_is_some(
    daemon: Daemon, place: HostPlace
) -> None:
    with running_daemon(daemon):
        filler = place.state / "filler"
        found = os.statvfs(place.state)
        fill(filler, found.f_bavail * found.f_frsize - 2 * MIB)
        daemon.climg("set-create", "-", stdin=document("first"))
        wait_until(lambda: "No space left" in str(daemon.show("first").get("reason")), "why", 60)
        filler.unlink()
        wait_until(lambda: daemon.show("first")["state"] == "running", "the set", 90)
        daemon.climg("set-delete", "first", "--yes", "--wait")


def _told_without_a_traceback(daemon: Daemon) -> None:
    assert "Traceback" not in daemon.log.read_text(), daemon.tail()
