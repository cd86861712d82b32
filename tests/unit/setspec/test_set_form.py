"""Every field's form in a v3 document, and how a fault is told."""

from typing import Any

import pytest

from setspec.faults import DocumentInvalid, Fault, pointer, shown
from support.setdocs import SSH_KEY, TALK, WHOLE, accepted, cloned, container, refused, small, told

REMOVE = object()


def changed(path: str, value: Any) -> dict[str, Any]:
    """The whole document with *value* at *path*."""
    document = cloned(WHOLE)
    holder: Any = document
    steps = [int(step) if step.isdecimal() else step for step in path.strip("/").split("/")]
    for step in steps[:-1]:
        holder = holder[step]
    if value is REMOVE:
        del holder[steps[-1]]
    else:
        holder[steps[-1]] = value
    return document


WEB = "/containers/0"
LONG = "a" * 2000

FAULTS: list[tuple[str, Any, str]] = [
    ("/id", -1, "minimum"),
    ("/id", 2**53, "maximum"),
    ("/id", "7", "type"),
    ("/id", True, "type"),
    ("/id", 1.5, "type"),
    ("/id", None, "type"),
    ("/appkey", "", "pattern"),
    ("/appkey", "a b", "pattern"),
    ("/appkey", "a\n", "pattern"),
    ("/appkey", "-a", "pattern"),
    ("/appkey", LONG, "maxLength"),
    ("/appkey", REMOVE, "required"),
    ("/labels", [], "type"),
    ("/labels/a b", "x", "pattern"),
    ("/labels/team", 5, "type"),
    ("/labels/team", LONG, "maxLength"),
    ("/host_network", "yes", "type"),
    ("/networks", "prod", "type"),
    ("/networks", [{"name": f"n{n}"} for n in range(9)], "maxItems"),
    ("/networks/0/name", "Prod", "pattern"),
    ("/networks/0/name", REMOVE, "required"),
    ("/networks/0/vlan", 5, "excluded"),
    ("/networks/1/vlan", 0, "minimum"),
    ("/networks/1/vlan", 4095, "maximum"),
    ("/networks/0/ip", "10.20.0", "format"),
    ("/networks/0/ip", "224.0.0.1", "format"),
    ("/networks/0/ip", "127.0.0.1", "format"),
    ("/networks/0/ip", "::", "format"),
    ("/networks/0/ip", "fe80::1%eth0", "format"),
    ("/networks/0/mac", "x", "additionalProperties"),
    ("/infra", [], "type"),
    ("/infra/image", REMOVE, "required"),
    ("/infra/name", "x", "additionalProperties"),
    ("/infra/index", 0, "additionalProperties"),
    ("/infra/privileged", 1, "type"),
    ("/volumes/0/name", "Logs", "pattern"),
    ("/volumes/0/name", "a/../b", "pattern"),
    ("/volumes/0/name", "a/", "pattern"),
    ("/volumes/0/name", REMOVE, "required"),
    ("/volumes/0/quota", REMOVE, "required"),
    ("/volumes/0/quota", 100, "type"),
    ("/volumes/0/quota", "100", "pattern"),
    ("/volumes/0/quota", "1Mi", "format"),
    ("/volumes/0/quota", "65Ti", "format"),
    ("/volumes/0/quota", "99999999999999999999999Ti", "pattern"),
    ("/volumes/0/inodes", 1, "minimum"),
    ("/volumes/1/from", "6F1C1A52-8d0e-4c3f-9d57-2b7f0c0a4e11", "pattern"),
    ("/volumes/1/from", "../../etc", "pattern"),
    ("/limits/shm", "65Gi", "format"),
    ("/limits/pids", 5, "additionalProperties"),
    ("/ssh", {}, "required"),
    ("/ssh", True, "type"),
    ("/ssh/keys", [SSH_KEY] * 65, "maxItems"),
    ("/ssh/keys/0", 'command="x" ' + SSH_KEY, "pattern"),
    ("/ssh/keys/0", "ssh-dss AAAA", "pattern"),
    ("/ssh/keys/0", SSH_KEY + "\nssh-rsa AAAA", "pattern"),
    ("/ssh/keys/0", SSH_KEY + "\n", "pattern"),
    ("/ssh/container", "infra", "pattern"),
    ("/ssh/password", "short", "minLength"),
    ("/ssh/password", "x" * 129, "maxLength"),
    ("/ssh/password", "12345678\n", "pattern"),
    ("/ssh/password", 12345678, "type"),
    ("/ssh/password", {}, "minProperties"),
    ("/ssh/password", {"secret": "12345678", "secret_ref": "a"}, "maxProperties"),
    ("/ssh/password/secret", "short", "minLength"),
    ("/ssh/password/secret_ref", "../x", "pattern"),
    ("/ssh/password/hash", "x", "additionalProperties"),
    ("/partition/stop_on_host_after_s", 29, "minimum"),
    ("/partition/stop_on_host_after_s", "2m", "type"),
    ("/partition/replace_after_s", 59, "minimum"),
    ("/containers", [], "minItems"),
    ("/containers", {}, "type"),
    ("/containers", REMOVE, "required"),
    (WEB, None, "type"),
    (WEB + "/name", "web_1", "pattern"),
    (WEB + "/name", "a" * 64, "maxLength"),
    (WEB + "/name", "..", "pattern"),
    (WEB + "/name", "a/b", "pattern"),
    (WEB + "/name", REMOVE, "required"),
    (WEB + "/index", -1, "minimum"),
    (WEB + "/index", 1024, "maximum"),
    (WEB + "/index", REMOVE, "required"),
    (WEB + "/image", "Web", "pattern"),
    (WEB + "/image", "", "pattern"),
    (WEB + "/image", "web:", "pattern"),
    (WEB + "/image", "web@sha256:1", "pattern"),
    (WEB + "/image", "a//b", "pattern"),
    (WEB + "/image", "https://r/a", "pattern"),
    (WEB + "/image", "../a", "pattern"),
    (WEB + "/image", REMOVE, "required"),
    (WEB + "/cpu", 1, "type"),
    (WEB + "/cpu", "1c", "pattern"),
    (WEB + "/cpu", "-1", "pattern"),
    (WEB + "/cpu", "9m", "format"),
    (WEB + "/cpu", "0.0101", "format"),
    (WEB + "/mem", "512", "pattern"),
    (WEB + "/mem", "1Mi", "format"),
    (WEB + "/mem", REMOVE, "required"),
    (WEB + "/memory", "1Gi", "additionalProperties"),
    (WEB + "/privileged", True, "additionalProperties"),
    (WEB + "/command", {}, "minProperties"),
    (WEB + "/command", "/bin/web", "type"),
    (WEB + "/command/cmd", "", "minLength"),
    (WEB + "/command/cmd", "a\0b", "pattern"),
    (WEB + "/command/args", "x", "type"),
    (WEB + "/command/args", ["x"] * 1025, "maxItems"),
    (WEB + "/command/args/0", "a\0b", "pattern"),
    (WEB + "/command/args/0", "a" * 32001, "maxLength"),
    (WEB + "/env/A=B", "x", "pattern"),
    (WEB + "/env/1A", "x", "pattern"),
    (WEB + "/env/LANG", 5, "type"),
    (WEB + "/env/LANG", "a\0b", "pattern"),
    (WEB + "/env/LANG", {}, "minProperties"),
    (WEB + "/env/LANG/secret", 5, "type"),
    (WEB + "/env/LANG/value", "x", "additionalProperties"),
    (WEB + "/user", "-root", "pattern"),
    (WEB + "/user", "a:b:c", "pattern"),
    (WEB + "/workdir", "srv", "pattern"),
    (WEB + "/workdir", "/srv/../etc", "pattern"),
    (WEB + "/workdir", "/srv/", "pattern"),
    (WEB + "/files/0/path", "etc/web", "pattern"),
    (WEB + "/files/0/path", "/etc/../../root/x", "pattern"),
    (WEB + "/files/0/path", "/etc/./x", "pattern"),
    (WEB + "/files/0/path", "/etc//x", "pattern"),
    (WEB + "/files/0/path", "/etc/..", "pattern"),
    (WEB + "/files/0/path", "/etc/a\nb", "pattern"),
    (WEB + "/files/0/path", "/etc/a\n", "pattern"),
    (WEB + "/files/0/path", "/etc/a\0", "pattern"),
    (WEB + "/files/0/path", "/" + "a" * 256, "pattern"),
    (WEB + "/files/0/path", "/a" * 600, "maxLength"),
    (WEB + "/files/0/path", "/proc/sys/kernel/core_pattern", "pattern"),
    (WEB + "/files/0/path", "/dev/sda", "pattern"),
    (WEB + "/files/0/path", "/", "pattern"),
    (WEB + "/files/0/content", REMOVE, "required"),
    (WEB + "/files/0/content", 5, "type"),
    (WEB + "/files/0/content", "a" * (2**20 + 1), "maxLength"),
    (WEB + "/files/0/content_base64", "AA==", "excluded"),
    (WEB + "/files/1/content_base64", "AA", "format"),
    (WEB + "/files/1/content_base64", "A\nA==", "format"),
    (WEB + "/files/1/content_base64", "é", "format"),
    (WEB + "/files/0/mode", "4755", "pattern"),
    (WEB + "/files/0/mode", "999", "pattern"),
    (WEB + "/files/0/mode", 420, "type"),
    (WEB + "/files/0/uid", -1, "minimum"),
    (WEB + "/files/0/uid", 2**32 - 1, "maximum"),
    (WEB + "/mounts/0/path", "/", "pattern"),
    (WEB + "/mounts/0/path", "/sys", "pattern"),
    (WEB + "/mounts/0/path", "/proc/1", "pattern"),
    (WEB + "/mounts/0/path", "/dev/pts", "pattern"),
    (WEB + "/mounts/0/path", "/opt/../etc", "pattern"),
    (WEB + "/mounts/0/path", REMOVE, "required"),
    (WEB + "/mounts/0/host_path", "/srv", "excluded"),
    (WEB + "/mounts/0/read_only", "no", "type"),
    ("/infra/mounts/0/host_path", "../x", "pattern"),
    (WEB + "/readiness/http/port", 0, "minimum"),
    (WEB + "/readiness/http/port", 65536, "maximum"),
    (WEB + "/readiness/http/path", "health", "pattern"),
    (WEB + "/readiness/http/path", "/a b", "pattern"),
    (WEB + "/readiness/http/path", "/\r\nHost: x", "pattern"),
    (WEB + "/readiness/period_s", 0, "minimum"),
    (WEB + "/readiness/min_ready_s", 90000, "maximum"),
    ("/containers/1/readiness/exec", {}, "required"),
    (WEB + "/restart/policy", "sometimes", "enum"),
    (WEB + "/restart/factor", 11, "maximum"),
    (WEB + "/stop/signal", "TERM", "enum"),
    (WEB + "/stop/grace_s", 3601, "maximum"),
    (WEB + "/stop/before/cmd", REMOVE, "required"),
    (WEB + "/limits/pids", 0, "minimum"),
    (WEB + "/limits/nofile", "1k", "type"),
    (WEB + "/limits/writable", "15Mi", "format"),
    (WEB + "/limits/logs", "1B", "format"),
]


@pytest.mark.parametrize(("path", "value", "rule"), FAULTS)
def test_a_fault_is_told_at_its_field(path: str, value: Any, rule: str) -> None:
    faults = refused(with_parents(path, value))
    ours = [fault for fault in faults if fault.pointer.startswith(path)]
    assert ours, faults
    assert ours[0].rule == rule
    assert ours[0].what
    assert ours[0].why or ours[0].fix


def with_parents(path: str, value: Any) -> dict[str, Any]:
    """*changed*, where a text stands in the place of an object that *path* goes through."""
    for text in ("/env/LANG", "/ssh/password"):
        if text + "/" in path:
            before, _, name = path.rpartition("/")
            return changed(before, {name: value})
    return changed(path, value)


def test_ssh_needs_a_key_or_a_password() -> None:
    lacking: list[dict[str, Any]] = [{}, {"keys": []}, {"container": "web"}]
    for ssh in lacking:
        assert told(small(ssh=ssh)) == [("/ssh/password", "required")]
    assert told(small(ssh={"keys": [], "password": {"secret_ref": "a"}})) == []


@pytest.mark.parametrize(
    ("probes", "fault"),
    [
        ({"exec", "tcp"}, "tcp"),
        ({"exec", "http"}, "http"),
        ({"tcp", "http"}, "http"),
    ],
)
def test_there_is_one_probe(probes: set[str], fault: str) -> None:
    every = {"exec": {"cmd": "x"}, "tcp": {"port": 1}, "http": {"port": 1}}
    readiness = {name: every[name] for name in probes}
    document = small(containers=[container(readiness=readiness)])
    assert told(document) == [(f"/containers/0/readiness/{fault}", "excluded")]


def test_a_fault_says_what_was_meant() -> None:
    (fault,) = refused(changed(WEB + "/imagee", "x"))
    assert str(fault) == '/containers/0/imagee is not known here. Did you mean "image"?'
    (fault,) = refused(changed("/networks/0/xyzzy", "x"))
    assert fault.fix == "Known are name, vlan, ip"
    (fault,) = refused(changed(WEB + "/restart/policy", "sometimes"))
    assert fault.what == 'is "sometimes"'
    assert fault.fix == 'Write one of "always", "on-failure", "never"'
    (fault,) = refused(changed(WEB + "/mounts/0/path", "opt"))
    assert fault.fix == 'Write it like "/opt/logs"'
    (fault,) = refused(changed(WEB + "/readiness/tcp", {"port": 1}))
    assert fault.what == 'stands beside "tcp", and only one of the two can'
    (fault,) = refused(changed(WEB + "/image", REMOVE))
    assert fault.what == "is missing"
    assert fault.why.startswith("An image:")
    assert fault.fix == 'Add "image"'
    (fault,) = refused(changed("/id", None))
    assert (fault.what, fault.fix) == ("is null, not a whole number", "Write a whole number")


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("/ssh/password", "canary\n"),
        ("/ssh/password", {"secret": "canary\n"}),
        ("/ssh/password", ["canary"]),
        (WEB + "/env/LANG", "canary\0"),
        (WEB + "/env/LANG", {"secret": "canary\0"}),
        (WEB + "/env/LANG", ["canary"]),
        (WEB + "/files/1/content_base64", "canary"),
        (WEB + "/files/1/content_base64", {"secret": "canary"}),
        (WEB + "/files/0/content", {"secret": ["canary"]}),
        ("/ssh/keys/0", "canary"),
    ],
)
def test_a_fault_never_tells_what_may_be_a_secret(path: str, value: Any) -> None:
    with pytest.raises(DocumentInvalid) as caught:
        accepted(changed(path, value))
    assert "canary" not in str(caught.value) + str(caught.value.as_json()) + repr(caught.value)


def test_a_fault_as_json() -> None:
    with pytest.raises(DocumentInvalid) as caught:
        accepted(small(id="x"))
    assert caught.value.as_json() == {
        "faults": [
            {
                "pointer": "/id",
                "rule": "type",
                "what": "is a string, not a whole number",
                "why": "The caller's own number of the set, unique in its project and appkey",
                "fix": "Write a whole number",
            }
        ],
        "more": False,
    }
    assert str(caught.value) == str(caught.value.faults[0])


def test_a_pointer_escapes_and_a_long_value_is_cut() -> None:
    assert pointer(("a/b", 0, "c~d", "")) == "/a~1b/0/c~0d/"
    assert pointer(()) == ""
    assert shown("é") == '"\\u00e9"'
    assert len(shown("x" * 1000)) == 63
    assert str(Fault((), "json", "is no JSON", "", "")) == "the document is no JSON"
    assert "\x1b" not in str(Fault(("\x1b[2J",), "json", "is odd", "", ""))


def test_an_image_is_named_as_docker_pull_takes_it() -> None:
    digest = "@sha256:" + "a" * 64
    for image in (
        "hulk.test-prod",
        "web:1",
        "localhost:5000/a",
        "r.example/a_b/c--d/e:V1.0" + digest,
        "[::1]:5000/a",
        "a" + digest,
    ):
        assert told(small(containers=[container(image=image)])) == []


def test_text_is_taken_as_it_is() -> None:
    odd = "ü \n\t\x1b $(rm) 😀"
    document = small(
        containers=[container(command={"cmd": odd, "args": [odd, ""]}, env={"A": odd})]
    )
    web = accepted(document).spec.containers[0]
    assert web.command is not None
    assert (web.command.cmd, web.command.args) == (odd, (odd, ""))
    assert dict(web.env) == {"A": odd}


def test_a_v2_document_knows_nothing_of_v3() -> None:
    document = TALK.replace('"id": 1', '"id": 1, "networks": []')
    assert told(document) == [("/networks", "additionalProperties")]
