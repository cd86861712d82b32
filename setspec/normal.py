"""The normal form of a set document: every default said, every quantity in one unit, one order.

A field is named as in v3 (docs/set-document.md). Quantities are whole millicores and bytes, times
whole seconds.
"""

import base64
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Annotated, Final

from setspec.shape import OBJECT, Texts
from setspec.units import GIB, MIB, Cpu, Disk, Mem, Small

INFRA: Final = "infra"
"""The infra container's name, which no other container may have."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SecretRef:
    """Stands where a secret stood."""

    secret_ref: str


Environment = Annotated[tuple[tuple[str, str | SecretRef], ...], OBJECT]


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """*cmd* replaces the image's Entrypoint, *args* its Cmd; None leaves the image's own.

    Where *cmd* is given, so is *args*.
    """

    cmd: str | None = None
    args: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Exec:
    """A program in the container."""

    cmd: str
    args: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class File:
    """A deployed file; *content* if it is UTF-8 (a secret: as it came), else *content_base64*."""

    path: str
    content: str | SecretRef | None = None
    content_base64: str | SecretRef | None = None
    mode: str = "0644"
    uid: int = 0
    gid: int = 0

    def data(self, secrets: Mapping[str, str]) -> bytes:
        """The file's bytes, with *secrets* by reference; raise KeyError if one is missing."""
        if self.content is not None:
            return _text(self.content, secrets).encode()
        assert self.content_base64 is not None
        return base64.b64decode(_text(self.content_base64, secrets))


@dataclass(frozen=True, slots=True, kw_only=True)
class Mount:
    """A volume of the set, or a directory of the host, at *path* in the container."""

    path: str
    volume: str | None = None
    host_path: str | None = None
    read_only: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class TcpProbe:
    """Ready when the port takes a connection."""

    port: int


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpProbe:
    """Ready when GET answers 200 to 399."""

    port: int
    path: str = "/"


@dataclass(frozen=True, slots=True, kw_only=True)
class Readiness:
    """When a container counts as ready; without a probe, as soon as it runs."""

    exec: Exec | None = None
    tcp: TcpProbe | None = None
    http: HttpProbe | None = None
    period_s: int = 1
    timeout_s: int = 1
    min_ready_s: int = 1
    ready_timeout_s: int = 60


class RestartPolicy(StrEnum):
    """When a process that has ended by itself is started again."""

    ALWAYS = "always"
    ON_FAILURE = "on-failure"
    NEVER = "never"


@dataclass(frozen=True, slots=True, kw_only=True)
class Restart:
    """Waiting grows from *base_s* by *factor* up to *cap_s*."""

    policy: RestartPolicy = RestartPolicy.ALWAYS
    base_s: int = 1
    factor: int = 2
    cap_s: int = 60
    reset_after_s: int = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class Stop:
    """*before* is run, *signal* (None: the image's) sent; killed is what runs after *grace_s*."""

    signal: str | None = None
    grace_s: int = 10
    before: Exec | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one container has at most."""

    pids: int = 512
    nofile: int | None = None
    writable: Disk = 10 * GIB
    logs: Small = 64 * MIB


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """What a container and the infra container have alike."""

    image: str
    cpu: Cpu
    mem: Mem
    command: Command | None = None
    env: Environment = ()
    user: str | None = None
    workdir: str | None = None
    files: tuple[File, ...] = ()
    mounts: tuple[Mount, ...] = ()
    readiness: Readiness = Readiness()
    restart: Restart = Restart()
    stop: Stop = Stop()
    limits: Limits = Limits()


@dataclass(frozen=True, slots=True, kw_only=True)
class Container(Workload):
    """One of the set's containers."""

    name: str
    index: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Infra(Workload):
    """Starts first, stops last, and alone may be privileged."""

    privileged: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """A network by its name, or a raw VLAN."""

    name: str | None = None
    vlan: int | None = None
    ip: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Volume:
    """Disk that outlives containers and the set."""

    name: str
    quota: Disk | None = None
    """None only with *source*: as large as it is."""
    inodes: int | None = None
    source: str | None = field(default=None, metadata={"name": "from"})
    """A kept volume's id."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SetLimits:
    """What all containers of a set have together."""

    shm: Small = 64 * MIB


@dataclass(frozen=True, slots=True, kw_only=True)
class Ssh:
    """Logging in as root in *container*."""

    container: str
    keys: tuple[str, ...] = ()
    password: SecretRef | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Partition:
    """None: nothing is done while the host is silent."""

    stop_on_host_after_s: int | None = None
    replace_after_s: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SetSpec:
    """A set, whole; its containers in the order in which they start."""

    version: str = "v3"
    id: int | None = None
    appkey: str
    labels: Texts = ()
    host_network: bool = False
    networks: tuple[Network, ...]
    infra: Infra | None = None
    volumes: tuple[Volume, ...] = ()
    limits: SetLimits = SetLimits()
    ssh: Ssh | None = None
    partition: Partition = Partition()
    containers: tuple[Container, ...]

    @property
    def login(self) -> Ssh:
        """How one logs in, where one does."""
        assert self.ssh is not None
        return self.ssh

    def workloads(self) -> Iterator[tuple[str, Workload]]:
        """Names and containers in the order in which they start, infra first."""
        if self.infra is not None:
            yield INFRA, self.infra
        for container in self.containers:
            yield container.name, container


def _text(content: str | SecretRef, secrets: Mapping[str, str]) -> str:
    return content if isinstance(content, str) else secrets[content.secret_ref]
