"""What steps are carried out with: the ports, the store, the places of files."""

import json
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

from hostagent.errors import CannotBe, Lost
from hostagent.namespaces import Namespaces
from hostagent.ports import Images, Json, Network, Runtime, Volumes
from hostagent.readings import Readings
from hostagent.records import Attempt, SetRow
from hostagent.store import Store
from hostagent.watch import Watch
from hostbase import private
from inside import root as inroot
from setspec.desired import DesiredSet
from setspec.normal import File, SecretRef, Ssh
from setspec.shape import dump, load
from sshd.place import Place


def moment() -> str:
    """Now, as RFC 3339 in UTC."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class Secrets(dict[str, str]):
    """What a set's references stand for; what is not among them ended with the boot."""

    def __missing__(self, name: str) -> str:
        raise CannotBe("a secret ended with the boot: send the set, or ask for this, once more")


@dataclass(frozen=True, slots=True)
class Layout:
    """Where an agent keeps things: *state* outlives the machine's boots, *run* does not."""

    state: Path
    run: Path

    def make(self) -> None:
        """Make the directories, closed to everybody else."""
        for path in (self.state, self.run, self.sets, self.exits, self.secrets):
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
            path.chmod(0o700)

    @property
    def database(self) -> Path:
        """The store's file."""
        return self.state / "agent.db"

    @property
    def sets(self) -> Path:
        """A directory for each set, in it one for each container, in it one for each attempt."""
        return self.state / "sets"

    @property
    def exits(self) -> Path:
        """What monitors write down."""
        return self.state / "exits"

    @property
    def secrets(self) -> Path:
        """A file for each set, gone with the next boot."""
        return self.run / "secrets"

    def set(self, set_id: str) -> Path:
        """A set's directory."""
        return self.sets / set_id

    def etc(self, set_id: str) -> Path:
        """The files of /etc that are the host's to write."""
        return self.set(set_id) / "etc"

    def log(self, set_id: str, container: str) -> Path:
        """A container's output, of all its attempts."""
        return self.set(set_id) / "logs" / container

    def files(self, set_id: str, container: str) -> Path:
        """The files that operations have deployed."""
        return self.set(set_id) / "deployed" / f"{container}.json"

    def login(self, set_id: str) -> Place:
        """What sshd gets; the key lasts as long as the set."""
        key = self.set(set_id) / "ssh" / "host_key"
        return Place(home=self.run / "ssh" / set_id, key=key, kits=self.state / "ssh")

    def failed(self, set_id: str, container: str) -> Path:
        """Which generation of a container has failed."""
        return self.set(set_id) / "containers" / container / "failed.json"

    def attempt(self, set_id: str, container: str, attempt: str) -> Path:
        """An attempt's bundle."""
        return self.set(set_id) / "containers" / container / attempt


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """One host."""

    layout: Layout
    store: Store
    runtime: Runtime
    network: Network
    volumes: Volumes
    images: Images
    namespaces: Namespaces
    watch: Watch
    readings: Readings
    cgroup: str
    """The path of the agent's groups."""
    boot: str
    """Another one after each boot."""
    seccomp: Json | None = None
    nofile: tuple[int, int] | None = None
    """The limits of open files, soft and hard, that containers get."""
    allowed: frozenset[str] = frozenset()
    """Privileged things that are done here: privileged, host_network, host_path, vlan."""
    capabilities: tuple[str, ...] = ()
    """What a privileged container gets: all that the agent has."""
    owner: Mapping[str, str] = field(default_factory=dict)
    """What goes on every label: the shim and the host."""

    def label(self, path: Path, text: Json) -> None:
        """Write a label file, whole and durably."""
        private.write(path, {**self.owner, **text})

    @staticmethod
    def now() -> float:
        """Seconds of CLOCK_BOOTTIME, which goes on while a machine sleeps."""
        return time.clock_gettime(time.CLOCK_BOOTTIME)

    @staticmethod
    def desired(row: SetRow) -> DesiredSet:
        """The set that a row speaks of."""
        return desired_of(row.document)

    def bundle(self, attempt: Attempt) -> Path:
        """An attempt's bundle."""
        return self.layout.attempt(attempt.set, attempt.container, attempt.id)

    def config(self, attempt: Attempt) -> Json:
        """What an attempt's runtime was told. Raises Lost."""
        remedy = "restart the container (set-restart), which writes it anew"
        return own_file(self.bundle(attempt) / "config.json", "process", remedy)

    def process(self, attempt: Attempt) -> Json:
        """The process of an attempt, as its runtime was told. Raises Lost."""
        process: Json = self.config(attempt)["process"]
        return process

    @staticmethod
    def deploy(root: Path, files: Iterable[File], secrets: Mapping[str, str]) -> None:
        """Put files into a root filesystem. Raises CannotBe."""
        for file in files:
            data, mode = file.data(secrets), int(file.mode, 8)
            try:
                inroot.write(root, file.path, data, mode=mode, uid=file.uid, gid=file.gid)
            except inroot.CannotReach as error:
                raise CannotBe(str(error)) from None

    def files(self, set_id: str, container: str) -> tuple[File, ...]:
        """The files that operations have deployed into a container. Raises Lost."""
        path = self.layout.files(set_id, container)
        remedy = "remove it, and deploy the container's files once more"
        known = own_file(path, "files", remedy)["files"] if path.exists() else []
        return tuple(load(File, each) for each in known)

    def remember_files(self, set_id: str, container: str, files: Iterable[File]) -> None:
        """Have *files* deployed into every container of that name that is made from now on."""
        known = {file.path: file for file in (*self.files(set_id, container), *files)}
        value = {"files": [dump(file) for file in known.values()]}
        private.write(self.layout.files(set_id, container), value)

    def put_secrets(self, set_id: str, fresh: Mapping[str, str]) -> None:
        """Keep what a set's references stand for until the next boot; former ones too."""
        merged = {**self.secrets(set_id), **fresh}
        if merged:
            private.write(self.layout.secrets / f"{set_id}.json", merged, durably=False)

    def secrets(self, set_id: str) -> Secrets:
        """What a set's references stand for; a damaged file is as good as none."""
        path = self.layout.secrets / f"{set_id}.json"
        try:
            known = json.loads(path.read_text())
        except (FileNotFoundError, ValueError):
            known = {}
        return Secrets(known if isinstance(known, dict) else {})

    def password(self, set_id: str, ssh: Ssh) -> str | None:
        """The hash that lets root in; None where only keys do. Raises CannotBe."""
        if ssh.password is None:
            return None
        known, name = self.secrets(set_id), ssh.password.secret_ref
        return known.get(f"over:{name}") or known[name]

    def override_password(self, set_id: str, ssh: Ssh, fresh: SecretRef) -> None:
        """Have *fresh* stand in the document's password's place, until that is another one."""
        assert ssh.password is not None
        known = self.secrets(set_id)
        self.put_secrets(set_id, {f"over:{ssh.password.secret_ref}": known[fresh.secret_ref]})

    def forget_secrets(self, set_id: str) -> None:
        """Remove what a set's references stand for."""
        (self.layout.secrets / f"{set_id}.json").unlink(missing_ok=True)


def own_file(path: Path, part: str, remedy: str) -> Json:
    """The JSON in a file of the agent's own, with *part* in it. Raises Lost."""
    try:
        value = json.loads(path.read_text())
    except OSError as error:
        raise Lost(path, error.strerror or str(error), remedy) from None
    except ValueError as error:
        raise Lost(path, f"it is damaged: {error}", remedy) from None
    if not isinstance(value, dict) or part not in value:
        raise Lost(path, f"it is damaged: there is no {part!r} in it", remedy)
    return value


def document_of(desired: DesiredSet) -> str:
    """A set of the desired state as JSON, without its secrets."""
    value = dump(desired)
    value["secrets"] = {}
    return json.dumps(value)


@lru_cache(maxsize=4096)
def desired_of(document: str) -> DesiredSet:
    """The set of the desired state that *document* is."""
    value: dict[str, Any] = json.loads(document)
    return load(DesiredSet, value)
