import json
import os
import re
import signal
import socket
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from support.agents import shop
from support.daemons import BIN, Daemon, busybox_layer, daemon_of, running_daemon, shop_image
from support.environment import Process, free_port, wait_until
from support.hostimages import Handmade, member, tar_of
from support.hostplaces import HostPlace
from support.logins import Client
from support.server import Server, running_server
from support.slowness import slow_road

TALK = """{"version": "v2", "id": 1, "appkey": "com.sankuai.inf.hulk.test",
 "containers": [{"index": 0, "image": "hulk.test-prod",
   "options": {"name": "test", "cpu": 80, "mem": 20,
     "volumes": [{"path": "/opt/logs", "quota": 100}],
     "command": {"cmd": "/bin/bash", "args": ["-c", "run.sh"]}}}]}"""
SECRET = "canary-9f27-sesame"  # noqa: S105


@pytest.fixture(scope="module")
def registry() -> Iterator[Server]:
    """Our registry, with two editions of the shop and the talk's image."""
    with running_server() as server:
        base = busybox_layer()
        for edition in ("1", "2"):
            shop_image(edition, base).push(server, "library/shop", edition)
        shop_image("bad", base, "/bin/false").push(server, "library/shop", "bad")
        shop_image("talk", base).push(server, "library/hulk.test-prod", "latest")
        yield server


@pytest.fixture
def daemon(place: HostPlace, registry: Server) -> Daemon:
    return daemon_of(place, registry)


@pytest.fixture
def process(daemon: Daemon) -> Iterator[Process]:
    with running_daemon(daemon) as started:
        yield started


def test_the_talks_set_by_the_command_line_with_an_agent_killed_in_between(
    daemon: Daemon, process: Process
) -> None:
    normal = json.loads(daemon.climg("set-create", "--dry-run", "-", stdin=TALK).stdout)
    assert normal["containers"][0]["cpu"] == "800m"
    assert json.loads(daemon.climg("set-list", "--json").stdout) == []
    for _ in range(2):  # the same key makes one set
        daemon.climg("set-create", "--key", "k1", "--wait", "-", stdin=TALK)
    listed = daemon.climg("set-list").stdout
    assert "**** Total: 1 ****" in listed
    assert "running" in listed
    name = "com.sankuai.inf.hulk.test"
    found = daemon.show(name)
    assert found["addresses"] == ["10.212.0.2/24"]
    exec_ = daemon.climg("set-exec", name, "--", "cat", "/edition")
    assert exec_.stdout == "talk\n"
    assert (
        daemon.climg("set-exec", name, "--", "/bin/sh", "-c", "exit 3", check=False).returncode == 3
    )
    assert daemon.climg("set-logs", name).stdout == "edition talk\n"
    subprocess.run(["busybox", "ping", "-c1", "-W5", "10.212.0.2"], check=True, capture_output=True)
    assert process.kill() == -signal.SIGKILL
    with running_daemon(daemon):
        again = daemon.show(name)
        assert again["containers"][0]["pid"] == found["containers"][0]["pid"]
        daemon.climg("set-restart", name, "--wait")
        restarted = daemon.show(name)
        assert restarted["containers"][0]["pid"] != found["containers"][0]["pid"]
        for words, state in (
            ("suspend", "suspended"), ("resume", "running"),
            ("stop", "stopped"), ("start", "running"),
        ):  # fmt: skip
            daemon.climg(f"set-{words}", name, "--wait")
            assert daemon.show(name)["state"] == state
        assert "**** Total: 3" in daemon.climg("image-cache").stdout
        daemon.climg("set-delete", name, "--yes", "--purge", "--wait")
        assert json.loads(daemon.climg("set-list", "--json").stdout) == []
        assert "**** Total: 0" in daemon.climg("image-check").stdout
        assert "**** Total: 0" in daemon.climg("image-collect").stdout
        assert "**** Total: 3" in daemon.climg("image-collect", "--all").stdout
        assert "**** Total: 0" in daemon.climg("image-cache").stdout


def test_the_agent_may_have_many_files_open_and_containers_no_more_for_it(daemon: Daemon) -> None:
    process = daemon.start("prlimit", "--nofile=256:4096")
    try:
        limits = Path(f"/proc/{process.pid}/limits").read_text()
        line = next(each for each in limits.splitlines() if each.startswith("Max open files"))
        assert line.split()[3:5] == ["4096", "4096"]
        daemon.climg("set-create", "--wait", "-", stdin=json.dumps(shop({}, networks=[])))
        found = Path(f"/proc/{daemon.show('shop')['containers'][0]['pid']}/limits").read_text()
        assert found.count("Max open files            256                  4096") == 1
        script = "ulimit -Sn; ulimit -Hn"
        done = daemon.climg("set-exec", "shop", "--", "/bin/sh", "-c", script)
        assert done.stdout.split() == ["256", "4096"]
        daemon.climg("set-delete", "shop", "--yes", "--wait")
    finally:
        process.stop()


@pytest.mark.usefixtures("process")
def test_an_image_is_changed_while_the_set_runs_and_changed_back_where_it_does_not_work(
    daemon: Daemon, tmp_path: Path
) -> None:
    document = tmp_path / "shop.json"
    first = {"env": {"TOKEN": {"secret": SECRET}}, "readiness": {"min_ready_s": 1}}
    document.write_text(json.dumps(shop(first, {})))
    daemon.climg("set-create", "--wait", str(document))
    before = {each["name"]: each["pid"] for each in daemon.show("shop")["containers"]}
    daemon.climg("set-update-image", "shop", "c0", "shop:2", "--wait")
    after = {each["name"]: each["pid"] for each in daemon.show("shop")["containers"]}
    assert (after["c0"] != before["c0"], after["c1"]) == (True, before["c1"])
    assert daemon.climg("set-exec", "shop", "-c", "c0", "--", "cat", "/edition").stdout == "2\n"
    env = daemon.climg("set-exec", "shop", "-c", "c0", "--", "/bin/sh", "-c", "echo $TOKEN").stdout
    assert env == f"{SECRET}\n"
    failed = daemon.climg("set-update-image", "shop", "c0", "shop:bad", "--wait", check=False)
    assert failed.returncode == 1
    assert "c0: rolled back: ended with 1 before it was ready" in failed.stderr
    assert daemon.climg("set-exec", "shop", "-c", "c0", "--", "cat", "/edition").stdout == "2\n"
    stale = daemon.climg("set-update", "shop", str(document), "--generation", "1", check=False)
    assert (stale.returncode, "generation 3, not 1" in stale.stderr) == (1, True)
    secret = telling(daemon.place.directory)
    assert {path.name for path in secret} == {"config.json", f"{daemon.show('shop')['set']}.json"}
    assert all(path.stat().st_mode & 0o077 == 0 for path in secret)
    daemon.climg("set-delete", "shop", "--yes", "--wait")
    assert telling(daemon.place.directory) == []


@pytest.mark.usefixtures("process")
def test_volumes_outlive_their_set_until_somebody_means_to_purge_them(daemon: Daemon) -> None:
    mounts = {"mounts": [{"path": "/vol", "volume": "data"}]}
    document = shop(mounts, networks=[], volumes=[{"name": "data", "quota": "16Mi"}])
    daemon.climg("set-create", "--wait", "-", stdin=json.dumps(document))
    [volume] = json.loads(daemon.climg("volume-list", "--json").stdout)
    name = volume["id"]
    assert (volume["name"], volume["quota"], volume["in_use"]) == ("data", 16 * 2**20, True)
    refused = daemon.climg("volume-purge", name, "--yes", check=False)
    assert refused.returncode == 1
    assert "Traceback" not in refused.stderr
    daemon.climg("set-delete", "shop", "--yes", "--wait")
    listed = daemon.climg("volume-list").stdout
    assert name[:8] in listed
    assert "**** Total: 1 ****" in listed
    assert "data" in daemon.climg("volume-show", name).stdout
    unasked = daemon.climg("volume-purge", name, check=False)
    assert unasked.returncode == 2
    assert "say --yes" in unasked.stderr
    assert len(json.loads(daemon.climg("volume-list", "--json").stdout)) == 1
    assert daemon.climg("volume-purge", name, "--yes").stdout == f"purged {name}\n"
    assert json.loads(daemon.climg("volume-list", "--json").stdout) == []
    assert daemon.climg("volume-show", name, check=False).returncode == 1
    pools = json.loads(daemon.climg("pool-list", "--json").stdout)
    assert pools
    assert all(each["used_bytes"] <= each["capacity_bytes"] for each in pools)


def telling(directory: Path) -> list[Path]:
    """Files of the agent's, but for images, disks and namespaces, in which the secret stands."""
    others = {"disks", "images", "runtime", "net", "ipc", "uts"}
    return [
        path
        for path in directory.rglob("*")
        if path.is_file()
        and not others & set(path.relative_to(directory).parts)
        and SECRET in path.read_text("latin-1")
    ]


NOT_DONE: list[tuple[tuple[str, ...], str, str]] = [
    (("set-create", "-"), "{", "is not JSON"),
    (("set-create", "-"), json.dumps(shop({"image": ""})), "/containers/0/image"),
    (("set-create", "-"), json.dumps(shop(networks=[{"name": "prod"}])), "no network 'prod'"),
    (("set-create", "-"), json.dumps(shop(host_network=True)), "allow_host_network"),
    (("set-create", "-"), json.dumps(shop(ssh={"password": "correct horse"})), "/ssh"),
    (("set-password", "nothing", "-i"), "correct horse", "no set 'nothing'"),
    (("set-show", "nothing"), "", "no set 'nothing'"),
    (("set-delete", "nothing", "--yes"), "", "no set 'nothing'"),
]


@pytest.mark.usefixtures("process")
def test_what_cannot_be_done_is_told_in_a_line_and_nothing_is_stored(daemon: Daemon) -> None:
    for words, document, said in NOT_DONE:
        done = daemon.climg(*words, stdin=document, check=False)
        assert done.returncode == 1
        assert said in done.stderr
        assert done.stderr.count("\n") == 1
    assert "Traceback" not in daemon.tail()
    assert json.loads(daemon.climg("set-list", "--json").stdout) == []


@pytest.mark.usefixtures("process")
def test_the_socket_and_all_that_is_kept_are_roots_alone(daemon: Daemon) -> None:
    assert stat.S_IMODE(daemon.socket.stat().st_mode) == 0o600
    assert stat.S_IMODE(daemon.place.state.stat().st_mode) == 0o700
    script = (
        "import os, socket, sys\n"
        "link = socket.socket(socket.AF_UNIX)\n"
        "os.setuid(65534)\n"
        "try:\n"
        "    link.connect(sys.argv[1])\n"
        "except PermissionError:\n"
        "    sys.exit(9)\n"
    )
    command = [str(BIN / "python"), "-c", script, str(daemon.socket)]
    assert subprocess.run(command, check=False).returncode == 9
    os.chmod(daemon.socket, 0o666)  # noqa: S103, PTH101 - the second lock holds by itself
    for path in (daemon.place.directory, daemon.place.run):
        path.chmod(0o755)
    asking = script + (
        "try:\n"
        "    link.sendall(b'GET /sets HTTP/1.0\\r\\n\\r\\n')\n"
        "    sys.exit(8 if link.recv(9) else 7)\n"
        "except (BrokenPipeError, ConnectionResetError):\n"
        "    sys.exit(7)\n"
    )
    command = [str(BIN / "python"), "-c", asking, str(daemon.socket)]
    assert subprocess.run(command, check=False).returncode == 7


def test_two_agents_on_one_place_are_refused(daemon: Daemon, process: Process) -> None:
    assert process.status is None
    words = [str(BIN / "berth"), "agent", "--config", str(daemon.config)]
    second = subprocess.run(words, capture_output=True, encoding="utf-8", check=False)
    assert second.returncode == 2
    assert "another agent listens" in second.stderr


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[agent]\nworker = 1\n", "worker: no such key in [agent]"),
        ('[agent]\nruntime = "other"\n', 'agent.runtime must be "auto"'),
        ("[agent]\nworkers = true\n", "agent.workers must be a whole number"),
        ('[networks.a]\nbridge = "b"\naddress = "x"\n', "address"),
        ("[agents]\n", "agents: no such key"),
        ("[", "not TOML"),
    ],
)
def test_a_wrong_configuration_is_told_by_its_key(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "agent.toml"
    path.write_text(text)
    words = [str(BIN / "berth"), "agent", "doctor", "--config", str(path)]
    done = subprocess.run(words, capture_output=True, encoding="utf-8", check=False)
    assert (done.returncode, said in done.stderr) == (2, True), done.stderr


def test_the_doctor_says_what_is_there_and_what_is_not(daemon: Daemon, tmp_path: Path) -> None:
    words = [str(BIN / "berth"), "agent", "doctor", "--config"]
    good = subprocess.run(
        [*words, str(daemon.config)], capture_output=True, encoding="utf-8", check=False
    )
    assert good.returncode == 0, good.stdout
    assert "ok    the OCI runtime is crun" in good.stdout
    assert "/dropbear's" in good.stdout
    bad = tmp_path / "agent.toml"
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        health = f"127.0.0.1:{other.getsockname()[1]}"
        bad.write_text(
            f'[agent]\nstate = "{tmp_path}"\nseccomp = "/nothing"\nboot_id = "/dev/null"\n'
            f'health = "{health}"\n[images]\nca_file = "{bad}"\n[storage]\npool = "8000Ti"\n'
        )
        told = subprocess.run(
            [*words, str(bad)], capture_output=True, encoding="utf-8", check=False
        )
    assert told.returncode == 1
    for lack in (
        "agent.seccomp: /nothing cannot be used: No such file or directory; on Debian, the package",
        "agent.boot_id: /dev/null: Is a device",
        f"agent.health: cannot listen on {health}: Address already in use; name an address",
        f"images.ca_file: {bad}: holds no certificates in PEM; give",
        "storage.pool is 8796093022208000 bytes, and ",
    ):
        assert f"LACK  {lack}" in told.stdout


@pytest.mark.parametrize(
    "text",
    [
        '[agent]\nseccomp = "/dev/null"\n',
        '[agent]\nboot_id = "/nothing"\n',
        '[images]\nca_file = "/nothing"\n',
        '[agent]\nrun = "/dev/null/run"\n',
        '[agent]\nsocket = "/dev/null"\n',
        '[agent]\nregistry = "library"\n',
    ],
)
def test_what_cannot_work_is_refused_at_the_start_in_one_line(place: HostPlace, text: str) -> None:
    places = {"state": place.state, "run": place.run, "cgroup": place.cgroup}
    more = [f'{key} = "{value}"\n' for key, value in places.items() if f"\n{key} " not in text]
    config = place.directory / "agent.toml"
    config.write_text("".join(["[agent]\n", *more, *text.partition("[agent]\n")[::2]]))
    words = [str(BIN / "berth"), "agent", "--config", str(config)]
    done = subprocess.run(words, capture_output=True, encoding="utf-8", check=False)
    assert done.returncode == 2
    said = [line for line in done.stderr.splitlines() if "the agent listens" not in line]
    assert len(said) == 1, done.stderr
    key = text.split("\n")[1].partition(" ")[0]
    assert key in said[0]


@pytest.mark.usefixtures("process")
def test_root_logs_in_by_the_documents_password_which_is_kept_nowhere(
    daemon: Daemon, tmp_path: Path
) -> None:
    client = Client(tmp_path)
    document = shop(networks=[{"name": "default"}], ssh={"password": SECRET})
    daemon.climg("set-create", "--wait", "-", stdin=json.dumps(document))
    found = daemon.show("shop")
    address = found["addresses"][0].partition("/")[0]
    client.trust(address, found["host_keys"])
    namespace = daemon.place.run / "sets" / found["set"] / "net"
    assert client.call(namespace, address, "cat /edition", password=SECRET).output == "1\n"
    assert "ssh-ed25519 " in daemon.climg("set-show", "shop").stdout
    assert telling(daemon.place.directory) == []
    short = daemon.climg("set-password", "shop", "-i", stdin="short", check=False)
    assert (short.returncode, "8 to 128 characters" in short.stderr) == (1, True)
    daemon.climg("set-password", "shop", "-i", stdin=f"{SECRET}-2\n")
    assert client.call(namespace, address, "id", password=SECRET).code == 255
    assert client.call(namespace, address, "echo in", password=f"{SECRET}-2").output == "in\n"
    assert telling(daemon.place.directory) == []
    daemon.climg("set-delete", "shop", "--yes", "--wait")


def test_health_and_figures_are_on_a_tcp_port_and_nothing_else_is(
    place: HostPlace, registry: Server
) -> None:
    port = free_port()
    daemon = daemon_of(place, registry, health=f"127.0.0.1:{port}")
    with running_daemon(daemon), httpx.Client(base_url=f"http://127.0.0.1:{port}") as client:
        assert client.get("/healthz").text == "ok\n"
        daemon.climg("set-create", "--wait", "-", stdin=json.dumps(shop()))
        told = dict(line.rsplit(" ", 1) for line in client.get("/metrics").text.splitlines())
        assert told['berth_agent_sets{level="running"}'] == "1"
        assert told['berth_agent_attempts{state="started"}'] == "1"
        assert told["berth_agent_containers_alive"] == "1"
        assert told["berth_agent_fetched_layers_total"] == "3"
        assert client.get("/sets").status_code == 404
        words = [str(BIN / "berth"), "agent", "doctor", "--config", str(daemon.config)]
        looked = subprocess.run(words, capture_output=True, encoding="utf-8", check=False)
        assert f"127.0.0.1:{port} is answered: an agent runs" in looked.stdout
        second = daemon_of(place, registry, health=f"127.0.0.1:{port}", run=str(place.run / "b"),
                           state=str(place.state / "b"))  # fmt: skip
        words = [str(BIN / "berth"), "agent", "--config", str(second.config)]
        refused = subprocess.run(words, capture_output=True, encoding="utf-8", check=False)
        assert refused.returncode == 2
        assert f"agent.health: cannot listen on 127.0.0.1:{port}" in refused.stderr
        daemon.climg("set-delete", "shop", "--yes", "--wait")


def test_a_pull_is_told_in_bytes_as_it_comes(place: HostPlace, registry: Server) -> None:
    big = tar_of((member("big"), os.urandom(24 << 20)))
    base = busybox_layer()
    image = Handmade.of([base, big], config={"Cmd": ["/bin/sleep", "1000"]})
    image.push(registry, "library/big", "1")
    with slow_road(registry.address, rate=3 << 20) as slow:
        daemon = daemon_of(place, registry)
        with running_daemon(daemon):
            daemon.climg(
                "set-create", "-", stdin=json.dumps(shop({"image": f"{slow}/library/big:1"}))
            )
            seen: dict[str, Any] = {}

            def is_coming() -> bool:
                seen.update(daemon.show("shop").get("progress") or {})
                return bool(0 < seen.get("done", 0) < seen.get("total", 0))

            wait_until(is_coming, "a pull half way")
            assert seen["stage"] == "pulling"
            assert seen["total"] == sum(len(each.content) for each in image.layers)
            coming = json.loads(daemon.climg("image-cache", "--json").stdout)["coming"]
            assert coming[0]["total"] == len(image.layers[1].content)
            assert 0 < coming[0]["received"] <= coming[0]["total"]
            assert "of" in daemon.climg("set-show", "shop").stdout
            followed = daemon.climg("image-cache", "--follow")
            assert re.search(r"layers come: \d+ of \d+ bytes", followed.stderr)
            assert "Coming" not in followed.stdout
            wait_until(lambda: daemon.show("shop")["state"] == "running", "running")
            daemon.climg("set-delete", "shop", "--yes", "--wait")
