"""Where everything lies, and what is remembered about one cloud."""

import contextlib
import dataclasses
import fcntl
import json
import secrets
import socket
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from cloud.accounts import ACCOUNTS

ROOT = Path(__file__).resolve().parents[1]
CACHE = ROOT / ".cache" / "cloud"
VENV = CACHE / "venv"
DEFAULT = CACHE / "default"
LOOPBACK = "127.0.0.1"

FREE_RANGE = range(20_000, 32_000)
"""Below Linux's range for outgoing connections (ip_local_port_range), so that none of them sits on
a port that a service wants back after a restart."""


class CloudError(Exception):
    """What went wrong, in words for a person."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    """On which port of the loopback each service listens."""

    keystone: int = 15_000
    glance: int = 19_292
    swift: int = 18_080
    account: int = 16_202
    container: int = 16_201
    object: int = 16_200

    @classmethod
    def free(cls) -> Self:
        """Answer ports that nothing listens on now."""
        names = [field.name for field in dataclasses.fields(cls)]
        found: dict[str, int] = {}
        while len(found) < len(names):
            port = secrets.choice(FREE_RANGE)
            if port not in found.values() and is_free(port):
                found[names[len(found)]] = port
        return cls(**found)


def is_free(port: int) -> bool:
    """Whether a server could listen on *port* of the loopback."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
        return True


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What was asked of one cloud; kept beside its data."""

    ports: Ports = dataclasses.field(default_factory=Ports)
    registry_url: str = "http://127.0.0.1:5000"
    """Where the catalogue says that Berth is."""
    without: tuple[str, ...] = ()
    """What an operator might not have set in Glance: see render.FEATURES."""
    cached: bool = False
    """Whether Swift's proxy remembers accounts and containers, as with memcached."""

    @classmethod
    def parse(cls, document: Mapping[str, Any]) -> Self:
        """Read what dataclasses.asdict made of them."""
        return cls(
            ports=Ports(**document["ports"]),
            registry_url=document["registry_url"],
            without=tuple(document["without"]),
            cached=document.get("cached", False),
        )


@dataclass(frozen=True, slots=True)
class Layout:
    """The directories of one cloud, all below *directory*."""

    directory: Path

    @property
    def conf(self) -> Path:
        return self.directory / "conf"

    @property
    def data(self) -> Path:
        return self.directory / "data"

    @property
    def log(self) -> Path:
        return self.directory / "log"

    @property
    def run(self) -> Path:
        return self.directory / "run"

    @property
    def settings_file(self) -> Path:
        return self.directory / "settings.json"

    @property
    def secrets_file(self) -> Path:
        return self.directory / "secrets.json"

    @property
    def seed_file(self) -> Path:
        """What was seeded, once it was."""
        return self.data / "seed.json"

    def make(self) -> None:
        """Make the directories; only their owner may look in, since passwords lie there."""
        self.directory.mkdir(parents=True, exist_ok=True)
        self.directory.chmod(0o700)
        for path in (self.conf, self.data, self.log, self.run):
            path.mkdir(exist_ok=True)

    def read_settings(self) -> Settings | None:
        """Answer what this cloud was asked to be, or None if it never was."""
        document = read_json(self.settings_file)
        return None if document is None else Settings.parse(document)

    def read_secrets(self) -> dict[str, str]:
        """Answer every password of this cloud by its user's name; make them the first time."""
        found = read_json(self.secrets_file)
        if found is None:
            names = [account.name for account in ACCOUNTS]
            names += ["credential", "temp_url_key", "swift_hash"]
            found = {name: secrets.token_hex(12) for name in names}
            write_json(self.secrets_file, found)
        return dict(found)

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Let one command at a time work on this cloud."""
        with locked(self.directory / "lock"):
            yield


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock at *path*; wait for it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def read_json(path: Path) -> Any:
    """Answer the document at *path*, or None if there is none."""
    try:
        return json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        return None


def write_json(path: Path, document: object) -> None:
    """Put *document* at *path*, whole or not at all."""
    fresh = path.with_name(f"{path.name}.new")
    fresh.write_text(json.dumps(document, indent=1) + "\n", "utf-8")
    fresh.replace(path)
