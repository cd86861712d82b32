"""Lives of one set on a host in memory: whatever may come, in any order, and then quiet."""

import random
from dataclasses import replace
from typing import Any

import pytest

from hostagent.describe import status
from hostagent.draft import Plan
from hostagent.errors import Conflict
from hostagent.intake import take_set, take_tombstone
from hostagent.reconcile import plan
from hostagent.records import (
    Attempt,
    AttemptState,
    ContainerRow,
    GoneRow,
    OperationRow,
    SetRow,
    Trouble,
)
from hostagent.seen import Seen, look
from setspec.desired import (
    Deploy,
    DesiredSet,
    Level,
    PlacedVolume,
    Port,
    RebuildDisk,
    Restart,
    SetPassword,
    SyncStatus,
    Tombstone,
)
from setspec.normal import SecretRef
from support.agents import operated, placed, shop
from support.hostmodel import ModelAgent
from support.hostworld import Died, World

LOOKS = 300
"""So often something may be left to do later, until all is as it should be."""
LONG = 600.0
"""No plan sleeps longer than the longest time that a document of ours speaks of."""
PROBES: list[dict[str, Any]] = [
    {"min_ready_s": 0}, {"min_ready_s": 1}, {"tcp": {"port": 80}, "ready_timeout_s": 20},
]  # fmt: skip


class Life:
    """One set, its host, and the agent that lives just now."""

    def __init__(self, world: World, seed: int) -> None:
        self.world = world
        self.random = random.Random(seed)
        self.told: list[str] = []
        self.ports: tuple[Port, ...] = ()
        self.volumes: tuple[PlacedVolume, ...] = ()
        self.desired = self.drawn(None, "12")
        self.agent = ModelAgent(world)
        self.take(self.desired)

    def draw(self, *choices: Any) -> Any:
        return self.random.choice(choices)

    def drawn(self, former: DesiredSet | None, images: str) -> DesiredSet:
        """Another document of the set, of any containers of *images*."""
        policies = ("always", "always", "on-failure", "never") if images != "12" else ("always",)
        containers = [
            {
                "image": f"shop:{self.draw(*images)}", "readiness": self.draw(*PROBES),
                "mem": self.draw("32Mi", "64Mi"), "restart": {"policy": self.draw(*policies)},
                "stop": {"grace_s": self.draw(0, 3), "before": self.draw(None, {"cmd": "/bin/x"})},
            }
            for _ in range(self.random.randint(1, 4))
        ]  # fmt: skip
        for each in containers:
            if each["stop"]["before"] is None:
                del each["stop"]["before"]
        own = self.draw(True, True, False)
        more: dict[str, Any] = {} if own else {"host_network": True}
        ssh = {"container": "c0", "password": "correct horse"} if self.draw(True, False) else None
        if own and ssh:
            more["ssh"] = ssh
        if self.draw(True, False):
            more["volumes"] = [{"name": "v", "quota": "16Mi"}]
            containers[0]["mounts"] = [{"path": "/vol", "volume": "v"}]
        more["networks"] = [{"name": "default"}] if own else []
        document = shop(*containers, **more)
        made = placed(document, set_id=former.set if former else None)
        fresh = made.allocation
        self.ports, self.volumes = self.ports or fresh.ports, self.volumes or fresh.volumes
        allocation = replace(
            fresh, ports=self.ports if own else (),
            volumes=self.volumes if "volumes" in more else (),
        )  # fmt: skip
        return replace(
            made, allocation=allocation, generation=former.generation + 1 if former else 1,
            level=former.level if former else made.level,
        )  # fmt: skip

    def take(self, desired: DesiredSet) -> None:
        """Tell the agent, which says no where the set is being deleted."""
        self.desired = replace(desired, operations=(), secrets=())
        take_set(self.agent.host, desired)

    @property
    def seen(self) -> Seen | None:
        rows = self.agent.host.store.rows(SetRow, set=self.desired.set)
        return look(self.agent.host, rows[0]) if rows else None

    def settle(self) -> Plan | None:
        """One go of the agent; None where it dies of it, and another one begins."""
        try:
            left = self.agent.keeper.settle(self.desired.set)
        except Died:
            self.agent = ModelAgent(self.world)
            return None
        self.check(left)
        return left

    def check(self, left: Plan) -> None:
        """A plan in which nothing is left says when to look again, and says the same twice."""
        assert not left.steps
        assert not self.world.wrong, self.world.wrong
        seen = self.seen
        if seen is None:
            return
        status(seen)
        again = plan(seen)
        assert again == plan(seen)
        assert not again.steps
        if again.wake_at is not None:
            assert seen.now < again.wake_at <= seen.now + LONG, seen.troubles

    def happen(self) -> None:
        """Something happens."""
        what = self.draw(
            self.settle, self.settle, self.settle, self.settle, self.pass_time, self.pass_time,
            self.update, self.update, self.level, self.level, self.operate, self.operate,
            self.crash, self.lose_monitor, self.lose_link, self.lose_pins, self.die, self.reboot,
            self.fail, self.meddle, self.meddle, self.stick,
        )  # fmt: skip
        self.told.append(what.__name__)
        what()

    def pass_time(self) -> None:
        self.world.lapse(self.draw(0.1, 1.0, 5.0, 70.0))

    def update(self) -> None:
        self.take(self.drawn(self.desired, self.draw("12", "12bcde", "1b", "2c", "1e")))

    def level(self) -> None:
        level = self.draw(*Level, Level.RUNNING, Level.RUNNING)
        self.told.append(level)
        self.take(replace(self.desired, level=level))

    def operate(self) -> None:
        names = [name for name, _ in self.desired.spec.workloads()]
        some = tuple(self.random.sample(names, self.random.randint(1, len(names))))
        fresh = SetPassword(password=SecretRef(secret_ref="x"))  # noqa: S106
        args = self.draw(
            Restart(), Restart(containers=some), RebuildDisk(), RebuildDisk(containers=some),
            Deploy(container=some[0], files=()), SyncStatus(), fresh,
        )  # fmt: skip
        self.told.append(f"{args.kind} {some}")
        self.take(replace(operated(self.desired, args)[0], secrets=(("x", "y"),)))

    def restart(self) -> None:
        args = self.draw(Restart(), RebuildDisk(), Restart(containers=("c0",)))
        self.take(operated(self.desired, args)[0])

    def _some(self) -> Any:
        return self.draw(*self.world.processes.values()) if self.world.processes else None

    def crash(self) -> None:
        found = self._some()
        if found is not None and found.started:
            self.world.end(found, self.draw(0, 1, 137))

    def lose_monitor(self) -> None:
        found = self._some()
        if found is not None:
            found.monitored = False

    def lose_link(self) -> None:
        self.world.links.clear()
        self.world.open.clear()

    def lose_pins(self) -> None:
        self.world.pinned.clear()

    def die(self) -> None:
        """The agent is killed somewhere in what it does next."""
        self.world.deadly = 0.1
        self.settle()
        self.world.deadly = 0.0

    def meddle(self) -> None:
        """Others ask for something in the midst of what the agent does next."""
        todo = [self.draw(self.update, self.level, self.operate, self.crash) for _ in range(3)]
        self.world.meddle = lambda: todo.pop()() if todo else None
        self.world.meddling = 0.1
        self.settle()
        self.world.meddling = 0.0

    def stick(self) -> None:
        """Something cannot even be killed, for a while."""
        found = self._some()
        if found is not None:
            found.stuck = True
            self.settle()

    def fail(self) -> None:
        """What the agent does next fails in part."""
        self.world.shaky = self.draw(0.1, 0.5, 1.0)
        for _ in range(self.draw(1, 4)):
            self.settle()
            self.world.lapse(self.draw(0.5, 2.0))
        self.world.shaky = 0.0

    def reboot(self) -> None:
        self.world.reboot()
        self.agent = ModelAgent(self.world, autostart=self.draw(True, False))

    def quiet(self) -> None:
        """Nothing happens any more: the agent does what is left to do, in time."""
        self.world.answers = 1.0
        for each in self.world.processes.values():
            each.stuck = False
        self.world.deliver(self.desired.set)
        for _ in range(LOOKS):
            self.world.lapse(0.01)
            left = self.settle()
            assert left is not None
            if left.wake_at is None:
                return
            self.world.lapse(max(left.wake_at - self.world.now, 0.01))
        raise AssertionError("it does not come to rest")

    def converge(self) -> None:
        """Quiet comes, and all is as the document says, with nothing left over."""
        self.quiet()
        seen = self.seen
        assert seen is not None
        assert not seen.troubles
        assert not [each for each in seen.operations if each.ended is None], seen.operations
        getattr(self, f"is_{self.desired.level}")(seen)
        running = {each.id for each in seen.attempts.values() if each.exists}
        assert set(self.world.processes) <= running
        assert set(self.world.exits) <= running
        assert set(self.world.disks) <= {each.disk for each in seen.attempts.values()}

    def is_running(self, seen: Seen) -> None:
        """What a document of good images says is what runs."""
        assert not seen.is_frozen
        names = [name for name, _ in seen.workloads]
        wanted = {*names, "_ssh"} if self.desired.spec.ssh else set(names)
        assert set(seen.containers) == wanted
        assert seen.is_released
        for name in wanted:
            current, row = seen.current(name), seen.container(name)
            assert current is not None, name
            assert current.state is AttemptState.STARTED, name
            assert current.id in seen.alive, name
            assert current.stopping_at is None, f"{name} was told to end, and that was all"
            assert current.ready_at is not None, name
            assert row.next is None, name
            if name in names:
                recipe = seen.wanted(name)
                assert recipe is not None
                assert current.recipe == recipe.fingerprint
                assert row.failed_generation != seen.row.generation
        assert len(seen.attempts) == len(wanted)
        assert {each.id for each in self.desired.allocation.ports} == self.world.links
        assert status(seen).reason is None
        assert status(seen).state == "running"

    def is_stopped(self, seen: Seen) -> None:
        assert not self.world.processes
        assert not seen.is_frozen
        assert not any(row.was_ready or row.crashes for row in seen.containers.values())

    def is_suspended(self, seen: Seen) -> None:
        started = [each for each in seen.attempts.values() if each.state is AttemptState.STARTED]
        assert seen.is_frozen or not started

    def is_created(self, seen: Seen) -> None:
        assert not seen.is_frozen
        for name, _ in seen.workloads:
            assert seen.current(name) is not None

    def leave(self, *, purge: bool) -> None:
        """The set is deleted, and nothing is left."""
        host, name = self.agent.host, self.desired.set
        take_tombstone(host, Tombstone(set=name, generation=self.desired.generation, purge=purge))
        self.quiet()
        for kind in (SetRow, ContainerRow, Attempt, OperationRow, Trouble):
            assert not host.store.rows(kind, set=name), kind
        assert host.store.rows(GoneRow, set=name)
        assert not self.world.left(), self.world.left()
        assert not purge or not self.world.volumes
        assert not host.layout.set(name).exists()
        for generation in range(1, self.desired.generation + 1):
            with pytest.raises(Conflict):
                take_set(host, replace(self.desired, generation=generation))
        assert not host.store.rows(SetRow, set=name)
