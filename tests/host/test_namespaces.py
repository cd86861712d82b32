import contextlib
import socket
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from hostagent.errors import StepFailed
from hostagent.namespaces import Namespaces
from hostagent.records import OperationState, Trouble
from setspec.desired import DesiredSet, Restart
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


def inside_of(agent: Agent, desired: DesiredSet) -> set[str]:
    """The network namespaces that the containers of a set are in."""
    return {
        agent.run_in(desired, name, "sh", "-c", "readlink /proc/self/ns/net").strip()
        for name, _ in desired.spec.workloads()
    }


def started(agent: Agent, desired: DesiredSet) -> list[str | None]:
    """The moments at which the containers began, in their order."""
    return [agent.current(desired, name).started for name, _ in desired.spec.workloads()]


@pytest.mark.parametrize("to_host", [True, False], ids=["to the host's", "to one of its own"])
def test_another_network_means_new_containers_in_order(
    place: HostPlace, caplog: pytest.LogCaptureFixture, *, to_host: bool
) -> None:
    hosts = f"net:[{Path('/proc/self/ns/net').stat().st_ino}]"
    on_own = shop({}, {}, networks=[{"name": "default"}])
    on_hosts = {**on_own, "networks": [], "host_network": True}
    before, after = (on_own, on_hosts) if to_host else (on_hosts, on_own)
    with running_agent(place) as agent:
        first = placed(before)
        agent.take(first)
        agent.wait_running(first)
        assert (inside_of(agent, first) == {hosts}) != to_host
        agent.run_in(first, "c0", "sh", "-c", "echo words > /written")
        former = {agent.current(first, name).id for name in ("c0", "c1")}
        second = changed(first, after)
        ports = placed(after).allocation.ports
        second = replace(second, allocation=replace(second.allocation, ports=ports))
        agent.take(second)
        wait_until(
            lambda: not former & {each.id for each in agent.attempts(second)}, "new ones", 60
        )
        agent.wait_running(second)
        assert len(inside_of(agent, second)) == 1
        assert (inside_of(agent, second) == {hosts}) == to_host
        assert agent.run_in(second, "c0", "sh", "-c", "cat /written") == "words\n"
        moments = started(agent, second)
        assert moments == sorted(moments, key=str)
        assert agent.log(second, "c0").count("bye") == 1
        if to_host:
            assert place.links() == []
            assert not agent.host.namespaces.path(second.set, "network").exists()
        else:
            assert "10.211.0.2/24" in agent.run_in(second, "c1", "sh", "-c", "ip addr show eth0")
        assert not caplog.records
        agent.delete(second)
    assert place.leftovers() == {}


def test_what_cannot_be_had_leaves_a_set_in_its_network(place: HostPlace) -> None:
    """Images are pulled before anything ends."""
    with running_agent(place) as agent:
        first = placed(shop())
        agent.take(first)
        agent.wait_running(first)
        former = agent.current(first, "c0")
        second = changed(first, shop({"image": "nowhere:1"}, host_network=True))
        agent.take(second)
        wait_until(lambda: "prepare" in troubles(agent, second), "a pull that fails", 60)
        assert agent.current(second, "c0") == former
        assert former.id in {each.id for each in agent.attempts(second)}
        third = replace(changed(second, shop(host_network=True)), generation=3)
        agent.take(third)
        wait_until(lambda: agent.current(third, "c0").id != former.id, "another container", 60)
        agent.wait_running(third)
        agent.delete(third)
    assert place.leftovers() == {}


def troubles(agent: Agent, desired: DesiredSet) -> set[str]:
    """The steps that have failed."""
    return {each.step for each in agent.host.store.rows(Trouble, set=desired.set)}
