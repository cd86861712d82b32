import contextlib
import socket
import subprocess
from pathlib import Path

import pytest

from hostagent.errors import StepFailed
from hostagent.namespaces import Namespaces
from support.hostplaces import HostPlace

NOTIFY = Path("/proc/sys/net/ipv4/conf/all/arp_notify")
MIB = 1 << 20


def inside(namespaces: Namespaces, *words: str) -> str:
    """What a program says in the set's namespaces."""
    net, uts = (namespaces.path("s1", kind) for kind in ("network", "uts"))
    command = ["nsenter", f"--net={net}", f"--uts={uts}", *words]
    return subprocess.run(command, check=True, capture_output=True, encoding="utf-8").stdout


def entered() -> set[int]:
    """The namespaces that any process of the machine is in."""
    found = set()
    for path in Path("/proc").glob("[0-9]*/ns/*"):
        with contextlib.suppress(OSError):
            found.add(path.stat().st_ino)
    return found


def own() -> list[str]:
    """The namespaces of every thread of this process."""
    found = Path("/proc/self/task").glob("*/ns/*")
    return sorted({f"{path.name} {path.readlink()}" for path in found})


def test_pinned_namespaces_are_new_ready_and_nobodys(place: HostPlace) -> None:
    namespaces = Namespaces(place.run)
    before = (own(), socket.gethostname(), NOTIFY.read_text())
    assert not namespaces.is_pinned("s1", host_network=False)
    namespaces.pin("s1", "web-1", MIB, host_network=False)
    try:
        assert namespaces.is_pinned("s1", host_network=False)
        assert inside(namespaces, "hostname").strip() == "web-1"
        assert "127.0.0.1/8" in inside(namespaces, "ip", "-4", "addr", "show", "up", "dev", "lo")
        assert inside(namespaces, "cat", str(NOTIFY)) == "1\n"
        assert (own(), socket.gethostname(), NOTIFY.read_text()) == before
        pinned = {each.stat().st_ino for each in namespaces.all("s1", host_network=False).values()}
        assert len(pinned) == 3
        assert not pinned & entered()
    finally:
        namespaces.drop("s1")
    assert not namespaces.is_pinned("s1", host_network=False)
    assert namespaces.sets() == []


def test_a_set_on_the_hosts_network_has_none_of_its_own(place: HostPlace) -> None:
    namespaces = Namespaces(place.run)
    namespaces.pin("s1", "web-1", MIB, host_network=True)
    assert namespaces.is_pinned("s1", host_network=True)
    assert not namespaces.is_pinned("s1", host_network=False)
    assert set(namespaces.all("s1", host_network=True)) == {"ipc", "uts"}
    namespaces.drop("s1")


def test_what_the_kernel_refuses_is_said_and_leaves_nothing(place: HostPlace) -> None:
    namespaces = Namespaces(place.run)
    with pytest.raises(StepFailed, match="no namespaces"):
        namespaces.pin("s1", "x" * 65, MIB, host_network=False)
    assert not namespaces.is_pinned("s1", host_network=False)
    namespaces.drop("s1")
    assert namespaces.sets() == []
