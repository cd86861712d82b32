"""What an agent knows durably: sets, containers, attempts, operations. Frozen; a change is a row.

Moments ending in ``_at`` are seconds of CLOCK_BOOTTIME, which stands still for nobody and begins
anew with the host; others are RFC 3339 in UTC. What ``setspec.status`` tells of the same things has
other states and moments: a row changes with this agent's database, a status with the protocol.
"""

import json
from dataclasses import dataclass, field
from enum import StrEnum
from functools import lru_cache
from typing import Any

from hostbase.process import Known


class AttemptState(StrEnum):
    """How far a run of a container is."""

    INTENDED = "intended"
    """It was to be made; what there is of it is not known."""
    CREATED = "created"
    STARTED = "started"
    ENDED = "ended"
    REMOVED = "removed"
    """Nothing is left of it but its disk."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SetRow:
    """A set that this host was told of."""

    set: str
    generation: int
    level: str
    document: str = field(repr=False)
    """The set of the desired state, as JSON, without its secrets."""
    prepared: str | None = field(default=None, repr=False)
    """JSON: the generation whose images are here, and what they are."""
    network: str | None = None
    """JSON: the ports that were attached, or may have been, since boot."""
    volumes: str | None = None
    """JSON: where each volume is, since boot."""
    tombstone: int | None = None
    purge: bool = False
    held: str | None = None
    """Why nothing of it is started."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerRow:
    """A container of a set, through all its attempts."""

    set: str
    name: str
    current: str | None = None
    """The attempt that is the container."""
    next: str | None = None
    """The attempt that is to replace it, in a gray update."""
    good: str | None = None
    """The attempt that a gray update goes back to."""
    failed_generation: int | None = None
    """The generation whose gray update failed, and is never tried again."""
    failed_reason: str | None = None
    failed_digest: str | None = None
    was_ready: bool = False
    """It has been ready since its set was started: it restarts by itself, out of turn."""
    crashes: int = 0
    """Ends by itself, one after the other."""
    attempts: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One run of a container."""

    id: str
    set: str
    container: str
    generation: int
    disk: str
    """Its writable layer, which further attempts may have after it."""
    digest: str
    recipe: str
    """What it was made of: other recipes are other containers."""
    spec: str = field(repr=False)
    """JSON: the workload of the set document."""
    image: str = field(repr=False)
    """JSON: the image's config."""
    limits: str
    """JSON: memory, cores and processes, as they are now."""
    boot: str
    state: AttemptState
    init_pid: int | None = None
    init_began: int | None = None
    monitor_pid: int | None = None
    monitor_began: int | None = None
    started_at: float | None = None
    ready_at: float | None = None
    stopping_at: float | None = None
    signalled: bool = False
    """It was asked to end."""
    ended_at: float | None = None
    started: str | None = None
    ended: str | None = None
    exit_code: int | None = None
    exit_known: bool = True
    oom: bool = False

    @property
    def init(self) -> Known | None:
        """Its first process."""
        return _known(self.init_pid, self.init_began)

    @property
    def monitor(self) -> Known | None:
        """What watches it."""
        return _known(self.monitor_pid, self.monitor_began)

    @property
    def exists(self) -> bool:
        """Whether there is something of it besides its disk."""
        return self.state is not AttemptState.REMOVED


def _known(pid: int | None, began: int | None) -> Known | None:
    return None if pid is None or began is None else Known(pid, began)


class OperationState(StrEnum):
    """How far an operation is."""

    PENDING = "pending"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    ACKNOWLEDGED = "acknowledged"
    """Its result has arrived; the id is kept, so that it is never carried out again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OperationRow:
    """What should happen once."""

    id: str
    set: str
    kind: str
    args: str
    """JSON"""
    state: OperationState = OperationState.PENDING
    reason: str | None = None
    targets: str | None = None
    """JSON: by container, the attempt that it began with."""
    started: str | None = None
    ended: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """A step that could not be done, and when it is tried again."""

    set: str
    step: str
    text: str
    count: int
    retry_at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class GoneRow:
    """A tombstone that was carried out, until that is acknowledged."""

    set: str
    generation: int
    kept_volumes: str
    """JSON"""


@lru_cache(maxsize=4096)
def parsed(text: str | None) -> dict[str, Any]:
    """The JSON in a row's field, which nobody changes; nothing where there is none."""
    value: dict[str, Any] = json.loads(text) if text else {}
    return value


Row = SetRow | ContainerRow | Attempt | OperationRow | Trouble | GoneRow
