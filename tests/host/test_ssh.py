import json
import os
import signal
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from hostagent.describe import describe
from hostagent.records import Attempt, AttemptState, OperationState, Trouble
from setspec.desired import DesiredSet, Level, RebuildDisk, Restart, SetPassword
from setspec.normal import SecretRef
from setspec.status import SetState, SetStatus
from sshd import kit
from sshd.password import hashed
from support.agents import Agent, at, changed, operated, placed, running_agent, shop
from support.environment import wait_until
from support.hostplaces import HostPlace
from support.logins import Client

PASSWORD = "correct horse canary-5b1e"  # noqa: S105
NETWORK = [{"name": "default"}]


@pytest.fixture
def client(tmp_path: Path) -> Client:
    return Client(tmp_path)


@pytest.fixture
def agent(place: HostPlace, request: pytest.FixtureRequest) -> Iterator[Agent]:
    """With the runtime that a test names, or crun."""
    with running_agent(place, program=getattr(request, "param", "crun")) as running:
        yield running


def told(agent: Agent, desired: DesiredSet) -> SetStatus:
    return describe(agent.host, agent.row(desired))


def let_in(agent: Agent, client: Client, desired: DesiredSet) -> SetStatus:
    """Take a set, and wait until one can log in; the client knows its host key then."""
    agent.take(desired)
    wait_until(lambda: told(agent, desired).state is SetState.RUNNING, "a login", 60)
    status = told(agent, desired)
    client.trust(desired.allocation.ports[0].addresses[0].partition("/")[0], status.host_keys)
    return status


@pytest.mark.parametrize("agent", ["crun", "runc"], indirect=True)
@pytest.mark.parametrize("image", ["shop:1", "sshd:1"])
def test_root_logs_in_by_key_and_password_whether_or_not_the_image_has_sshd(
    agent: Agent, client: Client, image: str
) -> None:
    volume = {"image": image, "mounts": [{"path": "/opt/data", "volume": "data"}]}
    document = shop(
        volume,
        {},
        networks=NETWORK,
        volumes=[{"name": "data", "quota": "1Gi"}],
        ssh={"container": "c0", "keys": [client.public], "password": PASSWORD},
    )
    desired = placed(document)
    assert len(let_in(agent, client, desired).host_keys) == 1
    has_own = (agent.root(desired, "c0") / "usr/sbin/sshd").exists()
    assert has_own == (image == "sshd:1")
    for password in (None, PASSWORD):
        answer = client.run(
            agent, desired, "id -u; hostname; ps; ls /bin/run.sh", password=password
        )
        assert answer.code == 0, answer.said
        uid, hostname, *processes, program = answer.output.splitlines()
        assert (uid, hostname, program) == ("0", "h2", "/bin/run.sh")
        assert any(line.split()[0] == "1" and "run.sh" in line for line in processes)
        assert any(("/usr/sbin/sshd" if has_own else "dropbear") in line for line in processes)
    assert client.run(agent, desired, "tty", tty=True).output.split()[-1] == "/dev/pts/0"
    assert client.run(agent, desired, "exit 7").code == 7
    assert client.run(agent, desired, "echo kept > /opt/data/file; echo here > /var/f").code == 0
    assert agent.run_in(desired, "c0", "cat", "/opt/data/file", "/var/f") == "kept\nhere\n"
    refused = client.run(agent, desired, "id", password="wrong horse")  # noqa: S106
    assert (refused.code, "Permission denied" in refused.said) == (255, True)
    assert client.run(agent, desired, "id", user="web").code == 255
    agent.delete(desired, purge=True)


def test_root_alone_is_let_in_by_an_image_without_his_group(agent: Agent, client: Client) -> None:
    desired = placed(shop({"image": "groupless:1"}, networks=NETWORK, ssh={"password": PASSWORD}))
    agent.images.add("groupless:1", "sha256:" + "f" * 64, {"config": {"Cmd": ["/bin/run.sh"]}}, {
        "bin/run.sh": "#!/bin/sh\nwhile true; do sleep 0.1; done\n", "etc/group": "web:x:1000:\n",
        "etc/shadow": f"root:*:1::::::\nweb:{hashed('another horse')}:1::::::\n",
    })  # fmt: skip
    let_in(agent, client, desired)
    assert client.run(agent, desired, "id -u", password=PASSWORD).output == "0\n"
    refused = client.run(agent, desired, "id", user="web", password="another horse")  # noqa: S106
    assert (refused.code, refused.output) == (255, "")
    agent.delete(desired)


def test_who_is_in_roots_group_or_has_his_number_is_not_let_in_as_he_is(
    agent: Agent, client: Client
) -> None:
    """Images have such accounts; who made them did not think of a door."""
    desired = placed(shop(
        {"image": "many:1"}, networks=NETWORK, ssh={"password": PASSWORD, "keys": [client.public]}
    ))  # fmt: skip
    others = {"toor": "0:0", "web": "1000:0", "member": "1001:1001"}
    hashes = "".join(f"{name}:{hashed('another horse')}:1::::::\n" for name in others)
    agent.images.add("many:1", "sha256:" + "ab" * 32, {"config": {"Cmd": ["/bin/run.sh"]}}, {
        "bin/run.sh": "#!/bin/sh\nwhile true; do sleep 0.1; done\n",
        "etc/passwd": "".join(f"{name}:x:{ids}::/home:/bin/sh\n" for name, ids in others.items())
        + "root:x:0:0::/root:/bin/sh\n",
        "etc/group": "root:x:0:member\n",
        "etc/shadow": f"root:*:1::::::\n{hashes}",
        "home/.ssh/authorized_keys": f"{client.public}\n",
    })  # fmt: skip
    let_in(agent, client, desired)
    assert client.run(agent, desired, "id -un", password=PASSWORD).output == "toor\n"  # root, too
    assert client.run(agent, desired, "echo $HOME").output == "/root\n"
    for name in others:
        for password in ("another horse", None):
            refused = client.run(agent, desired, "id", user=name, password=password)
            assert (refused.code, refused.output) == (255, ""), name
    agent.delete(desired)


def test_what_is_done_by_ssh_counts_against_the_containers_limits(
    agent: Agent, client: Client
) -> None:
    document = shop({"mem": "48Mi"}, networks=NETWORK, ssh={"keys": [client.public]})
    desired = placed(document)
    let_in(agent, client, desired)
    container, sshd = agent.current(desired, "c0"), agent.current(desired, "_ssh")
    groups = Path(f"/proc/{sshd.init_pid}/cgroup").read_text()
    assert f"/sets/{desired.set}/{container.id}/{sshd.id}\n" in groups
    before = agent.host.runtime.memory_used(desired.set, container.id)
    greedy = client.run(agent, desired, "dd if=/dev/zero of=/dev/null bs=96M count=1")
    assert greedy.code != 0  # of 48 MiB it cannot have 96
    assert before is not None
    assert client.run(agent, desired, "echo alive").output == "alive\n"
    assert agent.current(desired, "c0").id == container.id
    agent.delete(desired)


def test_the_host_key_stays_and_sshd_is_there_again_whatever_becomes_of_the_container(
    agent: Agent, client: Client
) -> None:
    document = shop(networks=NETWORK, ssh={"keys": [client.public]})
    desired = placed(document)
    keys = let_in(agent, client, desired).host_keys
    first = agent.current(desired, "_ssh")

    def again(former: Attempt) -> Attempt:
        def is_new() -> bool:
            found = agent.host.store.rows(Attempt, set=desired.set, container="_ssh")
            return any(each.id != former.id and each.ready_at is not None for each in found)

        wait_until(is_new, "another sshd", 60)
        wait_until(lambda: told(agent, desired).state is SetState.RUNNING, "a login", 60)
        assert told(agent, desired).host_keys == keys
        answer = client.run(agent, desired, "echo in")
        assert answer.output == "in\n", answer.said
        return agent.current(desired, "_ssh")

    container = agent.current(desired, "c0")
    assert first.init_pid is not None
    os.kill(first.init_pid, signal.SIGKILL)
    second = again(first)
    assert agent.current(desired, "c0") == container  # it alone was started again
    agent.take(operated(desired, Restart())[0])
    third = again(second)
    agent.take(operated(desired, RebuildDisk())[0])
    fourth = again(third)
    document["containers"][0]["image"] = "shop:2"
    desired = changed(desired, document)
    agent.take(desired)
    wait_until(lambda: agent.current(desired, "c0").digest.endswith("2"), "the second edition")
    fifth = again(fourth)
    for level, state in ((Level.SUSPENDED, SetState.SUSPENDED), (Level.RUNNING, SetState.RUNNING)):
        agent.take(at(desired, level))
        wait_until(lambda: told(agent, desired).state is state, state)  # noqa: B023
    assert client.run(agent, desired, "echo in").output == "in\n"
    assert agent.current(desired, "_ssh") == fifth
    agent.take(at(desired, Level.STOPPED))
    wait_until(lambda: told(agent, desired).state is SetState.STOPPED, "its end")
    wait_until(lambda: not agent.attempts(desired), "nothing that runs")
    agent.take(at(desired, Level.RUNNING))
    again(fifth)
    document.pop("ssh")
    desired = changed(desired, document)
    agent.take(desired)
    wait_until(lambda: "_ssh" not in agent.states(desired), "the end of sshd")
    assert agent.current(desired, "c0").state is AttemptState.STARTED
    agent.delete(desired)


def test_a_password_is_changed_at_once_and_who_is_logged_in_stays(
    agent: Agent, client: Client
) -> None:
    desired = placed(shop(networks=NETWORK, ssh={"password": PASSWORD}))
    let_in(agent, client, desired)
    sshd = agent.current(desired, "_ssh")
    args = SetPassword(password=SecretRef(secret_ref="fresh"))  # noqa: S106
    asked, operation = operated(desired, args)
    agent.take_secret(asked, "fresh", hashed("another horse"))
    assert agent.wait_operation(operation).state is OperationState.DONE
    assert client.run(agent, desired, "echo in", password="another horse").output == "in\n"  # noqa: S106
    assert client.run(agent, desired, "echo in", password=PASSWORD).code == 255
    assert agent.current(desired, "_ssh") == sshd
    assert sshd.init_pid is not None
    os.kill(sshd.init_pid, signal.SIGKILL)
    wait_until(lambda: agent.current(desired, "_ssh").id != sshd.id, "another sshd", 60)
    wait_until(lambda: told(agent, desired).state is SetState.RUNNING, "a login", 60)
    assert client.run(agent, desired, "echo in", password="another horse").output == "in\n"  # noqa: S106
    agent.delete(desired)


def test_a_set_that_lets_nobody_in_by_password_has_none_to_change(agent: Agent) -> None:
    desired = placed(shop())
    agent.take(desired)
    agent.wait_running(desired)
    args = SetPassword(password=SecretRef(secret_ref="fresh"))  # noqa: S106
    asked, operation = operated(desired, args)
    agent.take_secret(asked, "fresh", hashed("another horse"))
    ended = agent.wait_operation(operation)
    assert ended.state is OperationState.FAILED
    assert ended.reason == "by the set's document no password opens it"
    agent.delete(desired)


def test_neither_password_nor_hash_is_in_a_database_a_log_or_a_writable_layer(
    agent: Agent, client: Client, place: HostPlace
) -> None:
    desired = placed(shop(networks=NETWORK, ssh={"password": PASSWORD}))
    let_in(agent, client, desired)
    assert client.run(agent, desired, "echo in", password=PASSWORD).output == "in\n"
    assert client.run(agent, desired, "id", password="canary-wrong").code == 255  # noqa: S106
    (_, secret), *_ = desired.secrets
    database = sqlite3.connect(place.state / "agent.db")
    dump = "\n".join(database.iterdump())
    database.close()
    assert "canary" not in dump
    assert secret not in dump
    spoken = {
        path.relative_to(place.directory).parts[:2]
        for path in place.directory.rglob("*")
        if path.is_file() and not {"net", "ipc", "uts"} & set(path.parts)
        for text in [path.read_text("latin-1")]
        if "canary" in text or secret in text
    }
    assert spoken == {("run", "secrets"), ("run", "ssh")}  # which end with the boot, 0700
    assert not any("canary" in words or secret in words for words in place.processes().values())
    agent.delete(desired)


def test_why_nobody_can_log_in_is_told_and_the_container_runs_on(
    agent: Agent, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed = placed(shop({"image": "closed:1"}, networks=NETWORK, ssh={"password": PASSWORD}))
    agent.take(closed)
    wait_until(lambda: told(agent, closed).state is SetState.DEGRADED, "the reason")
    assert "root's shell in the image is /sbin/nologin" in (told(agent, closed).reason or "")
    assert told(agent, closed).containers[0].ready
    agent.delete(closed)
    monkeypatch.setattr(kit, "_PLACES", "/nowhere")
    monkeypatch.setenv("PATH", "/bin:/usr/bin")
    bare = placed(shop(networks=NETWORK, ssh={"password": PASSWORD}))
    agent.take(bare)
    wait_until(lambda: told(agent, bare).state is SetState.DEGRADED, "the reason")
    assert "install one (Debian: openssh-server" in (told(agent, bare).reason or "")
    monkeypatch.undo()
    wait_until(lambda: told(agent, bare).state is SetState.RUNNING, "a login", 60)
    assert agent.host.store.rows(Trouble) == []
    agent.delete(bare)


def test_an_agent_that_comes_later_finds_sshd_and_takes_it_over(
    place: HostPlace, client: Client
) -> None:
    desired = placed(shop(networks=NETWORK, ssh={"keys": [client.public]}))
    with running_agent(place) as agent:
        let_in(agent, client, desired)
        sshd = agent.current(desired, "_ssh")
    with running_agent(place) as agent:
        assert client.run(agent, desired, "echo in").output == "in\n"
        assert agent.current(desired, "_ssh") == sshd
        config = json.loads((agent.host.bundle(sshd) / "config.json").read_text())
        assert {"type": "pid"} not in config["linux"]["namespaces"]
        agent.delete(desired)
