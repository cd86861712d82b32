import contextlib
import socket
import subprocess
from pathlib import Path

import pytest

from hostagent.errors import StepFailed
from hostagent.namespaces import Namespaces
from hostagent.records import OperationState
from setspec.desired import Restart
from support.agents import Agent, changed, operated, placed, running_agent, shop
from support.environment import wait_until
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


def test_what_is_unmounted_under_containers_is_pinned_again_out_of_them(place: HostPlace) -> None:
    with running_agent(place) as agent:
        desired = placed(shop({}, {}, networks=[{"name": "default"}]))
        agent.take(desired)
        agent.wait_running(desired)
        where = "readlink /proc/self/ns/net /proc/self/ns/ipc; hostname; cat /dev/shm/kept"
        agent.run_in(desired, "c0", "sh", "-c", "echo words > /dev/shm/kept")
        shared = agent.run_in(desired, "c0", "sh", "-c", where)
        former = agent.current(desired, "c0"), agent.current(desired, "c1")
        agent.host.namespaces.drop(desired.set)
        asked, operation = operated(desired, Restart(containers=("c1",)))
        agent.take(asked)
        assert agent.wait_operation(operation).state is OperationState.DONE
        agent.wait_running(desired)
        assert agent.current(desired, "c0") == former[0]
        assert agent.current(desired, "c1").id != former[1].id
        assert agent.run_in(desired, "c1", "sh", "-c", where) == shared
        assert "10.211.0.2/24" in agent.run_in(desired, "c1", "ip", "addr", "show", "eth0")
        assert not own_only(agent, desired.set)
        agent.delete(desired)
    assert place.leftovers() == {}


def own_only(agent: Agent, set_id: str) -> list[str]:
    """Kinds of a set's namespaces that are pinned, and are this process's."""
    pinned = agent.host.namespaces.all(set_id, host_network=False)
    names = {"network": "net", "ipc": "ipc", "uts": "uts"}
    return [
        kind for kind, path in pinned.items()
        if path.stat().st_ino == Path(f"/proc/self/ns/{names[kind]}").stat().st_ino
    ]  # fmt: skip


def test_containers_with_nothing_to_pin_again_are_replaced(place: HostPlace) -> None:
    """Those of a generation on the host's network have none of their own."""
    with running_agent(place) as agent:
        document = shop({"stop": {"grace_s": 0}})
        first = placed({**document, "host_network": True})
        agent.take(first)
        agent.wait_running(first)
        former = agent.current(first, "c0")
        second = changed(first, document)
        agent.take(second)
        wait_until(lambda: agent.current(second, "c0").id != former.id, "another container", 60)
        agent.wait_running(second)
        assert not own_only(agent, second.set)
        agent.delete(second)
    assert place.leftovers() == {}
