import ipaddress
from dataclasses import replace

import pytest

from placing.names import hostname, refuse_twin, volumes
from placing.ports import ports
from placing.room import refuse_beyond
from setspec.desired import PlacedVolume
from setspec.faults import DocumentInvalid
from setspec.normal import Network, Volume
from support.setdocs import WHOLE, accepted

NETWORKS = {"default": "10.88.0.1/29", "other": "10.89.0.1/24"}


def test_addresses_are_the_lowest_that_nobody_has_and_stay() -> None:
    used = {ipaddress.ip_address("10.88.0.2")}
    first = ports([Network(name="default"), Network(name="other")], (), NETWORKS, used)
    assert [each.device for each in first] == ["eth0", "eth1"]
    assert [each.addresses for each in first] == [("10.88.0.3/29",), ("10.89.0.2/24",)]
    assert [each.gateways for each in first] == [("10.88.0.1",), ("10.89.0.1",)]
    used |= {ipaddress.ip_interface(each.addresses[0]).ip for each in first}
    turned = ports([Network(name="other", ip="10.89.0.2")], first, NETWORKS, used)
    assert turned == (replace(first[1], device="eth0"),)


@pytest.mark.parametrize(
    ("network", "pointer", "why"),
    [
        (Network(vlan=5), "/networks/0/vlan", "no VLANs"),
        (Network(name="prod"), "/networks/0/name", "no network 'prod', but default, other"),
        (Network(name="default", ip="10.88.0.1"), "/networks/0/ip", "the host's own"),
        (Network(name="default", ip="10.88.0.3"), "/networks/0/ip", "another set's"),
        (Network(name="default", ip="10.88.1.3"), "/networks/0/ip", "10.88.0.0/29"),
        (Network(name="default"), "/networks/0/name", "no address left"),
    ],
)
def test_what_cannot_be_had_is_told_at_its_field(network: Network, pointer: str, why: str) -> None:
    used = [*ipaddress.ip_network("10.88.0.0/29").hosts()]
    with pytest.raises(DocumentInvalid) as caught:
        ports([network], (), NETWORKS, used)
    [fault] = caught.value.faults
    assert (fault.pointer, why in fault.why) == (pointer, True)


def test_volumes_keep_their_ids_and_kept_ones_are_taken() -> None:
    known = (PlacedVolume(name="a", id="1"),)
    wanted = [Volume(name="a"), Volume(name="b", source="2"), Volume(name="c")]
    a, b, c = volumes(wanted, known)
    assert (a, b.id) == (known[0], "2")
    assert len(c.id) == 36


@pytest.mark.parametrize(
    ("appkey", "name"),
    [("com.example.Shop", "com-example-shop-12345678"), ("..", "set-12345678")],
)
def test_a_host_name_is_a_label(appkey: str, name: str) -> None:
    assert hostname(appkey, "123456789abc") == name
    assert len(hostname("x" * 128, "123456789abc")) <= 63


def test_a_number_is_one_sets_alone() -> None:
    spec = accepted(WHOLE).spec
    refuse_twin(spec, [replace(spec, id=8), replace(spec, appkey="other")])
    refuse_twin(replace(spec, id=None), [replace(spec, id=None)])
    with pytest.raises(DocumentInvalid, match="/id"):
        refuse_twin(spec, [spec])


def test_more_than_the_whole_host_is_refused() -> None:
    spec = accepted(WHOLE).spec
    refuse_beyond(spec, 64, 1 << 40)
    with pytest.raises(DocumentInvalid) as caught:
        refuse_beyond(spec, 0, 1)
    assert {each.pointer for each in caught.value.faults} >= {
        "/containers/0/cpu", "/containers/0/mem",
    }  # fmt: skip
