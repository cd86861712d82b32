"""What the parts of a set have to do with each other; and every fault at once."""

from typing import Any

import pytest

from setspec.faults import FAULT_LIMIT, DocumentInvalid
from support.setdocs import (
    SSH_KEY,
    UUID,
    WHOLE,
    accepted,
    cloned,
    container,
    refused,
    small,
    told,
)

Document = dict[str, Any]

OTHER = "00000000-0000-4000-8000-000000000001"
VOLUME = {"name": "logs", "quota": "1Gi"}
MOUNT = {"path": "/logs", "volume": "logs"}


def one(**fields: Any) -> Document:
    """A set of one container that has *fields*."""
    return small(containers=[container(**fields)])


def mounting(*mounts: Document, **fields: Any) -> Document:
    return one(mounts=[*mounts], **fields) | {"volumes": [VOLUME]}


def at(path: str) -> Document:
    return {"path": path, "volume": "logs"}


def file(path: str) -> Document:
    return {"path": path, "content": ""}


GOOD: dict[str, Document] = {
    "the document that says everything": WHOLE,
    "the least one": small(),
    "a volume in two containers": small(
        volumes=[VOLUME],
        containers=[container(mounts=[MOUNT]), container(name="b", index=1, mounts=[MOUNT])],
    ),
    "a volume twice in one container": mounting(at("/a"), at("/b")),
    "neighbours": mounting(at("/a"), at("/ab"), at("/a.b"), at("/b/a")),
    "a file beside a mount": mounting(at("/a/b"), files=[file("/a/c"), file("/a/bc")]),
    "the same path in two containers": small(
        containers=[
            container(files=[file("/a")]),
            container(name="b", index=1, files=[file("/a/b")]),
        ]
    ),
    "a volume of the infra container": small(
        volumes=[VOLUME], infra={"image": "i", "cpu": "1", "mem": "4Mi", "mounts": [MOUNT]}
    ),
    "ready at once": one(readiness={"min_ready_s": 0, "ready_timeout_s": 1}),
    "waiting that never grows": one(restart={"base_s": 60}),
    "a port twice": one(readiness={"tcp": {"port": 1}}),
    "replaced in time": small(partition={"stop_on_host_after_s": 60, "replace_after_s": 100}),
    "stopped alone, with a volume": mounting(MOUNT) | {"partition": {"stop_on_host_after_s": 60}},
    "two networks": small(networks=[{"name": "a"}, {"name": "b"}, {"vlan": 1}, {"vlan": 2}]),
    "the host's network": small(host_network=True),
    "ssh with a password alone": small(ssh={"password": "12345678"}),
}

BAD: dict[str, tuple[Document, list[tuple[str, str]]]] = {
    "a name twice": (
        small(containers=[container(), container(index=1)]),
        [("/containers/1/name", "twice")],
    ),
    "an index twice": (
        small(containers=[container(), container(name="b"), container(name="c")]),
        [("/containers/1/index", "twice"), ("/containers/2/index", "twice")],
    ),
    "the infra container's name": (one(name="infra"), [("/containers/0/name", "pattern")]),
    "a volume twice": (
        mounting(MOUNT) | {"volumes": [VOLUME, VOLUME]},
        [("/volumes/1/name", "twice")],
    ),
    "a kept volume twice": (
        one(mounts=[at("/a"), {"path": "/b", "volume": "b"}])
        | {"volumes": [{"name": "logs", "from": UUID}, {"name": "b", "from": UUID}]},
        [("/volumes/1/from", "twice")],
    ),
    "a volume that nobody mounts": (small(volumes=[VOLUME]), [("/volumes/0/name", "unused")]),
    "a volume that is not declared": (
        one(mounts=[MOUNT]),
        [("/containers/0/mounts/0/volume", "unknown")],
    ),
    "one mount in another": (
        mounting(at("/a/b"), at("/a")),
        [("/containers/0/mounts/0/path", "overlap")],
    ),
    "a mount far below another": (
        mounting(at("/a"), at("/a.b"), at("/a/b/c"), at("/a/d")),
        [("/containers/0/mounts/2/path", "overlap"), ("/containers/0/mounts/3/path", "overlap")],
    ),
    "two mounts at one place": (
        mounting(at("/a"), at("/a")),
        [("/containers/0/mounts/1/path", "twice")],
    ),
    "a file below a mount": (
        mounting(at("/a"), files=[file("/a/b")]),
        [("/containers/0/files/0/path", "overlap")],
    ),
    "a file where a mount is": (
        mounting(at("/a"), files=[file("/a")]),
        [("/containers/0/files/0/path", "twice")],
    ),
    "a file twice": (
        one(files=[file("/a"), file("/a")]),
        [("/containers/0/files/1/path", "twice")],
    ),
    "a file below a file": (
        one(files=[file("/a/b"), file("/a")]),
        [("/containers/0/files/0/path", "overlap")],
    ),
    "a mount below a file": (
        mounting(at("/a/b"), files=[file("/a")]),
        [("/containers/0/mounts/0/path", "overlap")],
    ),
    "files that the host writes": (
        mounting(at("/etc/hosts"), files=[file("/etc/resolv.conf"), file("/etc/hostname/x")]),
        [
            ("/containers/0/files/0/path", "reserved"),
            ("/containers/0/files/1/path", "reserved"),
            ("/containers/0/mounts/0/path", "reserved"),
        ],
    ),
    "in the infra container": (
        small(infra={"image": "i", "cpu": "1", "mem": "4Mi", "files": [file("/a"), file("/a")]}),
        [("/infra/files/1/path", "twice")],
    ),
    "no time to become ready": (
        one(readiness={"min_ready_s": 5, "ready_timeout_s": 5}),
        [("/containers/0/readiness/ready_timeout_s", "order")],
    ),
    "no time to become ready, by default": (
        one(readiness={"min_ready_s": 60}),
        [("/containers/0/readiness/min_ready_s", "order")],
    ),
    "the first wait longer than the longest": (
        one(restart={"base_s": 5, "cap_s": 4}),
        [("/containers/0/restart/cap_s", "order")],
    ),
    "the first wait longer than the longest, by default": (
        one(restart={"base_s": 61}),
        [("/containers/0/restart/base_s", "order")],
    ),
    "a network twice": (
        small(networks=[{"name": "a"}, {"name": "a"}, {"vlan": 3}, {"vlan": 3}]),
        [("/networks/1/name", "twice"), ("/networks/3/vlan", "twice")],
    ),
    "an address twice": (
        small(networks=[{"name": "a", "ip": "::ffff"}, {"name": "b", "ip": "0:0::FFFF"}]),
        [("/networks/1/ip", "twice")],
    ),
    "the host's network and another": (
        small(host_network=True, networks=[{"name": "a"}]),
        [("/networks", "excluded")],
    ),
    "ssh in a container that is not there": (
        small(ssh={"container": "db", "keys": [SSH_KEY]}),
        [("/ssh/container", "unknown")],
    ),
    "ssh on the host's network": (
        small(host_network=True, networks=[], ssh={"keys": [SSH_KEY]}),
        [("/ssh", "excluded")],
    ),
    "ssh without a network": (
        small(networks=[], ssh={"keys": [SSH_KEY]}),
        [("/ssh", "excluded")],
    ),
    "replaced with a volume": (
        mounting(MOUNT) | {"partition": {"stop_on_host_after_s": 60, "replace_after_s": 900}},
        [("/partition/replace_after_s", "excluded")],
    ),
    "replaced before it has stopped": (
        small(partition={"stop_on_host_after_s": 60, "replace_after_s": 99}),
        [("/partition/replace_after_s", "order")],
    ),
    "replaced before its graces are over": (
        one(stop={"grace_s": 100})
        | {"partition": {"stop_on_host_after_s": 60, "replace_after_s": 189}},
        [("/partition/replace_after_s", "order")],
    ),
    "replaced without being stopped": (
        small(partition={"replace_after_s": 900}),
        [("/partition/stop_on_host_after_s", "dependentRequired")],
    ),
}


@pytest.mark.parametrize("name", GOOD)
def test_good(name: str) -> None:
    assert told(GOOD[name]) == []


@pytest.mark.parametrize("name", BAD)
def test_bad(name: str) -> None:
    document, wanted = BAD[name]
    assert told(document) == wanted


@pytest.mark.parametrize("name", BAD)
def test_every_fault_says_what_and_why_or_what_to_do(name: str) -> None:
    for fault in refused(BAD[name][0]):
        assert fault.what
        assert fault.why or fault.fix


def test_graces_add_up() -> None:
    containers = [container(stop={"grace_s": 5}), container(name="b", index=1)]
    partition = {"stop_on_host_after_s": 60, "replace_after_s": 60 + 5 + 10 + 30}
    assert told(small(containers=containers, partition=partition)) == []
    partition["replace_after_s"] -= 1
    (fault,) = refused(small(containers=containers, partition=partition))
    assert fault.fix == "Write at least 105"


def test_all_faults_are_told_at_once_in_the_documents_order() -> None:
    document = cloned(WHOLE)
    document["containers"][0]["cpu"] = "lots"
    document["containers"][0]["mounts"].append({"path": "/opt/logs/x", "volume": "nowhere"})
    document["containers"][1]["name"] = "web"
    document["containers"][1]["index"] = "1"
    document["colour"] = "red"
    document["volumes"][0]["quota"] = "1Mi"
    document["ssh"]["container"] = "db"
    del document["appkey"]
    assert told(document) == [
        ("/appkey", "required"),
        ("/colour", "additionalProperties"),
        ("/containers/0/cpu", "pattern"),
        ("/containers/0/mounts/1/path", "overlap"),
        ("/containers/0/mounts/1/volume", "unknown"),
        ("/containers/1/index", "type"),
        ("/containers/1/name", "twice"),
        ("/ssh/container", "unknown"),
        ("/volumes/0/quota", "format"),
    ]


def test_a_hostile_document_has_bounded_faults() -> None:
    document = small(
        containers=[5] * 64, volumes=[{"name": "a"}] * 64, **{f"x{n}": 1 for n in range(900)}
    )
    with pytest.raises(DocumentInvalid) as caught:
        accepted(document)
    assert len(caught.value.faults) == FAULT_LIMIT
    assert caught.value.more
    assert str(caught.value).endswith("and more")
    assert caught.value.as_json()["more"] is True


def test_a_document_of_the_largest_size_is_told_quickly() -> None:
    files = [file(f"/{'a/' * 100}{number}") for number in range(256)]
    containers = [
        container(
            name=f"c{number}", index=number, files=files, env={f"V{n}": "" for n in range(100)}
        )
        for number in range(64)
    ]
    assert told(small(containers=containers)) == [("", "values")]
    assert told(small(containers=containers[:32])) == []


@pytest.mark.parametrize("version", ["v1", "v4", "V2", 2, None, [], {"v2": 1}, "v2\n"])
def test_an_unknown_version_is_refused(version: Any) -> None:
    (fault,) = refused(small(version=version))
    assert (fault.pointer, fault.rule) == ("/version", "version")
    assert fault.fix == 'Write "v2" or "v3"'


def test_a_version_must_be_said() -> None:
    document = small()
    del document["version"]
    (fault,) = refused(document)
    assert (fault.pointer, fault.what) == ("/version", "is missing")
