"""scripts/cloud: what it starts, stops and leaves alone, and what it tells an operator."""

import configparser
import json
import os
import re
import socket
import subprocess
import time
import uuid
from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from support.environment import CACHE, ROOT, tool
from support.openstack import PREFIX, OpenStack, cloud, sweep

SERVICES = (
    "keystone",
    "glance",
    "swift-account",
    "swift-container",
    "swift-object",
    "swift-proxy",
)


@pytest.fixture(scope="module")
def http() -> Iterator[httpx.Client]:
    with httpx.Client(timeout=60) as client:
        yield client


def as_user(openstack: OpenStack, user: str) -> dict[str, str]:
    return {"X-Auth-Token": openstack.token(user)}


def pids(openstack: OpenStack) -> dict[str, int]:
    """Answer the process of each service that runs."""
    documents = {
        file.stem: json.loads(file.read_text("utf-8"))
        for file in (openstack.directory / "run").glob("*.json")
    }
    return {name: document["pid"] for name, document in documents.items()}


def processes_of(directory: Path) -> list[str]:
    """Answer every process of this machine whose command or environment names *directory*."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            command = (process / "cmdline").read_bytes()
            known = command + (process / "environ").read_bytes()
        except OSError:
            continue
        if os.fsencode(directory) in known:
            found.append(command.replace(b"\0", b" ").decode())
    return found


def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [ROOT / "scripts" / "cloud", *arguments]
    return subprocess.run(command, check=False, capture_output=True, text=True)


def show(text: str) -> None:
    """Tell a person who runs pytest with -s or -rP."""
    print(text)  # noqa: T201


class TestRunning:
    def test_bringing_it_up_twice_at_once_changes_nothing(self, openstack: OpenStack) -> None:
        before = pids(openstack)
        assert sorted(before) == sorted(SERVICES)
        started = time.monotonic()
        command = [str(ROOT / "scripts" / "cloud"), "--state", str(openstack.directory), "up"]
        both = [subprocess.Popen(command, stdout=subprocess.DEVNULL) for _ in range(2)]
        assert [process.wait() for process in both] == [0, 0]
        show(f"up twice on a cloud that runs: {time.monotonic() - started:.2f} s")
        assert pids(openstack) == before

    def test_status_tells_what_does_not_run(self, openstack: OpenStack) -> None:
        assert cloud(openstack.directory, "status").count(" pid ") == len(SERVICES)
        with openstack.stopped("glance"):
            done = run("--state", openstack.directory, "status")
            assert done.returncode == 3
            assert [line for line in done.stdout.splitlines() if "not running" in line] == [
                "glance          not running"
            ]

    def test_down_leaves_no_process_and_a_warm_start_finds_everything_again(
        self, openstack: OpenStack, http: httpx.Client
    ) -> None:
        container = f"{openstack.account_url('east')}/{uuid.uuid4().hex}"
        headers = as_user(openstack, "alice")
        assert http.put(container, headers=headers).status_code == HTTPStatus.CREATED
        assert http.put(f"{container}/one", headers=headers, content=b"1").is_success
        assert len(processes_of(openstack.directory)) == len(SERVICES)
        cloud(openstack.directory, "down")
        assert processes_of(openstack.directory) == []
        started = time.monotonic()
        cloud(openstack.directory, "up")
        show(f"warm start: {time.monotonic() - started:.2f} s")
        assert http.get(f"{container}/one", headers=headers).content == b"1"
        assert OpenStack.read(openstack.directory) == openstack

    def test_one_service_stops_or_is_killed_and_the_others_stay(
        self, openstack: OpenStack, http: httpx.Client
    ) -> None:
        before = pids(openstack)
        headers = as_user(openstack, "alice")
        with openstack.stopped("glance"), pytest.raises(httpx.ConnectError):
            http.get(f"{openstack.image_url}/v2/images", headers=headers)
        with openstack.stopped("swift-object", kill=True):
            answer = http.put(f"{openstack.account_url('east')}/dark", headers=headers)
            assert answer.is_success
            answer = http.put(f"{openstack.account_url('east')}/dark/1", headers=headers)
            assert answer.status_code == HTTPStatus.SERVICE_UNAVAILABLE
        with openstack.stopped("keystone"), pytest.raises(httpx.ConnectError):
            openstack.sign_in("alice")
        assert openstack.sign_in("alice").is_success
        after = pids(openstack)
        assert {name for name in before if before[name] != after[name]} == {
            "glance",
            "keystone",
            "swift-object",
        }

    def test_a_port_that_somebody_else_took_is_named(self, openstack: OpenStack) -> None:
        port = urlsplit(openstack.image_url).port
        assert port is not None
        with openstack.stopped("glance"), socket.create_server(("127.0.0.1", port)):
            done = run("--state", openstack.directory, "start", "glance")
        assert done.returncode == 1
        assert f"glance needs port {port}" in done.stderr

    def test_the_export_lines_sign_a_shell_in(self, openstack: OpenStack) -> None:
        script = (
            f'eval "$(scripts/cloud --state {openstack.directory} env "$@")" &&'
            " .venv/bin/openstack token issue --format json"
        )
        for arguments, user in (
            (["--user", "dora"], "dora"),
            (["--application-credential"], openstack.credential.user),
        ):
            done = subprocess.run(
                [tool("bash"), "-c", script, "bash", *arguments],
                check=True,
                capture_output=True,
                cwd=ROOT,
                env={**os.environ, "OS_CLOUD": "elsewhere"},
            )
            token = json.loads(done.stdout)
            assert token["user_id"] == openstack.users[user].id
            assert token["project_id"] == openstack.projects["east"]


def test_the_operators_page_says_what_the_cloud_runs_with(openstack: OpenStack) -> None:
    conf = openstack.directory / "conf"
    page = (ROOT / "docs" / "operate-openstack.md").read_text("utf-8")
    running = [parsed(file.read_text("utf-8")) for file in conf.glob("*.conf")]
    settings = [
        (section, key, value.replace("/etc/glance", str(conf)))
        for block in re.findall(r"```ini\n(.*?)```", page, re.DOTALL)
        for section, values in parsed(block).items()
        for key, value in values.items()
    ]
    assert len(settings) > 10
    for section, key, value in settings:
        assert any(section in file and file[section].get(key) == value for file in running), (
            f"[{section}] {key} = {value} stands in no file of the cloud's"
        )
    policy = (conf / "glance-policy.yaml").read_text("utf-8")
    blocks = re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)
    assert blocks
    assert all(block in policy for block in blocks)


def parsed(text: str) -> configparser.RawConfigParser:
    parser = configparser.RawConfigParser(default_section="none of them")
    parser.read_string(text)
    return parser


class TestWhatIsNotOurs:
    @pytest.fixture
    def stranger(self) -> Iterator[subprocess.Popen[bytes]]:
        with subprocess.Popen([tool("sleep"), "600"], start_new_session=True) as process:
            yield process
            process.kill()

    def state(self, directory: Path, openstack: OpenStack, pid: int, began: str) -> Path:
        """Answer a cloud's state that says that *pid* is its Keystone."""
        (directory / "run").mkdir(parents=True)
        settings = (openstack.directory / "settings.json").read_text("utf-8")
        (directory / "settings.json").write_text(settings, "utf-8")
        document = {"pid": pid, "began": began, "fingerprint": ""}
        (directory / "run" / "keystone.json").write_text(json.dumps(document), "utf-8")
        return directory

    def began(self, pid: int) -> str:
        return Path(f"/proc/{pid}/stat").read_text("ascii").rpartition(")")[2].split()[19]

    def test_a_process_that_only_has_an_old_id_is_left_alone(
        self, openstack: OpenStack, stranger: subprocess.Popen[bytes], tmp_path: Path
    ) -> None:
        state = self.state(tmp_path / "cloud", openstack, stranger.pid, "1")
        cloud(state, "down", "--wipe")
        assert stranger.poll() is None
        assert not state.exists()

    def test_what_a_killed_run_left_is_swept_up_by_the_next(
        self, openstack: OpenStack, stranger: subprocess.Popen[bytes]
    ) -> None:
        with subprocess.Popen([tool("true")]) as ended:
            pass
        directory = CACHE / "cloud" / f"{PREFIX}{ended.pid}"
        state = self.state(directory, openstack, stranger.pid, self.began(stranger.pid))
        sweep()
        assert stranger.wait(30) != 0
        assert not state.exists()
        assert openstack.directory.exists()

    def test_a_directory_that_is_no_cloud_is_not_wiped(self, tmp_path: Path) -> None:
        (tmp_path / "letter").write_text("dear", "utf-8")
        done = run("--state", tmp_path, "down", "--wipe")
        assert done.returncode == 1
        assert "is no cloud" in done.stderr
        assert (tmp_path / "letter").exists()

    def test_a_cloud_that_never_was_can_be_taken_down_but_not_asked(self, tmp_path: Path) -> None:
        absent = tmp_path / "absent"
        assert run("--state", absent, "down").returncode == 0
        done = run("--state", absent, "env")
        assert done.returncode == 1
        assert "bring it up first" in done.stderr
        assert not absent.exists()
