"""Sets of a desired state whose spec, operations or allocation are not understood or do not fit."""

from typing import Any

import pytest

from setspec.canonical import digest
from setspec.desired_document import read_desired
from setspec.setdocument import Defaults, read_set
from support.setdesired import (
    ALLOCATION,
    OPERATION,
    SET,
    desired,
    desired_set,
    operations,
    refusals,
)
from support.setdocs import cloned, container, named, small


def respec(**fields: Any) -> dict[str, Any]:
    """A set whose spec has *fields* beyond its normal form, with a matching fingerprint."""
    item = desired_set(small())
    spec = item["spec"] | fields
    return least(item | {"spec": spec, "fingerprint": digest(spec)})


def least(item: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """*item* with the allocation of the least set."""
    images = [{"container": "web", "reference": "web"}]
    port = {**ALLOCATION["ports"][0], "network": "default"}
    allocation = {"hostname": "a", "ports": [port], "images": images, **fields}
    return {**item, "allocation": allocation, "operations": []}


def test_the_least_set_is_good() -> None:
    assert refusals(desired(sets=[least(desired_set(small()))])) == []


def faults_of(item: dict[str, Any]) -> list[tuple[str, str]]:
    found = refusals(desired(sets=[item]))
    return found[0][2] if found else []


def test_a_spec_that_leaves_something_out_is_refused() -> None:
    item = respec()
    assert faults_of(item) == []
    del item["spec"]["host_network"]
    assert faults_of(item) == [
        ("/sets/0/fingerprint", "fingerprint"),
        ("/sets/0/spec", "normal"),
    ]
    assert faults_of(respec(limits={"shm": "65536Ki"})) == [("/sets/0/spec", "normal")]


def test_a_spec_that_is_not_the_fingerprinted_one_is_refused() -> None:
    item = least(desired_set(small(), fingerprint="sha256:" + "0" * 64))
    assert faults_of(item) == [("/sets/0/fingerprint", "fingerprint")]


def test_a_spec_of_another_version_is_refused() -> None:
    assert faults_of(respec(version="v4")) == [("/sets/0/spec/version", "const")]


def test_a_spec_without_sense_is_refused() -> None:
    item = respec(ssh={"container": "db", "keys": [], "password": {"secret_ref": "login"}})
    assert faults_of(item) == [("/sets/0/spec/ssh/container", "unknown")]


def test_a_secret_in_a_spec_is_refused() -> None:
    web = {**desired_set(small())["spec"]["containers"][0], "env": {"A": {"secret": "x"}}}
    assert faults_of(respec(containers=[web]))[0] == (
        "/sets/0/spec/containers/0/env/A",
        "secret",
    )


ODD_FILE = {"path": "/a", "content_base64": {"secret_ref": "odd"}}


@pytest.mark.parametrize(
    ("kind", "args", "fault"),
    [
        ("restart", {"containers": ["db"]}, ("/args", "unknown")),
        ("restart", {"containers": []}, ("/args/containers", "minItems")),
        ("restart", {"force": True}, ("/args/force", "additionalProperties")),
        ("rebuild_disk", {"containers": "web"}, ("/args/containers", "type")),
        ("snapshot", {"container": "web"}, ("/args/reference", "required")),
        ("snapshot", {"container": "db", "reference": "a"}, ("/args", "unknown")),
        (
            "snapshot",
            {"container": "web", "reference": "a", "credential": {"secret_ref": "none"}},
            ("/args/credential", "secret"),
        ),
        ("deploy", {"container": "web", "files": []}, ("/args/files", "minItems")),
        (
            "deploy",
            {"container": "web", "files": [{"path": "/../a", "content": ""}]},
            ("/args/files/0/path", "pattern"),
        ),
        (
            "deploy",
            {"container": "web", "files": [{"path": "/etc/hosts", "content": ""}]},
            ("/args/files/0/path", "reserved"),
        ),
        (
            "deploy",
            {"container": "web", "files": [{"path": "/a", "content": {"secret": "x"}}]},
            ("/args/files/0/content", "secret"),
        ),
        (
            "deploy",
            {"container": "web", "files": [ODD_FILE]},
            ("/args/files/0/content_base64", "secret"),
        ),
        ("set-password", {"password": "plain"}, ("/args/password", "type")),
        ("set-password", {"password": {"secret_ref": "odd"}}, ("/args/password", "secret")),
        ("sync-status", {"now": True}, ("/args/now", "additionalProperties")),
        ("explode", {}, ("/kind", "enum")),
        ("restart", [], ("/args", "type")),
    ],
)
def test_an_operation_that_is_not_understood_refuses_its_set(
    kind: str, args: Any, fault: tuple[str, str]
) -> None:
    item = desired_set(operations=operations((kind, args)))
    item["secrets"]["odd"] = "no hash, no base64"
    assert faults_of(item) == [("/sets/0/operations/0" + fault[0], fault[1])]


def test_an_operation_without_a_kind_is_refused() -> None:
    item = desired_set(operations=[{"id": OPERATION.format(1), "args": {}}])
    assert faults_of(item) == [("/sets/0/operations/0/kind", "required")]


def test_an_operation_stands_there_once() -> None:
    twice = operations(("restart", {})) * 2
    assert faults_of(desired_set(operations=twice)) == [("/sets/0/operations/1/id", "twice")]


def allocation(**fields: Any) -> dict[str, Any]:
    return {**cloned(ALLOCATION), **fields}


def port(place: int, **fields: Any) -> dict[str, Any]:
    ports = [{**each} for each in ALLOCATION["ports"]]
    ports[place] |= fields
    return allocation(ports=ports)


def route(to: str) -> dict[str, Any]:
    return {"to": to, "via": "10.20.0.1"}


@pytest.mark.parametrize(
    ("allocated", "fault"),
    [
        (allocation(images=ALLOCATION["images"][:2]), ("/images", "other")),
        (allocation(images=ALLOCATION["images"] * 2), ("/images", "other")),
        (allocation(volumes=[]), ("/volumes", "other")),
        (
            allocation(volumes=[{"name": "logs", "id": SET}, {"name": "data", "id": SET}]),
            ("/volumes", "twice"),
        ),
        (allocation(ports=ALLOCATION["ports"][:1]), ("/ports", "other")),
        (port(0, device="eth1"), ("/ports", "other")),
        (port(0, device="eth8"), ("/ports/0/device", "pattern")),
        (port(0, network="test"), ("/ports/0/network", "other")),
        (port(1, vlan=13), ("/ports/1/vlan", "other")),
        (port(0, addresses=["10.20.0.6/24"]), ("/ports/0/addresses", "other")),
        (port(0, addresses=["10.20.0.5"]), ("/ports/0/addresses/0", "format")),
        (port(0, addresses=["10.20.0.5/33"]), ("/ports/0/addresses/0", "format")),
        (port(0, addresses=["10.20.0/24"]), ("/ports/0/addresses/0", "format")),
        (port(0, routes=[route("10.0.0.0")]), ("/ports/0/routes/0/to", "format")),
        (port(0, routes=[route("10.0.0.1/8")]), ("/ports/0/routes/0/to", "format")),
        (port(0, mac="FA:16:3e:00:00:01"), ("/ports/0/mac", "pattern")),
        (port(0, mac="01:16:3e:00:00:01"), ("/ports/0/mac", "pattern")),
        (port(0, mtu=100), ("/ports/0/mtu", "minimum")),
        (allocation(hostname="a b"), ("/hostname", "pattern")),
    ],
)
def test_an_allocation_that_does_not_fit_its_spec_is_refused(
    allocated: dict[str, Any], fault: tuple[str, str]
) -> None:
    item = desired_set(allocation=allocated)
    assert faults_of(item) == [("/sets/0/allocation" + fault[0], fault[1])]


def test_a_reference_without_its_secret_is_refused() -> None:
    assert faults_of(desired_set(secrets={})) == [
        ("/sets/0/allocation/images/2/credential", "secret"),
        ("/sets/0/operations/3/args/credential", "secret"),
        ("/sets/0/operations/4/args/files/1/content_base64", "secret"),
        ("/sets/0/operations/5/args/password", "secret"),
        ("/sets/0/spec/containers/1/env/DB_PASSWORD", "secret"),
        ("/sets/0/spec/containers/1/env/SALT", "secret"),
        ("/sets/0/spec/containers/1/files/1/content", "secret"),
        ("/sets/0/spec/ssh/password", "secret"),
    ]


def test_a_password_that_is_no_hash_is_refused() -> None:
    item = desired_set()
    item["secrets"][named("", "correct horse")] = "correct horse"
    assert faults_of(item) == [("/sets/0/spec/ssh/password", "secret")]
    assert "correct horse" not in str(read_desired(desired(sets=[item])).refused)


def test_a_reason_is_short_enough_for_a_report() -> None:
    item = desired_set() | {f"x{number}": 1 for number in range(300)}
    (refused,) = read_desired(desired(sets=[item])).refused
    assert len(refused.reason) == 4096
    assert refused.reason.endswith("...")


def test_every_normal_form_is_its_own_normal_form_under_other_defaults() -> None:
    """A host must not read its own defaults into what the shim has said."""
    item = desired_set(small(containers=[container(readiness={"tcp": {"port": 5}})]))
    again = read_set(item["spec"], named, Defaults(network="elsewhere")).spec
    assert again.networks[0].name == "default"
