"""A host in memory, beside the real one: its ports over what there is (hostworld), and its agent.

What decides is the agent's own code: intake, look, plan, steps, keeper and adoption. So whole lives
of a set are lived in milliseconds, with deaths and failures wherever they may come. Images say what
their containers do, by the digest's first figure.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from hostagent import adopt as adoption
from hostagent import attempt_steps, keeper, login_steps, points, records, set_steps
from hostagent.adopt import adopt
from hostagent.errors import RuntimeFailed
from hostagent.host import Host, Layout
from hostagent.keeper import Keeper
from hostagent.ports import Launch, Made, ReadyImage
from hostagent.readings import Readings
from hostagent.records import Attempt
from hostbase.execution import Ended
from hostbase.process import Known
from runspec.limits import Limits
from setspec.desired import DesiredSet, Port
from support import agents
from support.hostworld import BAD, IDLE, MISSING, Process, World

ROUNDS = 400
"""More plans without a pause are a plan that does not come to an end."""


class ModelRuntime:
    def __init__(self, world: World) -> None:
        self._world = world

    def annotations(self, _: Any) -> dict[str, str]:
        return {}

    def create(self, launch: Launch) -> Made:
        world = self._world
        attempt = world.rows.find(Attempt, id=launch.attempt)
        world.try_it()
        if attempt.digest[7] in MISSING:
            raise RuntimeFailed("the container cannot be made: no such program")
        assert attempt.id not in world.processes, "made twice"
        assert world.pinned.get(launch.set) is not None, "made in no namespaces"
        process = Process(launch.set, attempt.id, attempt.digest, attempt.disk)
        pid = 2 * len(world.by_pid) + 100
        world.processes[attempt.id] = world.by_pid[pid] = process
        points.reach("create:spawned")
        world.try_it()
        return Made(Known(pid, 1), Known(pid + 1, 1))

    def start(self, attempt: str) -> None:
        self._world.try_it()
        process = self._world.processes[attempt]
        if process.digest[7] in IDLE:
            raise RuntimeFailed("the runtime says well, and it has not started")
        twins = [each for each in self._world.processes.values()
                 if each.disk == process.disk and each.started and each.alive]  # fmt: skip
        assert twins in ([], [process]), "two on one disk"
        process.started = True
        if process.digest[7] in BAD:
            self._world.end(process, 1)

    def delete(self, set_id: str, attempt: str) -> None:
        _ = set_id
        self._world.try_it()
        self._world.processes.pop(attempt, None)

    def status(self, attempt: str) -> str | None:
        process = self._world.processes.get(attempt)
        if process is None:
            return None
        return "running" if process.started else "created"

    def exit_code(self, attempt: str) -> int | None:
        return self._world.exits.get(attempt)

    def forget_exit(self, attempt: str) -> None:
        self._world.exits.pop(attempt, None)

    def update(self, set_id: str, attempt: str, limits: Limits) -> None:
        _ = set_id, limits
        self._world.try_it()
        if attempt not in self._world.processes:
            raise RuntimeFailed("it does not exist")

    def run(self, attempt: str, process: Any, seconds: float, stdin: bytes = b"") -> Ended:
        _ = process, seconds, stdin
        self._world.try_it()
        assert self._world.processes[attempt].set not in self._world.frozen
        return Ended(self._world.random.choice([0, 0, 1]), b"")

    def freeze(self, set_id: str) -> None:
        self._world.try_it()
        self._world.frozen.add(set_id)

    def thaw(self, set_id: str) -> None:
        self._world.try_it()
        self._world.frozen.discard(set_id)
        self._world.deliver(set_id)

    def is_frozen(self, set_id: str) -> bool:
        return set_id in self._world.frozen

    def memory_used(self, *_: str) -> int | None:
        return 1

    def ran_out(self, *_: str) -> bool:
        return False

    def remove_set(self, set_id: str) -> None:
        self._world.try_it()
        assert not any(each.set == set_id for each in self._world.processes.values())
        self._world.frozen.discard(set_id)


class ModelNetwork:
    def __init__(self, world: World) -> None:
        self._world = world

    def attach(self, port: Port, namespace: Path) -> None:
        _ = namespace
        self._world.try_it()
        self._world.links.add(port.id)

    def is_attached(self, port: Port) -> bool:
        return port.id in self._world.links

    def detach(self, port: Port) -> None:
        self._world.try_it()
        self._world.links.discard(port.id)


class ModelVolumes:
    def __init__(self, world: World) -> None:
        self._world = world

    def make(self, desired: DesiredSet) -> dict[str, str]:
        for each in desired.allocation.volumes:
            self._world.try_it()
            self._world.volumes[each.id] = desired.set
            self._world.open.add(each.id)
        return {each.name: f"/kept/{each.id}" for each in desired.allocation.volumes}

    def are_open(self, desired: DesiredSet) -> bool:
        return all(each.id in self._world.open for each in desired.allocation.volumes)

    def objections(self, _: DesiredSet) -> list[tuple[int, str]]:
        return []

    def sets(self) -> dict[str, str]:
        return {}

    def dismantle(self, desired: DesiredSet, *, purge: bool) -> list[str]:
        self._world.try_it()
        own = {each for each, owner in self._world.volumes.items() if owner == desired.set}
        self._world.open -= own
        for each in own if purge else ():
            del self._world.volumes[each]
        return [] if purge else sorted(own)


class ModelImages:
    def __init__(self, world: World) -> None:
        self._world = world

    def ensure(self, set_id: str, generation: int, reference: str, _: str | None) -> ReadyImage:
        self._world.try_it()
        self._world.pins.add((set_id, generation))
        return ReadyImage(f"sha256:{reference[-1] * 64}", {"config": {}})

    def prepare(self, disk: str, digest: str, most: int) -> Path:
        _ = most
        self._world.try_it()
        assert self._world.disks.setdefault(disk, digest) == digest, "a disk on another image"
        return self._world.home

    def remove(self, disk: str) -> None:
        self._world.try_it()
        users = [each for each in self._world.processes.values() if each.disk == disk]
        assert not users, "the disk of what runs was removed"
        self._world.disks.pop(disk, None)

    def unpin(self, set_id: str, generation: int | None) -> None:
        self._world.pins = {
            (each, of) for each, of in self._world.pins
            if each != set_id or (generation is not None and of > generation)
        }  # fmt: skip


class ModelNamespaces:
    def __init__(self, world: World) -> None:
        self._world = world

    def path(self, set_id: str, kind: str) -> Path:
        return self._world.home / set_id / kind

    def is_pinned(self, set_id: str, *, host_network: bool) -> bool:
        return self._world.pinned.get(set_id) is not host_network and set_id in self._world.pinned

    def has_network(self, set_id: str) -> bool:
        return self._world.pinned.get(set_id, False)

    def pin(self, set_id: str, *_: Any, host_network: bool, running: Any) -> None:
        _ = running
        self._world.try_it()
        self._world.pinned[set_id] = not host_network

    def drop(self, set_id: str) -> None:
        self._world.try_it()
        self._world.pinned.pop(set_id, None)


class ModelWatch:
    """Holds processes as pidfds would: what was not held when it ended is not known."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._held: dict[str, tuple[Process | None, Process | None]] = {}

    def track(self, _: str, attempt: str, init: Any, monitor: Any) -> None:
        found = self._world.by_pid.get(init.pid) if init else None
        watching = self._world.by_pid.get(monitor.pid - 1) if monitor else None
        self._held[attempt] = (found, watching)

    def forget(self, attempt: str) -> None:
        self._held.pop(attempt, None)

    def is_alive(self, attempt: str) -> bool:
        init = self._held.get(attempt, (None, None))[0]
        return init is not None and init.alive and attempt in self._world.processes

    def is_monitored(self, attempt: str) -> bool:
        monitor = self._held.get(attempt, (None, None))[1]
        return monitor is not None and monitor.monitored and attempt in self._world.processes

    def exit_code(self, attempt: str) -> int | None:
        init = self._held.get(attempt, (None, None))[0]
        return init.code if init else None


class ModelHost(Host):
    """The host's ports and rows; a clock of its own."""

    def now(self) -> float:  # type: ignore[override]
        return WORLDS[-1].now

    def label(self, path: Path, text: Any) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(text))

    def process(self, attempt: Attempt) -> Any:
        _ = attempt
        return {"args": []}


WORLDS: list[World] = []
"""The last one is the one that is lived in."""


@dataclass
class ModelKnown:
    """A process of the model, by its pid."""

    pid: int
    began: int

    @property
    def alive(self) -> bool:
        process = WORLDS[-1].by_pid.get(self.pid)
        return process is not None and process.alive

    def ends(self, seconds: float) -> bool:
        _ = seconds
        return not self.alive

    def signal(self, number: int) -> bool:
        process = WORLDS[-1].by_pid.get(self.pid)
        if process is not None:
            WORLDS[-1].send(process, number)
        return process is not None


class ModelAgent:
    """An agent's life: what it knows in memory ends with it."""

    def __init__(self, world: World, *, autostart: bool = True) -> None:
        layout = Layout(world.home / "state", world.home / "run")
        layout.make()
        parts: dict[str, Any] = {
            "store": world.rows, "runtime": ModelRuntime(world), "network": ModelNetwork(world),
            "volumes": ModelVolumes(world), "images": ModelImages(world),
            "namespaces": ModelNamespaces(world), "watch": ModelWatch(world),
        }  # fmt: skip
        self.world = world
        self.host = ModelHost(
            layout=layout, readings=Readings(), cgroup="/model", boot=f"boot-{world.boots}",
            allowed=frozenset({"host_network"}), **parts,
        )  # fmt: skip
        self.keeper = Keeper(self.host)
        adopt(self.host, [], autostart=autostart)


@contextmanager
def model(home: Path, seed: int) -> Iterator[World]:
    """Yield a host without anything; what the agent's code calls is the model's meanwhile."""
    world = World(home, seed)
    WORLDS.append(world)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(records, "Known", ModelKnown)
        patch.setattr(adoption, "_process", _process)
        patch.setattr(keeper, "_ROUNDS", ROUNDS)
        patch.setattr(attempt_steps, "write_bundle", _write_bundle)
        patch.setattr(agents, "hashed", lambda _: "$6$salt$hash")
        patch.setattr(login_steps.CreateLogin, "write", _write_login)
        patch.setattr(login_steps, "change_password", lambda *_: None)
        patch.setattr(attempt_steps, "is_ready", lambda *_: world.look())
        patch.setattr(set_steps, "_write_in_place", lambda *_: world.try_it())
        patch.setattr(Host, "deploy", staticmethod(lambda *_: world.try_it()))
        points.listen(world.reach)
        try:
            yield world
        finally:
            points.listen(lambda _: None)
            WORLDS.pop()


def _process(path: Path, attempt: str) -> ModelKnown | None:
    """The process of a pid file, if it is alive still."""
    for pid, each in WORLDS[-1].by_pid.items():
        if each.attempt == attempt:
            is_there = each.alive if path.name == "pid" else each.monitored
            return ModelKnown(pid + (path.name != "pid"), 1) if is_there else None
    return None


def _write_bundle(host: Host, _: Path, __: Any, attempt: Attempt) -> None:
    host.images.prepare(attempt.disk, attempt.digest, 0)


def _write_login(step: Any, host: Host, _: Path, __: Attempt) -> None:
    step._pid(host)
