import subprocess

import pytest

from hostagent.bridge import Bridge, BridgeNetwork
from hostagent.errors import NetworkFailed
from hostagent.namespaces import Namespaces
from setspec.desired import Port, Route
from support.hostplaces import HostPlace


def port(number: int, device: str = "eth0", network: str = "prod") -> Port:
    return Port(
        id=f"port-{number}",
        device=device,
        network=network,
        mac=f"fa:16:3e:00:00:{number:02x}",
        addresses=(f"10.211.7.{number}/24", f"fd00:7::{number:x}/64"),
        gateways=("10.211.7.1",),
        routes=(Route(to="10.99.0.0/16", via="10.211.7.9"),),
        mtu=1400,
    )


def inside(namespaces: Namespaces, set_id: str, *words: str) -> str:
    path = namespaces.path(set_id, "network")
    command = ["nsenter", f"--net={path}", *words]
    return subprocess.run(command, check=True, capture_output=True, encoding="utf-8").stdout


@pytest.fixture
def namespaces(place: HostPlace) -> Namespaces:
    return Namespaces(place.run)


def test_namespaces_are_pinned_without_a_process_and_leave_nothing(
    place: HostPlace, namespaces: Namespaces
) -> None:
    namespaces.pin("s1", "web-1", 1 << 20, host_network=False)
    assert namespaces.is_pinned("s1", host_network=False)
    assert not [words for words in place.processes().values() if "unshare" in words]
    uts = namespaces.path("s1", "uts")
    name = subprocess.run(
        ["nsenter", f"--uts={uts}", "uname", "-n"], check=True, capture_output=True
    )
    assert name.stdout == b"web-1\n"
    assert "UP" in inside(namespaces, "s1", "ip", "link", "show", "lo")
    namespaces.pin("s1", "web-2", 1 << 20, host_network=True)
    assert not namespaces.path("s1", "network").exists()
    for _ in range(2):
        namespaces.drop("s1")
    assert namespaces.sets() == []


def test_ports_on_one_bridge_reach_each_other_and_keep_their_addresses(
    place: HostPlace, namespaces: Namespaces
) -> None:
    network = BridgeNetwork({"prod": Bridge(bridge=place.bridge)}, place.prefix)
    for number in (2, 3):
        namespaces.pin(f"s{number}", f"h{number}", 1 << 20, host_network=False)
        for _ in range(2):
            network.attach(port(number), namespaces.path(f"s{number}", "network"))
    shown = inside(namespaces, "s2", "ip", "addr", "show", "eth0")
    assert "10.211.7.2/24" in shown
    assert "fa:16:3e:00:00:02" in shown
    assert "mtu 1400" in shown
    assert "10.99.0.0/16 via 10.211.7.9" in inside(namespaces, "s2", "ip", "route")
    inside(namespaces, "s2", "busybox", "ping", "-c1", "-W5", "10.211.7.3")
    inside(namespaces, "s2", "busybox", "ping", "-6", "-c1", "-W5", "fd00:7::3")
    for number in (2, 3):
        for _ in range(2):
            network.detach(port(number))
        namespaces.drop(f"s{number}")


def test_a_network_that_the_host_has_not_is_told_by_name(
    place: HostPlace, namespaces: Namespaces
) -> None:
    network = BridgeNetwork({"prod": Bridge(bridge=place.bridge)}, place.prefix)
    with pytest.raises(NetworkFailed, match="no network 'test'; it has prod"):
        network.attach(port(2, network="test"), namespaces.path("s1", "network"))
