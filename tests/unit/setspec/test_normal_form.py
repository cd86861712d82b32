"""The normal form: everything said, one order, one spelling; there and back again."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from setspec import form
from setspec.canonical import canonical, digest, fingerprint
from setspec.normal import Command, Exec, File, HttpProbe, Network, SecretRef, SetSpec
from setspec.setdocument import Defaults
from setspec.shape import dump, load
from setspec.units import GIB, MIB
from support.setdocs import (
    SSH_KEY,
    UUID,
    WHOLE,
    accepted,
    container,
    named,
    refused,
    small,
)
from support.setdraws import BUSY, v3_documents


def reference(name: str) -> SecretRef:
    return SecretRef(secret_ref=name)


def test_a_document_that_says_everything_is_read_whole() -> None:
    spec = accepted(WHOLE).spec
    assert (spec.version, spec.id, spec.appkey) == ("v3", 7, "com.example.shop.cart")
    assert dict(spec.labels) == {"team": "shop", "example.com/tier": "front"}
    assert spec.networks == (Network(name="prod", ip="10.20.0.5"), Network(vlan=12))
    assert spec.limits.shm == 128 * MIB
    assert spec.partition.stop_on_host_after_s == 120
    assert [volume.name for volume in spec.volumes] == ["data", "logs"]
    assert (spec.volumes[0].source, spec.volumes[0].quota) == (UUID, None)
    assert (spec.volumes[1].quota, spec.volumes[1].inodes) == (10 * GIB, 100000)
    assert spec.ssh is not None
    assert (spec.ssh.container, spec.ssh.keys) == ("web", (SSH_KEY,))
    assert spec.ssh.password == reference(named("", "correct horse"))
    assert spec.infra is not None
    assert spec.infra.privileged
    assert spec.infra.mounts[0].host_path == "/srv/shared"
    assert [name for name, _ in spec.workloads()] == ["infra", "log-shipper", "web"]
    web = spec.containers[1]
    assert (web.cpu, web.mem, web.user, web.workdir) == (800, 512 * MIB, "app:1000", "/srv/app")
    assert web.readiness.http == HttpProbe(port=8080, path="/health?deep=1")
    assert web.restart.policy == "on-failure"
    assert web.stop.before == Exec(cmd="/bin/drain")
    assert (web.limits.nofile, web.limits.writable) == (1024, GIB)
    assert dict(web.env)["LANG"] == "C.UTF-8"


def test_what_is_not_said_is_said_in_the_normal_form() -> None:
    spec = accepted(small()).spec
    web = spec.containers[0]
    assert spec.networks == (Network(name="default"),)
    assert spec.limits.shm == 64 * MIB
    assert (web.readiness.min_ready_s, web.readiness.ready_timeout_s) == (1, 60)
    assert (web.restart.policy, web.restart.base_s, web.restart.cap_s) == ("always", 1, 60)
    assert (web.stop.signal, web.stop.grace_s) == (None, 10)
    assert (web.limits.pids, web.limits.writable, web.limits.logs) == (512, 10 * GIB, 64 * MIB)
    assert spec.partition.replace_after_s is None
    assert (spec.infra, spec.ssh, spec.host_network) == (None, None, False)


def test_the_deployment_names_the_network_that_a_document_leaves_out() -> None:
    defaults = Defaults(network="front")
    assert accepted(small(), defaults).spec.networks == (Network(name="front"),)
    assert accepted(small(networks=[]), defaults).spec.networks == ()
    assert accepted(small(host_network=True), defaults).spec.networks == ()
    assert accepted(small(host_network=True, networks=[]), defaults).spec.networks == ()


def test_root_logs_in_to_the_first_container_unless_it_is_said() -> None:
    document = small(
        containers=[container(index=2), container(index=1, name="first")], ssh={"keys": [SSH_KEY]}
    )
    ssh = accepted(document).spec.ssh
    assert ssh is not None
    assert ssh.container == "first"


@pytest.mark.parametrize(
    ("command", "wanted"),
    [
        ({"cmd": "/x"}, Command(cmd="/x", args=())),
        ({"cmd": "/x", "args": ["a"]}, Command(cmd="/x", args=("a",))),
        ({"args": ["a"]}, Command(cmd=None, args=("a",))),
        ({"args": []}, Command(cmd=None, args=())),
    ],
)
def test_a_program_of_its_own_has_arguments_of_its_own(command: Any, wanted: Command) -> None:
    document = small(containers=[container(command=command)])
    assert accepted(document).spec.containers[0].command == wanted


@pytest.mark.parametrize(
    ("file", "wanted", "data"),
    [
        ({"content": "ü"}, File(path="/f", content="ü"), "ü".encode()),
        ({"content_base64": "w7w="}, File(path="/f", content="ü"), "ü".encode()),
        ({"content_base64": ""}, File(path="/f", content=""), b""),
        ({"content_base64": "gA=="}, File(path="/f", content_base64="gA=="), b"\x80"),
        ({"content_base64": "gB=="}, File(path="/f", content_base64="gA=="), b"\x80"),
        ({"content": "", "mode": "755"}, File(path="/f", content="", mode="0755"), b""),
        (
            {"content_base64": {"secret_ref": "s"}},
            File(path="/f", content_base64=reference("s")),
            b"\x81",
        ),
        (
            {"content": {"secret_ref": "t"}},
            File(path="/f", content=reference("t")),
            b"sesame",
        ),
    ],
)
def test_a_file_has_one_spelling(file: Any, wanted: File, data: bytes) -> None:
    document = small(containers=[container(files=[{"path": "/f", **file}])])
    (read,) = accepted(document).spec.containers[0].files
    assert read == wanted
    assert read.data({"s": "gQ==", "t": "sesame"}) == data


def test_a_file_whose_secret_is_missing_has_no_data() -> None:
    with pytest.raises(KeyError):
        File(path="/f", content=reference("s")).data({})


def test_an_address_has_one_spelling() -> None:
    document = small(networks=[{"name": "a", "ip": "2001:DB8:0:0::1"}])
    assert accepted(document).spec.networks[0].ip == "2001:db8::1"


def test_lists_without_an_order_are_put_in_one() -> None:
    paths = ["/c", "/a", "/b"]
    files = [{"path": f"/f{path}", "content": ""} for path in paths]
    mounts = [{"path": path, "volume": path[1:]} for path in paths]
    volumes = [{"name": path[1:], "quota": "16Mi"} for path in paths]
    web = container(index=5, files=files, mounts=mounts)
    spec = accepted(small(volumes=volumes, containers=[web, container(name="b", index=2)])).spec
    assert [volume.name for volume in spec.volumes] == ["a", "b", "c"]
    assert [each.name for each in spec.containers] == ["b", "web"]
    assert [file.path for file in spec.containers[1].files] == ["/f/a", "/f/b", "/f/c"]
    assert [mount.path for mount in spec.containers[1].mounts] == ["/a", "/b", "/c"]


def test_the_order_of_networks_keys_and_arguments_stays() -> None:
    networks = [{"name": "z"}, {"name": "a"}]
    command = {"cmd": "x", "args": ["z", "a"]}
    spec = accepted(small(networks=networks, containers=[container(command=command)])).spec
    assert [network.name for network in spec.networks] == ["z", "a"]
    assert spec.containers[0].command == Command(cmd="x", args=("z", "a"))


@BUSY
@given(v3_documents())
def test_good_documents_are_accepted(document: dict[str, Any]) -> None:
    assert refused(document) == ()


@BUSY
@given(v3_documents())
def test_the_normal_form_as_json_is_the_same_normal_form(document: dict[str, Any]) -> None:
    spec = accepted(document).spec
    written = dump(spec)
    again = accepted(json.dumps(written))
    assert form.check(written, "set-v3.json").found() == ()
    assert again.spec == spec
    assert again.secrets == ()
    assert again.document == written
    assert dump(again.spec) == written
    assert load(SetSpec, written) == spec
    assert fingerprint(again.spec) == fingerprint(spec)


def test_the_document_that_says_everything_goes_there_and_back() -> None:
    spec = accepted(WHOLE).spec
    assert accepted(dump(spec)).spec == spec


@BUSY
@given(v3_documents(), st.randoms(use_true_random=False))
def test_the_order_of_fields_and_containers_changes_no_fingerprint(
    document: dict[str, Any], chance: Any
) -> None:
    spec = accepted(document).spec
    fields = [*document.items()]
    chance.shuffle(fields)
    shuffled = {
        **dict(fields),
        "containers": chance.sample(document["containers"], len(document["containers"])),
    }
    assert fingerprint(accepted(shuffled).spec) == fingerprint(spec)


def test_fingerprints_differ_where_sets_differ() -> None:
    documents = [
        small(),
        small(appkey="b"),
        small(networks=[]),
        small(containers=[container(cpu="1001m")]),
        small(containers=[container(env={"A": ""})]),
        small(containers=[container(env={"A": {"secret_ref": "x"}})]),
        small(containers=[container(env={"A": {"secret_ref": "y"}})]),
    ]
    assert len({fingerprint(accepted(document).spec) for document in documents}) == len(documents)


def test_a_fingerprint_stays_what_it_is() -> None:
    """Hosts and the shim compare fingerprints that other editions of this package have made."""
    spec = accepted(small(id=1)).spec
    assert canonical(dump(spec)) == (
        b'{"appkey":"a","containers":[{"cpu":"1000m","env":{},"files":[],"image":"web","index":0,'
        b'"limits":{"logs":"64Mi","pids":512,"writable":"10Gi"},"mem":"64Mi","mounts":[],'
        b'"name":"web","readiness":{"min_ready_s":1,"period_s":1,"ready_timeout_s":60,'
        b'"timeout_s":1},"restart":{"base_s":1,"cap_s":60,"factor":2,"policy":"always",'
        b'"reset_after_s":300},"stop":{"grace_s":10}}],"host_network":false,"id":1,"labels":{},'
        b'"limits":{"shm":"64Mi"},"networks":[{"name":"default"}],"partition":{},"version":"v3",'
        b'"volumes":[]}'
    )
    assert fingerprint(spec) == digest(dump(spec))
    assert fingerprint(spec).startswith("sha256:")


def test_canonical_json_has_one_spelling() -> None:
    assert (
        canonical({"b": "ü\n", "a": [1, True, None]}) == '{"a":[1,true,null],"b":"ü\\n"}'.encode()
    )
    with pytest.raises(ValueError, match="Out of range"):
        canonical({"a": float("nan")})
