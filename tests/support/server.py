"""A registry server of one's own: on a free port, in a directory of its own, ended in the end."""

import contextlib
import json
import os
import re
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import bcrypt

from support.environment import (
    ROOT,
    Process,
    answers,
    free_port,
    temporary_directory,
    tool,
)
from support.openstack import DOMAIN, OpenStack

PEER = "docker-registry"
"""Debian's docker-registry, which the harness itself can be tried against."""

PEER_ON_SWIFT = "docker-registry-swift"
"""The same with its driver for Swift."""

KIND = os.environ.get("TEST_REGISTRY", "berth")
"""Which server the tests start: ours, unless one tries the harness."""

BERTH = ROOT / ".venv" / "bin" / "berth"


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """A user of a registry that asks who one is."""

    name: str
    password: str

    @property
    def pair(self) -> tuple[str, str]:
        return self.name, self.password


ALICE = Account(name="alice", password="rabbit-hole-7")  # noqa: S106
"""Member of every test project: pulls, pushes, deletes."""

CAROL = Account(name="carol", password="reading-glass-3")  # noqa: S106
"""Reader of every test project: pulls only."""

PROJECTS = ("library", "conformance")


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What a test wants of its server."""

    auth: bool = False
    """True: htpasswd with ALICE and CAROL; False: nobody is asked."""

    cloud: OpenStack | None = None
    """Bytes in its Swift and people in its Keystone; then *auth* is meant, with its alice."""
    prefix: str = "test"
    """Of the containers there."""
    open: bool = False
    """With a cloud, too, nobody is asked who he is."""
    ledger: str | None = None
    """URL of the ledger, if not SQLite beside the data."""
    workers: int = 1
    require_references: bool = True
    """False: manifests are taken whose blobs are missing (sparse)."""

    http: Mapping[str, object] = field(default_factory=dict)
    """More keys of the table http."""
    extra: str = ""
    """More TOML, after all other tables."""

    environment: Mapping[str, str] = field(default_factory=dict)


def service_variables(cloud: OpenStack) -> dict[str, str]:
    """How the service user of *cloud* signs in."""
    user = cloud.users["registry"]
    return {
        "OS_AUTH_TYPE": "password",
        "OS_AUTH_URL": cloud.identity_url,
        "OS_USERNAME": user.name,
        "OS_PASSWORD": user.password,
        "OS_PROJECT_NAME": user.project,
        "OS_USER_DOMAIN_ID": DOMAIN,
        "OS_PROJECT_DOMAIN_ID": DOMAIN,
        "OS_REGION_NAME": cloud.region,
    }


class Flavour(Protocol):
    """How one kind of server is configured and started."""

    def write(self, directory: Path, address: str, settings: Settings) -> list[str]:
        """Write what it needs into *directory*; answer the command."""
        ...


def htpasswd() -> str:
    """Answer the password file's text, one bcrypt line for each account."""
    lines = []
    for account in (ALICE, CAROL):
        hashed = bcrypt.hashpw(account.password.encode(), bcrypt.gensalt(5, b"2b")).decode()
        # Apache's own prefix; it names the same algorithm as 2b.
        lines.append(f"{account.name}:{hashed.replace('$2b$', '$2y$', 1)}\n")
    return "".join(lines)


class Berth:
    """`berth serve`."""

    def write(self, directory: Path, address: str, settings: Settings) -> list[str]:
        config = directory / "berth.toml"
        config.write_text(berth_toml(directory, address, settings), "utf-8")
        return [str(BERTH), "serve", "--config", str(config)]


def berth_toml(directory: Path, address: str, settings: Settings) -> str:
    """Answer the configuration of a server at *address* with its data below *directory*."""
    lines = [
        "[http]",
        f"listen = {json.dumps(address)}",
        f"workers = {settings.workers}",
        *(f"{key} = {json.dumps(value)}" for key, value in settings.http.items()),
        "[storage]",
        f"directory = {json.dumps(str(directory / 'data'))}",
        *(["kind = 'swift'", f"prefix = {json.dumps(settings.prefix)}"] if settings.cloud else []),
        *(["[ledger]", f"url = {json.dumps(settings.ledger)}"] if settings.ledger else []),
        "[push]",
        f"require_references = {json.dumps(settings.require_references)}",
        "[auth]",
    ]
    if settings.cloud and not settings.open:
        lines += ['kind = "keystone"']
    elif settings.auth:
        (directory / "htpasswd").write_text(htpasswd(), "utf-8")
        lines += ['kind = "htpasswd"', f"htpasswd = {json.dumps(str(directory / 'htpasswd'))}"]
        for project in PROJECTS:
            lines += [f"[auth.projects.{project}]", 'alice = "member"', 'carol = "reader"']
    else:
        lines += ['kind = "none"']
    return "\n".join([*lines, settings.extra, ""])


class DockerRegistry:
    """Debian's docker-registry: knows no roles and no workers."""

    def write(self, directory: Path, address: str, settings: Settings) -> list[str]:
        config: dict[str, object] = {
            "version": "0.1",
            "storage": {
                **_storage(directory, settings),
                "delete": {"enabled": True},
                "redirect": {"disable": True},
            },
            "http": {"addr": address},
        }
        if settings.auth:
            text = re.sub(r"(?m)\$2b\$", "$2y$", htpasswd())
            (directory / "htpasswd").write_text(text, "utf-8")
            config["auth"] = {"htpasswd": {"realm": "test", "path": str(directory / "htpasswd")}}
        path = directory / "registry.yml"
        path.write_text(json.dumps(config), "utf-8")  # JSON is YAML
        return [tool("docker-registry"), "serve", str(path)]


def _storage(directory: Path, settings: Settings) -> dict[str, object]:
    if settings.cloud is None:
        return {"filesystem": {"rootdirectory": str(directory / "data")}}
    user = settings.cloud.users["registry"]
    swift = {
        "authurl": settings.cloud.identity_url,
        "username": user.name,
        "password": user.password,
        "tenant": user.project,
        "domainid": DOMAIN,
        "tenantdomainid": DOMAIN,
        "region": settings.cloud.region,
        "container": settings.prefix,
    }
    return {"swift": swift}


FLAVOURS: Mapping[str, Flavour] = {
    "berth": Berth(),
    PEER: DockerRegistry(),
    PEER_ON_SWIFT: DockerRegistry(),
}


class Server:
    """A server that runs, or ran, in *directory*."""

    def __init__(
        self, directory: Path, settings: Settings, kind: str = KIND, data: Path | None = None
    ) -> None:
        """*data* is another server's directory, which both then serve."""
        self.directory = directory
        self.data = directory / "data"
        if data is not None:
            self.data.symlink_to(data, target_is_directory=True)
        self.settings = settings
        self.address = f"127.0.0.1:{free_port()}"
        self.url = f"{'https' if 'tls_key' in settings.http else 'http'}://{self.address}"
        self.log = directory / "server.log"
        self._command = FLAVOURS[kind].write(directory, self.address, settings)
        self._process: Process | None = None
        cloud = settings.cloud
        self._service = {} if cloud is None else service_variables(cloud)

    @property
    def process(self) -> Process:
        assert self._process is not None, "the server was not started"
        return self._process

    @property
    def account(self) -> Account | None:
        """Who may do everything here, or None where nobody is asked."""
        if self.settings.cloud is not None and not self.settings.open:
            alice = self.settings.cloud.users["alice"]
            return Account(name=alice.name, password=alice.password)
        return ALICE if self.settings.auth else None

    def start(self) -> None:
        """Start it and wait until it answers."""
        environment = {**self.settings.environment, **self._service}
        self._process = Process(self._command, self.log, environment, directory=self.directory)
        self._process.wait_ready(lambda: answers(f"{self.url}/v2/"))

    def stop(self, seconds: float = 30) -> int:
        """End it as an operator would; answer its status."""
        return self.process.stop(seconds)

    @property
    def variables(self) -> dict[str, str]:
        """What other programs need to reach the same stores."""
        return {**self.settings.environment, **self._service}

    def run(self, *words: str, status: int = 0) -> str:
        """Run another command of `berth` on the same configuration; answer what it printed."""
        return self._run(words, status).stdout

    def refusal(self, *words: str, status: int = 1) -> str:
        """Run another command, which fails; answer what it said of that."""
        return self._run(words, status).stderr

    def _run(self, words: Sequence[str], status: int) -> subprocess.CompletedProcess[str]:
        command = [str(BERTH), *words, "--config", str(self.directory / "berth.toml")]
        done = subprocess.run(
            command,
            env={**os.environ, **self.variables},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == status, done.stdout + done.stderr
        assert "Traceback" not in done.stderr, done.stderr
        return done

    def kill(self) -> None:
        """End it and its workers with SIGKILL, as a power cut would."""
        assert self.process.kill() == -signal.SIGKILL

    def restart(self) -> None:
        """Start it again over what it left."""
        assert self.process.status is not None, "it still runs"
        self.start()


@contextlib.contextmanager
def running_server(
    settings: Settings | None = None, kind: str = KIND, data: Path | None = None
) -> Iterator[Server]:
    """Yield a started server; afterwards end it, and hold that it ended cleanly if it still ran."""
    with temporary_directory("server") as directory:
        server = Server(directory, settings or Settings(), kind, data)
        server.start()
        try:
            yield server
        except BaseException:
            print(server.process.tail())  # noqa: T201 - pytest shows it beside the failure
            server.stop()
            raise
        if server.process.status is None:
            status = server.stop()
            clean = {0, -signal.SIGTERM} if kind == "berth" else {0, 2, -signal.SIGTERM}
            assert status in clean, f"the server ended with {status}:\n{server.process.tail()}"
            assert "Traceback" not in (text := server.process.tail(100_000)), text
