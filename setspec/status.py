"""Reported status: what a host has, as its agent tells the shim."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from setspec.desired import FEATURES, PROTOCOL, Epoch


class SetState(StrEnum):
    """What a set is."""

    PENDING = "pending"
    CREATING = "creating"
    CREATED = "created"
    STARTING = "starting"
    RUNNING = "running"
    DEGRADED = "degraded"
    SUSPENDED = "suspended"
    STOPPING = "stopping"
    STOPPED = "stopped"
    DELETING = "deleting"
    FAILED = "failed"


class ContainerState(StrEnum):
    """What a container is."""

    PENDING = "pending"
    CREATING = "creating"
    CREATED = "created"
    RUNNING = "running"
    SUSPENDED = "suspended"
    STOPPING = "stopping"
    EXITED = "exited"
    BACKOFF = "backoff"
    FAILED = "failed"
    STUCK = "stuck"
    """It does not die."""
    UNMONITORED = "unmonitored"
    """It runs, and nothing will see its exit code."""


class ResultState(StrEnum):
    """How far an operation is."""

    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far a set is with what it is doing."""

    stage: str
    done: int | None = None
    """Bytes."""
    total: int | None = None
    """Bytes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerStatus:
    """One container, in its last attempt."""

    name: str
    state: ContainerState
    reason: str | None = None
    ready: bool = False
    attempt: str | None = None
    attempts: int = 0
    digest: str | None = None
    pid: int | None = None
    started: datetime | None = None
    ended: datetime | None = None
    exit_code: int | None = None
    exit_known: bool = True
    """False: it has ended, and nobody saw how."""
    oom_killed: bool = False
    mem_used: int | None = None
    """Bytes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RolledBack:
    """A gray update of *container* to *generation* that failed and is never tried again."""

    container: str
    generation: int
    digest: str | None = None
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class VolumeStatus:
    """One volume, as its driver sees it."""

    name: str
    id: str
    driver: str
    quota_bytes: int | None = None
    used_bytes: int | None = None
    used_inodes: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SetStatus:
    """One set."""

    set: str
    generation: int
    state: SetState
    reason: str | None = None
    progress: Progress | None = None
    containers: tuple[ContainerStatus, ...]
    rolled_back: tuple[RolledBack, ...] = ()
    volumes: tuple[VolumeStatus, ...] = ()
    host_keys: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Gone:
    """A tombstone that was carried out: nothing of the set is left, but for *kept_volumes*."""

    set: str
    generation: int
    kept_volumes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What became of an operation; told until the shim has acknowledged it."""

    id: str
    set: str
    state: ResultState
    reason: str | None = None
    digest: str | None = None
    started: datetime | None = None
    ended: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """An item of the desired state that the host has refused."""

    kind: str
    id: str | None = None
    generation: int | None = None
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Alarm:
    """Something that an operator must see."""

    kind: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Pool:
    """Local storage.

    *used* is what nobody can have any more, *reserved* what volumes were promised and have not
    taken: what is left to be promised is capacity without both.
    """

    name: str
    driver: str
    capacity_bytes: int
    used_bytes: int
    reserved_bytes: int = 0
    capacity_inodes: int | None = None
    """None: as many as there are bytes for."""
    used_inodes: int | None = None
    reserved_inodes: int = 0

    @property
    def free_bytes(self) -> int:
        """What can be promised still."""
        return max(self.capacity_bytes - self.used_bytes - self.reserved_bytes, 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class CachedImage:
    """An image of which all layers are in the cache."""

    digest: str
    bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Cache:
    """The image cache; hits and misses are layers."""

    layers: int
    used_bytes: int
    used_inodes: int = 0
    pinned_bytes: int = 0
    hits: int = 0
    misses: int = 0
    images: tuple[CachedImage, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Resources:
    """What a host has."""

    architecture: str
    cpu_millicores: int
    mem_bytes: int
    networks: tuple[str, ...] = ()
    watchdog: bool = False
    pools: tuple[Pool, ...]
    cache: Cache


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """All that a host has (*complete*), or what changed since its last report."""

    protocol: int = PROTOCOL
    features: tuple[str, ...] = FEATURES
    shim: str
    host: str
    boot: str
    epoch: Epoch
    rev: int
    seq: int
    complete: bool
    sets: tuple[SetStatus, ...]
    gone: tuple[Gone, ...] = ()
    operations: tuple[Result, ...] = ()
    refused: tuple[Refusal, ...] = ()
    alarms: tuple[Alarm, ...] = ()
    resources: Resources | None = None
