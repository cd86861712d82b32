"""What `climg` does with the sets of a host, as its user sees it."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support.agents import shop
from support.daemons import BIN, Daemon, busybox_layer, daemon_of, running_daemon, shop_image
from support.environment import wait_until
from support.hostplaces import HostPlace
from support.server import Server, running_server

LOGIN = {"networks": [{"name": "default"}], "ssh": {"password": "correct horse"}}


@pytest.fixture(scope="module")
def registry() -> Iterator[Server]:
    with running_server() as server:
        shop_image("1", busybox_layer()).push(server, "library/shop", "1")
        shop_image("bad", busybox_layer(), "/bin/false").push(server, "library/shop", "bad")
        yield server


@pytest.fixture
def daemon(place: HostPlace, registry: Server) -> Iterator[Daemon]:
    """An agent that runs; what a test has made is gone at the end."""
    found = daemon_of(place, registry)
    with running_daemon(found):
        yield found
        for each in json.loads(found.climg("set-list", "--json").stdout):
            found.climg("set-delete", each["set"], "--yes", "--purge", "--wait")


def create(daemon: Daemon, *containers: dict[str, Any], **said: Any) -> None:
    daemon.climg("set-create", "--wait", "-", stdin=json.dumps(shop(*containers, **said)))


def test_a_document_with_secrets_sent_again_changes_limits_and_no_process(daemon: Daemon) -> None:
    container = {"env": {"DB_PASSWORD": "sesame", "OTHER_TOKEN": "correct horse"}, "mem": "64Mi"}
    create(daemon, container, **LOGIN)
    before = daemon.show("shop")
    for mem in ("64Mi", "80Mi"):
        again = shop({**container, "mem": mem}, **LOGIN)
        daemon.climg("set-update", "shop", "-", "--wait", stdin=json.dumps(again))
    after = daemon.show("shop")
    assert after["generation"] == 3
    assert after["spec"]["containers"][0]["mem"] == "80Mi"
    assert after["containers"][0]["pid"] == before["containers"][0]["pid"]
    other = shop({**container, "env": {"DB_PASSWORD": "barley"}}, **LOGIN)
    daemon.climg("set-update", "shop", "-", "--wait", stdin=json.dumps(other))
    assert daemon.show("shop")["containers"][0]["pid"] != before["containers"][0]["pid"]
    said = daemon.climg("set-exec", "shop", "--", "/bin/sh", "-c", "echo $DB_PASSWORD")
    assert said.stdout == "barley\n"


def test_the_only_container_need_not_be_named_where_sshd_runs_beside_it(daemon: Daemon) -> None:
    create(daemon, {}, **LOGIN)
    assert daemon.climg("set-exec", "shop", "--", "cat", "/edition").stdout == "1\n"
    for name, code in {"nothing-like-it": 127, "/edition": 126}.items():
        done = daemon.climg("set-exec", "shop", "--", name, check=False)
        assert (done.returncode, done.stdout != "") == (code, True)
    assert daemon.climg("set-logs", "shop").stdout == "edition 1\n"
    assert "dropbear" in daemon.climg("set-exec", "shop", "--", "/bin/sh", "-c", "ps").stdout


def test_waiting_ends_where_the_set_is_as_it_is_to_be(daemon: Daemon) -> None:
    create(daemon, networks=[])
    daemon.climg("set-stop", "shop", "--wait")
    changed = json.dumps(shop({"mem": "80Mi"}, networks=[]))
    told = daemon.climg("set-update", "shop", "-", "--wait", stdin=changed)
    assert told.stdout.endswith("stopped\n")
    told = daemon.climg("set-update-image", "shop", "c0", "shop:1", "--wait")
    assert told.stdout.endswith("stopped\n")
    refused = daemon.climg("set-restart", "shop", check=False)
    assert (refused.returncode, "start it first" in refused.stderr) == (1, True)
    refused = daemon.climg("set-resume", "shop", check=False)
    assert (refused.returncode, "the set is stopped: start it" in refused.stderr) == (1, True)
    daemon.climg("set-start", "shop", "--wait")


def test_a_name_means_the_set_that_stays_and_a_deletion_says_whether_it_is_done(
    daemon: Daemon,
) -> None:
    lasting = {"command": {"cmd": "/bin/sleep", "args": ["1000"]}, "stop": {"grace_s": 3}}
    create(daemon, lasting, networks=[])
    first = daemon.show("shop")["set"]
    assert daemon.climg("set-delete", "shop", "--yes").stdout == f"deleting {first}\n"
    daemon.climg("set-create", "-", stdin=json.dumps(shop(networks=[])))
    second = daemon.show("shop")["set"]
    assert second != first
    done = daemon.climg("set-delete", "shop", "--yes", "--wait")
    assert done.stdout == f"deleted {second}\n"


def test_a_trouble_names_its_container_and_what_is_suspended_says_so(daemon: Daemon) -> None:
    create(daemon, {"mem": "64Mi"}, {}, networks=[])
    fill = "head -c 20000000 /dev/zero > /dev/shm/x"
    daemon.climg("set-exec", "shop", "-c", "c0", "--", "/bin/sh", "-c", fill)
    less = json.dumps(shop({"mem": "16Mi"}, {}, networks=[]))
    refused = daemon.climg("set-update", "shop", "-", "--wait", stdin=less, check=False)
    assert "is degraded: c0: the container uses" in refused.stderr
    daemon.climg("set-update-image", "shop", "c1", "shop:absent", check=False)
    wait_until(lambda: "no manifest absent" in daemon.show("shop").get("reason", ""), "the reason")
    daemon.climg("set-update", "shop", "-", "--wait", stdin=json.dumps(shop({}, {}, networks=[])))
    told = daemon.climg("set-suspend", "shop").stdout.split()
    assert told[1] in {"suspending", "suspended"}
    daemon.climg("set-suspend", "shop", "--wait")
    refused = daemon.climg("set-exec", "shop", "-c", "c0", "--", "id", check=False)
    assert "the set is suspended: resume it first" in refused.stderr
    daemon.climg("set-resume", "shop", "--wait")


def test_a_file_of_the_agent_s_own_that_is_lost_is_told_with_what_brings_it_back(
    daemon: Daemon,
) -> None:
    """It was called a full disk."""
    create(daemon, networks=[])
    found = daemon.show("shop")
    home = daemon.place.state / "sets" / found["set"]
    (home / "containers" / "c0" / found["containers"][0]["attempt"] / "config.json").unlink()
    refused = daemon.climg("set-exec", "shop", "--", "id", check=False)
    assert refused.returncode == 1
    assert "config.json cannot be read: No such file" in refused.stderr
    assert "restart the container" in refused.stderr
    assert "free space" not in refused.stderr
    daemon.climg("set-restart", "shop", "--wait")
    daemon.climg("set-exec", "shop", "--", "id")
    for harm in ('{"containers": [', "[]"):
        (home / "document.json").write_text(harm)
        refused = daemon.climg("set-update-image", "shop", "c0", "shop:1", check=False)
        assert refused.returncode == 1
        assert "document.json cannot be read: " in refused.stderr
        assert "send the whole document (set-update)" in refused.stderr
    daemon.climg("set-update", "shop", "-", "--wait", stdin=json.dumps(shop(networks=[])))
    daemon.climg("set-update-image", "shop", "c0", "shop:1", "--wait")


def test_waiting_for_an_image_that_is_not_there_ends_with_the_reason(daemon: Daemon) -> None:
    document = json.dumps(shop({"image": "shop:absent"}, networks=[]))
    done = daemon.climg("set-create", "--wait", "-", stdin=document, check=False)
    assert done.returncode == 1
    assert "is creating still" in done.stderr
    assert "no manifest absent" in done.stderr


def test_an_operation_that_does_not_come_to_its_end_is_told_with_the_reason(daemon: Daemon) -> None:
    healthy = {"cmd": "/bin/test", "args": ["!", "-e", "/broken"]}
    readiness = {"exec": healthy, "min_ready_s": 0, "ready_timeout_s": 1}
    create(daemon, {"readiness": readiness}, networks=[])
    daemon.climg("set-exec", "shop", "--", "touch", "/broken")
    done = daemon.climg("set-restart", "shop", "--wait", check=False)
    assert done.returncode == 1
    assert "the operation goes on, and " in done.stderr
    assert "is degraded: c0: not ready within 1 s" in done.stderr


def test_an_operation_on_a_container_that_is_not_there_is_refused(daemon: Daemon) -> None:
    create(daemon, networks=[])
    for verb in ("set-restart", "set-rebuild-disk"):
        refused = daemon.climg(verb, "shop", "-c", "c0", "-c", "nope", check=False)
        assert refused.returncode == 1
        assert refused.stderr == "climg: the set has no container 'nope'\n"
    assert daemon.show("shop")["operations"] == []


def test_input_that_is_no_text_is_told_in_a_line(daemon: Daemon) -> None:
    create(daemon, networks=[])
    agent: list[str | Path] = [BIN / "climg", "--agent", f"unix:{daemon.socket}"]
    for words in (["set-exec", "shop", "-i", "--", "cat"], ["set-password", "shop", "-i"]):
        done = subprocess.run([*agent, *words], input=b"\xff\xfe", capture_output=True, check=False)
        assert done.returncode == 2
        assert done.stderr == b"climg: the standard input is no text in UTF-8, from byte 0 on\n"


def test_what_was_rolled_back_is_not_shown_as_what_runs(daemon: Daemon) -> None:
    create(daemon, {"readiness": {"min_ready_s": 2}}, networks=[])
    (former,) = daemon.show("shop")["containers"]
    refused = daemon.climg("set-update-image", "shop", "c0", "shop:bad", "--wait", check=False)
    assert refused.returncode == 1
    shown = daemon.climg("set-show", "shop").stdout
    assert f"c0: {former['digest']}, as shop:bad was rolled back\n" in shown
    assert "c0, generation 2: ended with 1 before it was ready\n" in shown
    daemon.climg("set-update-image", "shop", "c0", "shop:1", "--wait")
    shown = daemon.climg("set-show", "shop").stdout
    assert f"c0: shop:1 ({former['digest']})\n" in shown


def test_of_much_output_the_end_is_told_and_that_there_was_more(daemon: Daemon) -> None:
    create(daemon, networks=[])
    script = "dd if=/dev/zero bs=1048576 count=64 2>/dev/null; echo the end"
    done = daemon.climg("set-exec", "shop", "--", "/bin/sh", "-c", script)
    assert len(done.stdout) == 1 << 20
    assert done.stdout.endswith("the end\n")
    assert "only the end of the output" in done.stderr


def test_every_fault_of_a_document_has_a_line_of_its_own(daemon: Daemon) -> None:
    document = json.dumps(shop({"imagee": "web:1", "mem": "512"}, {"cpu": "0"}))
    done = daemon.climg("set-create", "-", stdin=document, check=False)
    first, *others = done.stderr.splitlines()
    assert first == "climg: the document has 3 faults; nothing was changed"
    assert [line.split()[0] for line in others] == [
        "/containers/0/imagee",
        "/containers/0/mem",
        "/containers/1/cpu",
    ]
    for text, said in (("{", "the document is not JSON"), ("[]", "the document is no object")):
        done = daemon.climg("set-create", "-", stdin=text, check=False)
        assert done.stderr.startswith(f"climg: {said}")


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("set-show", ""), 1, "there is no set ''"),
        (("set-delete", "--yes", ".."), 1, "there is no set '..'"),
        (("set-logs", "../cache"), 1, "there is no set '../cache'"),
        (("volume-purge", "--yes", "a/b"), 1, "there is no volume 'a/b'"),
        (("set-create", "--key", "", "-"), 2, "--key is a word"),
        (("set-create", "--key", "a\nb", "-"), 2, "--key is a word"),
        (("set-create", "--key", "\u00e4", "-"), 2, "--key is a word"),
    ],
)
def test_what_is_no_name_is_told_in_a_line(
    daemon: Daemon, words: tuple[str, ...], code: int, said: str
) -> None:
    done = daemon.climg(*words, stdin="{}", check=False)
    assert (done.returncode, done.stderr.count("\n")) == (code, 1), done.stderr
    assert said in done.stderr


def test_one_set_shows_its_images_and_volumes(daemon: Daemon) -> None:
    mounts = {"mounts": [{"path": "/vol", "volume": "data"}]}
    create(daemon, mounts, networks=[], volumes=[{"name": "data", "quota": "16Mi"}])
    found = daemon.show("shop")
    lines = [" ".join(line.split()) for line in daemon.climg("set-show", "shop").stdout.split("\n")]
    assert f"image c0: shop:1 ({found['containers'][0]['digest']})" in lines
    volume = found["volumes"][0]
    room = f"{volume['used_bytes']} of {16 * 2**20} bytes"
    assert f"volume data ({volume['id']}), loop: {room}" in lines


def test_a_callers_number_is_one_sets_of_an_application(daemon: Daemon) -> None:
    first = json.dumps(shop(networks=[], id=7))
    daemon.climg("set-create", "--wait", "-", stdin=first)
    refused = daemon.climg("set-create", "-", stdin=first, check=False)
    assert refused.returncode == 1
    assert "/id is 7" in refused.stderr
    assert len(json.loads(daemon.climg("set-list", "--json").stdout)) == 1
    daemon.climg("set-create", "--wait", "-", stdin=json.dumps(shop(networks=[], id=8)))
    second = json.loads(daemon.climg("set-list", "--json").stdout)[1]["set"]
    refused = daemon.climg("set-update", second, "-", stdin=first, check=False)
    assert (refused.returncode, "/id is 7" in refused.stderr) == (1, True)


def test_a_key_makes_one_set_and_no_other_when_that_is_gone(daemon: Daemon) -> None:
    words = ("set-create", "--key", "k1", "--wait", "-")
    document = json.dumps(shop(networks=[]))
    daemon.climg(*words, stdin=document)
    other = daemon.climg(*words, stdin=json.dumps(shop({}, {}, networks=[])), check=False)
    assert (other.returncode, "of another document" in other.stderr) == (1, True)
    daemon.climg("set-delete", "shop", "--yes", "--wait")
    again = daemon.climg(*words, stdin=document, check=False)
    assert (again.returncode, "which is deleted: say another key" in again.stderr) == (1, True)


def test_what_this_host_cannot_give_is_refused_at_its_field(daemon: Daemon) -> None:
    own = shop({"mem": "80Mi"}, networks=[{"name": "default", "ip": "10.212.0.9"}])
    create(daemon, networks=own["networks"])
    daemon.climg("set-update", "shop", "-", "--wait", stdin=json.dumps(own))
    assert daemon.show("shop")["addresses"] == ["10.212.0.9/24"]
    for said, fault in (
        (shop(networks=[{"vlan": 12}]), "/networks/0/vlan is 12"),
        (shop(networks=[{"name": "prod"}]), '/networks/0/name is "prod"'),
        (shop(networks=[{"name": "default", "ip": "10.9.9.9"}]), '/networks/0/ip is "10.9.9.9"'),
        (shop(networks=[{"name": "default", "ip": "10.212.0.9"}]), "is another set's"),
        (shop({"mem": "12Ti"}, networks=[]), '/containers/0/mem is "12Ti"'),
        (shop({}, {"cpu": "900"}, networks=[]), '/containers/1/cpu is "900000m"'),
    ):
        done = daemon.climg("set-create", "-", stdin=json.dumps(said), check=False)
        assert (done.returncode, fault in done.stderr) == (1, True), done.stderr
    assert len(json.loads(daemon.climg("set-list", "--json").stdout)) == 1
