"""Steps of one attempt: made, started, looked at, updated, ended, removed."""

import contextlib
import json
import signal
import uuid
from abc import abstractmethod
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import ClassVar, Final

from hostagent import conmon, points
from hostagent.bundling import write_bundle
from hostagent.ends import is_done
from hostagent.errors import HostError, StepFailed
from hostagent.host import Host, moment
from hostagent.ports import Launch, Made
from hostagent.probing import is_ready
from hostagent.recipes import Recipe, anew, has_failed, recipe_of, wanted, workload_of
from hostagent.records import Attempt, AttemptState, ContainerRow
from hostagent.step import AttemptStep, Step
from hostbase.private import remove_tree
from runspec.bundle import limits_of, program, stop_signal
from runspec.limits import Limits
from volumes import disks

_KILLED: Final = 137
"""The exit code of what the kernel ends, for lack of memory too."""

_LAST: Final = 1.0
"""Seconds for what was killed to end."""


@dataclass(frozen=True, slots=True)
class Make(Step):
    """Make a new attempt, all but its first instruction."""

    container: str
    replaces: bool = False
    """It is made beside the one that runs, to take its place."""

    inner: ClassVar = (disks.LIMITED, conmon.SPAWNED, conmon.ANSWERED)

    @property
    def key(self) -> str:
        return f"{self.name()} {self.container}"

    def intend(self, host: Host) -> Attempt:
        with host.store.transaction():
            row = _container(host, self.set, self.container)
            recipe = self.recipe(host, row)
            attempt = Attempt(
                id=str(uuid.uuid4()),
                set=self.set,
                container=self.container,
                generation=self.row(host).generation,
                disk=recipe.disk or str(uuid.uuid4()),
                digest=recipe.digest,
                recipe=recipe.fingerprint,
                spec=recipe.spec,
                image=recipe.image,
                limits=json.dumps(asdict(limits_of(recipe.workload))),
                boot=host.boot,
                state=AttemptState.INTENDED,
            )
            changed = replace(row, attempts=row.attempts + 1)
            if self.replaces:
                changed = replace(changed, next=attempt.id, good=row.current)
            else:
                changed = replace(changed, current=attempt.id)
            host.store.put(changed, attempt)
        label(host, attempt, "next" if self.replaces else "current")
        return attempt

    def act(self, host: Host, intent: Attempt) -> tuple[Attempt, Made]:
        bundle = host.layout.attempt(self.set, self.container, intent.id)
        self.write(host, bundle, intent)
        log = host.layout.log(self.set, self.container)
        log.parent.mkdir(mode=0o700, exist_ok=True)
        launch = Launch(
            set=self.set,
            attempt=intent.id,
            bundle=bundle,
            log=log,
            log_bytes=workload_of(intent.spec).limits.logs // 2,
        )
        return intent, host.runtime.create(launch)

    def confirm(self, host: Host, result: tuple[Attempt, Made]) -> None:
        attempt, made = result
        host.watch.track(self.set, attempt.id, made.init, made.monitor)
        host.store.put(
            replace(
                attempt,
                state=AttemptState.CREATED,
                init_pid=made.init.pid,
                init_began=made.init.began,
                monitor_pid=made.monitor.pid,
                monitor_began=made.monitor.began,
            )
        )

    @abstractmethod
    def recipe(self, host: Host, row: ContainerRow) -> Recipe:
        """What it is made of."""

    @abstractmethod
    def write(self, host: Host, bundle: Path, attempt: Attempt) -> None:
        """Put into *bundle* what the runtime needs."""


@dataclass(frozen=True, slots=True)
class Create(Make):
    """Make a new attempt of a container; on the disk of the one before if that was the same."""

    def write(self, host: Host, bundle: Path, attempt: Attempt) -> None:
        write_bundle(host, bundle, self.row(host), attempt)

    def recipe(self, host: Host, row: ContainerRow) -> Recipe:
        known = {each.id: each for each in host.store.rows(Attempt, set=self.set)}
        rows = {each.name: each for each in host.store.rows(ContainerRow, set=self.set)}
        choose = wanted if self.replaces else anew
        recipe = choose(self.desired(host), self.row(host), rows, self.container, known)
        if recipe is None:
            raise StepFailed(f"{self.container}: its image is not here yet")
        former = known.get(row.current or "")
        if former is None or former.recipe != recipe.fingerprint:
            return recipe
        if self.replaces:  # they would have one disk
            raise StepFailed(f"{self.container} is what it should be: another document has come")
        return replace(recipe, disk=recipe.disk or former.disk)


@dataclass(frozen=True, slots=True)
class Start(AttemptStep):
    """Run an attempt's first instruction. Nothing is started whose monitor is not alive."""

    def act(self, host: Host, _: None) -> None:
        if not host.watch.is_monitored(self.attempt):
            raise StepFailed("its monitor has died, so its end would not be seen")
        host.runtime.start(self.attempt)

    def confirm(self, host: Host, _: None) -> None:
        started = AttemptState.STARTED
        row = replace(self.found(host), state=started, started_at=host.now(), started=moment())
        host.store.put(row)


@dataclass(frozen=True, slots=True)
class Probe(AttemptStep):
    """Look whether a container is ready; the answer is kept in memory alone."""

    def act(self, host: Host, _: None) -> None:
        is_good = is_ready(host, self.row(host), self.found(host))
        host.readings.put(self.attempt, host.now(), is_good=is_good)


@dataclass(frozen=True, slots=True)
class NoteReady(AttemptStep):
    """Write down that a container is ready."""

    def confirm(self, host: Host, _: None) -> None:
        host.store.put(replace(self.found(host), ready_at=host.now()))
        row = self.container(host)
        if row.current == self.attempt:
            host.store.put(replace(row, was_ready=True, good=None))


@dataclass(frozen=True, slots=True)
class Stop(AttemptStep):
    """Ask an attempt to end: the program that runs before, then the signal."""

    def intend(self, host: Host) -> Attempt:
        return _ending(self, host, signalled=False)

    def act(self, host: Host, intent: Attempt) -> None:
        recipe = recipe_of(intent)
        before = recipe.workload.stop.before
        if before is not None and not host.runtime.is_frozen(self.set):
            with contextlib.suppress(HostError, OSError):  # it is asked to end in any case
                process = program(host.process(intent), before)
                host.runtime.run(self.attempt, process, recipe.workload.stop.grace_s)
        if intent.init is not None:
            name = stop_signal(recipe.workload, json.loads(intent.image))
            intent.init.signal(number(name))

    def confirm(self, host: Host, _: None) -> None:
        host.store.put(replace(self.found(host), signalled=True))


@dataclass(frozen=True, slots=True)
class Kill(AttemptStep):
    """End an attempt."""

    def intend(self, host: Host) -> Attempt:
        return _ending(self, host, signalled=True)

    def act(self, host: Host, intent: Attempt) -> None:
        if intent.init is not None:
            intent.init.signal(signal.SIGKILL)
            # What stands still ends when it goes on.
            if not host.runtime.is_frozen(self.set) and not intent.init.ends(_LAST):
                raise StepFailed("it was killed, and does not end: see whether its disks answer")


@dataclass(frozen=True, slots=True)
class NoteExit(AttemptStep):
    """Write down how an attempt ended, as its monitor or else the kernel says; never a guess."""

    def act(self, host: Host, _: None) -> Attempt:
        code = host.runtime.exit_code(self.attempt)
        if code is None:
            code = host.watch.exit_code(self.attempt)
        ended = replace(
            self.found(host),
            state=AttemptState.ENDED,
            ended_at=host.now(),
            ended=moment(),
            exit_code=code,
            exit_known=code is not None,
            oom=code == _KILLED and host.runtime.ran_out(self.set, self.attempt),
        )
        if is_done(ended, workload_of(ended.spec)):  # and no lost store has it done again
            label(host, ended, "next" if self.container(host).next == self.attempt else "current")
        return ended

    def confirm(self, host: Host, result: Attempt) -> None:
        attempt, now = result, host.now()
        host.store.put(attempt)
        if attempt.started_at is not None and attempt.stopping_at is None:
            row = self.container(host)
            patience = recipe_of(attempt).workload.restart.reset_after_s
            is_long = now - attempt.started_at >= patience
            host.store.put(replace(row, crashes=1 if is_long else row.crashes + 1))


@dataclass(frozen=True, slots=True)
class Remove(AttemptStep):
    """Leave nothing of an attempt; its disk stays for the next one, unless it is to go too."""

    disk: bool = False

    inner: ClassVar = ("remove:deleted",)

    def act(self, host: Host, _: None) -> None:
        attempt, row = self.found(host), self.container(host)
        host.runtime.delete(self.set, self.attempt)
        points.reach("remove:deleted")
        host.watch.forget(self.attempt)
        host.readings.forget(self.attempt)
        host.runtime.forget_exit(self.attempt)
        if self._takes_disk(host):
            host.images.remove(attempt.disk)
        if self._takes_disk(host) or self.attempt not in {row.current, row.good}:
            remove_tree(host.bundle(attempt))
            return
        for path in host.bundle(attempt).glob("*"):  # its disk has a label, as long as it stays
            if path.is_dir() and not path.is_symlink():
                remove_tree(path)
            elif path.name != "label.json":
                path.unlink()

    def confirm(self, host: Host, _: None) -> None:
        row = self.container(host)
        attempt = self.found(host)
        if self._takes_disk(host) or self.attempt not in {row.current, row.good}:
            host.store.remove(Attempt, id=self.attempt)
            fresh = self._on_another_disk(host, row, attempt)
            row = replace(
                row,
                current=fresh if row.current == self.attempt else row.current,
                good=None if row.good == self.attempt else row.good,
            )
        else:
            host.store.put(replace(attempt, state=AttemptState.REMOVED))
        host.store.put(replace(row, next=None if row.next == self.attempt else row.next))

    def _on_another_disk(self, host: Host, row: ContainerRow, former: Attempt) -> str | None:
        """What stands for what a container is to be again, whatever the document says."""
        rows = host.store.rows(ContainerRow, set=self.set)
        is_kept = row.was_ready or has_failed(self.row(host), rows)
        if not is_kept or (row.good or row.current) != former.id:
            return None
        disk, state = str(uuid.uuid4()), AttemptState.REMOVED
        fresh = replace(former, id=str(uuid.uuid4()), disk=disk, state=state, ready_at=None)
        host.store.put(fresh)
        return fresh.id

    def _takes_disk(self, host: Host) -> bool:
        """Whether nobody will want its disk: nothing refers to it, or it was to replace another."""
        row, disk = self.container(host), self.found(host).disk
        if self.disk or row.next == self.attempt:
            return True
        is_alone = len(host.store.rows(Attempt, set=self.set, disk=disk)) == 1
        return is_alone and self.attempt not in {row.current, row.good}


@dataclass(frozen=True, slots=True)
class Update(AttemptStep):
    """Change an attempt's limits while it runs."""

    limits: Limits

    def act(self, host: Host, _: None) -> None:
        host.runtime.update(self.set, self.attempt, self.limits)

    def confirm(self, host: Host, _: None) -> None:
        host.store.put(replace(self.found(host), limits=json.dumps(asdict(self.limits))))


def label(host: Host, attempt: Attempt, role: str) -> None:
    """Write down by which a lost store is made again: what it was made of, and what it is."""
    is_over = attempt.state is AttemptState.ENDED
    told = attempt if is_over else replace(attempt, state=AttemptState.INTENDED)
    text = {"attempt": asdict(told), "role": role}
    host.label(host.bundle(attempt) / "label.json", text)


def _ending(step: AttemptStep, host: Host, *, signalled: bool) -> Attempt:
    """The attempt that is to end, with the moment since when."""
    with host.store.transaction():
        attempt = step.found(host)
        if attempt.stopping_at is None:
            attempt = replace(attempt, stopping_at=host.now(), signalled=signalled)
            host.store.put(attempt)
    return attempt


def number(name: str) -> int:
    """A signal's number."""
    base, plus, more = name.partition("+")
    return int(signal.Signals[base]) + (int(more) if plus else 0)


def _container(host: Host, set_id: str, name: str) -> ContainerRow:
    found = host.store.rows(ContainerRow, set=set_id, name=name)
    return found[0] if found else ContainerRow(set=set_id, name=name)
