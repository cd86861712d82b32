"""What of a set nobody may have without being allowed it."""

from setspec.privileges import needed
from support.setdocs import WHOLE, accepted, container, small


def needs(document: dict[str, object]) -> list[tuple[str, str]]:
    return [(each.privilege, each.pointer) for each in needed(accepted(document).spec)]


def test_an_ordinary_set_needs_nothing() -> None:
    assert needs(small()) == []
    assert needs(small(infra={"image": "i", "cpu": "1", "mem": "4Mi"})) == []


def test_each_privilege_is_told_with_its_place_in_the_normal_form() -> None:
    assert needs(WHOLE) == [
        ("privileged", "/infra/privileged"),
        ("vlan", "/networks/1/vlan"),
        ("host_path", "/infra/mounts/0/host_path"),
    ]
    mount = {"path": "/a", "host_path": "/b"}
    containers = [container(index=1), container(name="b", mounts=[mount])]
    assert needs(small(host_network=True, containers=containers)) == [
        ("host_network", "/host_network"),
        ("host_path", "/containers/0/mounts/0/host_path"),
    ]
