"""Desired state: what one host should run, as a shim says it in the answer to a poll."""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Annotated, ClassVar, Final

from setspec.normal import Exec, File, SecretRef, SetSpec
from setspec.shape import TAGGED, Texts

PROTOCOL: Final = 1
"""The edition of desired state and status that this package reads and writes."""
FEATURES: Final[tuple[str, ...]] = ()
"""What it knows beyond that edition; grows until the next one takes it in."""


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Epoch:
    """Later epochs are greater: *incarnation* counts restores, *n* lapses and boots."""

    incarnation: int
    n: int


class Level(StrEnum):
    """What a set should be."""

    CREATED = "created"
    RUNNING = "running"
    STOPPED = "stopped"
    SUSPENDED = "suspended"


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """Packets to the network *to* go by the address *via*."""

    to: str
    via: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Port:
    """An interface of the set, with its addresses."""

    id: str
    device: str
    network: str
    vlan: int | None = None
    mac: str
    addresses: tuple[str, ...]
    """Each with the length of its network, as in 10.20.0.5/24."""
    gateways: tuple[str, ...] = ()
    dns: tuple[str, ...] = ()
    routes: tuple[Route, ...] = ()
    mtu: int = 1500
    """Bytes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlacedVolume:
    """Which volume the spec's *name* is."""

    name: str
    id: str
    storage: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PlacedImage:
    """Where a container's image is pulled from."""

    container: str
    reference: str
    digest: str | None = None
    credential: SecretRef | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Allocation:
    """What was chosen for a set: its names, addresses, volumes and images."""

    hostname: str
    ports: tuple[Port, ...] = ()
    volumes: tuple[PlacedVolume, ...] = ()
    images: tuple[PlacedImage, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Restart:
    """Stop the named containers, and start them again."""

    kind: ClassVar[str] = "restart"
    containers: tuple[str, ...] | None = None
    """None: all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RebuildDisk:
    """Begin the named containers anew on their images; volumes stay."""

    kind: ClassVar[str] = "rebuild_disk"
    containers: tuple[str, ...] | None = None
    """None: all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """Make an image of a container's writable layer, and push it."""

    kind: ClassVar[str] = "snapshot"
    container: str
    reference: str
    """Where to push to."""
    credential: SecretRef | None = None
    with_files: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Deploy:
    """Put files into a container."""

    kind: ClassVar[str] = "deploy"
    container: str
    files: tuple[File, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SetPassword:
    """Root's password for ssh."""

    kind: ClassVar[str] = "set-password"
    password: SecretRef


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncStatus:
    """Look again at everything, and report it whole."""

    kind: ClassVar[str] = "sync-status"


Args = Restart | RebuildDisk | Snapshot | Deploy | SetPassword | SyncStatus


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """What should happen once; *id* is carried out at most once."""

    id: str
    args: Annotated[Args, TAGGED]

    @property
    def kind(self) -> str:
        """The operation's name in JSON."""
        return self.args.kind

    @property
    def containers(self) -> tuple[str, ...]:
        """The containers that it names."""
        if isinstance(self.args, Restart | RebuildDisk):
            return self.args.containers or ()
        if isinstance(self.args, Snapshot | Deploy):
            return (self.args.container,)
        return ()


@dataclass(frozen=True, slots=True, kw_only=True)
class DesiredSet:
    """One set on this host."""

    set: str
    generation: int
    project: str
    level: Level
    fingerprint: str
    spec: SetSpec
    allocation: Allocation
    operations: tuple[Operation, ...] = ()
    secrets: Texts = field(default=(), repr=False)
    """What the references stand for. Never to be logged, nor stored but under 0600."""

    def secret(self, reference: SecretRef) -> str:
        """What *reference* stands for; raise KeyError if it is not said."""
        return dict(self.secrets)[reference.secret_ref]


@dataclass(frozen=True, slots=True, kw_only=True)
class Tombstone:
    """The set shall be gone from the host, in *generation* and all before it."""

    set: str
    generation: int
    purge: bool = False
    """Its volumes too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecSession:
    """A command in a container, with its input and output."""

    kind: ClassVar[str] = "exec"
    command: Exec
    tty: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class LogsSession:
    """A container's output."""

    kind: ClassVar[str] = "logs"
    follow: bool = False
    tail: int | None = None
    """Lines; None: all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """Somebody waits for this host to dial back with *id*, for *expires_s* seconds."""

    id: str
    set: str
    container: str
    args: Annotated[ExecSession | LogsSession, TAGGED]
    expires_s: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DesiredState:
    """All that a host should run (*complete*), or what changed after the rev *since*."""

    protocol: int = PROTOCOL
    features: tuple[str, ...] = FEATURES
    shim: str
    host: str
    epoch: Epoch
    rev: int
    complete: bool
    since: int | None = None
    sets: tuple[DesiredSet, ...]
    tombstones: tuple[Tombstone, ...]
    sessions: tuple[Session, ...] = ()
    acknowledged: tuple[str, ...] = ()
