"""What there is on a host in memory: rows, processes, ports, disks and a clock of its own."""

import random
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hostagent import records
from hostagent.errors import NotHere, RuntimeFailed, StepFailed
from hostagent.recipes import SSH

GOOD, BAD, MISSING, STUBBORN, IDLE = "12", "b", "c", "d", "e"
"""What runs until it is told to end, ends at once, cannot be made, must be killed, never starts."""


class Died(BaseException):
    """The agent was killed."""


class Rows:
    """The store's words, on rows in memory."""

    def __init__(self) -> None:
        self._rows: dict[tuple[Any, ...], Any] = {}
        self._meta: dict[str, str] = {}

    @contextmanager
    def transaction(self) -> Iterator[None]:
        before = (dict(self._rows), dict(self._meta))
        try:
            yield
        except BaseException:
            self._rows, self._meta = before
            raise

    def put(self, *rows: Any) -> None:
        for row in rows:
            self._rows[type(row), *_key(row)] = row

    def rows(self, kind: type, **where: object) -> list[Any]:
        return [
            row
            for row in self._rows.values()
            if type(row) is kind and all(getattr(row, name) == what for name, what in where.items())
        ]

    def find(self, kind: type, **where: object) -> Any:
        found = self.rows(kind, **where)
        if not found:
            raise NotHere(f"this host has no such {kind.__name__}")
        return found[0]

    def remove(self, kind: type, **where: object) -> None:
        for row in self.rows(kind, **where):
            del self._rows[type(row), *_key(row)]

    def meta(self, name: str) -> str | None:
        return self._meta.get(name)

    def put_meta(self, name: str, value: str) -> None:
        self._meta[name] = value


def _key(row: Any) -> tuple[Any, ...]:
    if isinstance(row, records.ContainerRow):
        return row.set, row.name
    if isinstance(row, records.Trouble):
        return row.set, row.step
    return (row.id,) if isinstance(row, records.Attempt | records.OperationRow) else (row.set,)


@dataclass
class Process:
    """A container's first process, and its monitor."""

    set: str
    attempt: str
    digest: str
    disk: str
    alive: bool = True
    monitored: bool = True
    started: bool = False
    stuck: bool = False
    """It does not die before this is over, as while a disk does not answer."""
    pending: list[int] = field(default_factory=list)
    """Signals that wait until it is thawed."""
    code: int | None = None


class World:
    """What there is on the host; it outlives agents. ``shaky``: how often an act fails."""

    def __init__(self, home: Path, seed: int) -> None:
        self.home = home
        self.random = random.Random(seed)
        self.now = 1000.0
        self.rows = Rows()
        self.shaky = 0.0
        self.deadly = 0.0
        self.answers = 0.8
        self.meddling = 0.0
        self.meddle: Callable[[], object] = bool
        """What others do in the midst of a step, so often."""
        self.boots = 1
        self.processes: dict[str, Process] = {}
        self.by_pid: dict[int, Process] = {}
        self.exits: dict[str, int] = {}
        self.frozen: set[str] = set()
        self.disks: dict[str, str] = {}
        self.pins: set[tuple[str, int]] = set()
        self.pinned: dict[str, bool] = {}
        """By set, whether its namespaces are with a network of its own."""
        self.links: set[str] = set()
        self.volumes: dict[str, str] = {}
        """The set that each is of."""
        self.open: set[str] = set()
        self.been: dict[tuple[str, str], tuple[str, str]] = {}
        """What each container of a set was made of last, when that was the container; its disk."""
        self.begun: set[str] = set()
        self.wrong: list[str] = []

    def reach(self, point: str) -> None:
        if point == "promote:end":
            self.note_recipes()
        if point == "create:intended":
            for each in self.rows.rows(records.Attempt, state=records.AttemptState.INTENDED):
                if each.container != SSH and each.id not in self.begun:
                    self.begun.add(each.id)
                    self.hold(each)
        if self.random.random() < self.deadly:
            raise Died
        if self.random.random() < self.meddling:
            self.meddle()

    def note_recipes(self, but: str = "") -> None:
        """Write down what containers are, *but* an attempt that is being made."""
        for row in self.rows.rows(records.ContainerRow):
            for each in self.rows.rows(records.Attempt, id=row.current):
                if each.id != but:
                    self.been[row.set, row.name] = each.recipe, each.disk

    def hold(self, attempt: records.Attempt) -> None:
        """What is made is of no generation that has failed, and of another one has a way back."""
        self.note_recipes(attempt.id)
        rows = self.rows.rows(records.ContainerRow, set=attempt.set)
        row = next(each for each in rows if each.name == attempt.container)
        generation = self.rows.find(records.SetRow, set=attempt.set).generation
        has_failed = any(each.failed_generation == generation for each in rows)
        is_new = row.attempts == 1  # again, perhaps: the set had it no more
        recipe, disk = self.been.get((row.set, row.name), ("", "")) if not is_new else ("", "")
        if row.next == attempt.id:
            if has_failed and attempt.generation == generation:
                self.wrong.append(f"{row} is tried again")
            return
        if recipe not in {"", attempt.recipe} and (has_failed or row.was_ready):
            self.wrong.append(f"{row} has no way back")
        asked = {each.kind for each in self.rows.rows(records.OperationRow, set=row.set)}
        is_rebuilt = "rebuild_disk" in asked
        if recipe == attempt.recipe and disk != attempt.disk and not is_rebuilt:
            self.wrong.append(f"{row} has lost its disk")
        self.been[row.set, row.name] = attempt.recipe, attempt.disk

    def try_it(self) -> None:
        """Fail, now and then."""
        if self.random.random() < self.shaky:
            raise self.random.choice([StepFailed("no luck"), RuntimeFailed("no"), OSError(5, "io")])

    def look(self) -> bool:
        """A look whether something is ready."""
        self.try_it()
        return self.random.random() < self.answers

    def end(self, process: Process, code: int) -> None:
        """A container's process ends; its monitor writes that down, where it has one, in a while"""
        if process.alive:
            process.alive, process.code = False, code

    def lapse(self, seconds: float) -> None:
        """Time goes by, and monitors come to write."""
        self.now += seconds
        for each in self.processes.values():
            if not each.alive and each.monitored:
                self.exits[each.attempt] = each.code or 0
                each.monitored = False

    def send(self, process: Process, number: int) -> None:
        """A signal arrives, or waits."""
        if process.set in self.frozen:
            process.pending.append(number)
        elif process.stuck:
            process.pending += [number] if number == signal.SIGKILL else []
        elif number == signal.SIGKILL or process.digest[7] not in STUBBORN:
            self.end(process, 128 + number)

    def deliver(self, set_id: str) -> None:
        """What waits for a set's processes."""
        for each in self.processes.values():
            if each.set == set_id:
                waiting, each.pending = each.pending, []
                for number in waiting:
                    self.send(each, number)

    def reboot(self) -> None:
        """All that lasts no longer than a boot is gone."""
        self.boots += 1
        self.now = 10.0
        self.processes, self.by_pid = {}, {}
        self.frozen, self.links, self.open = set(), set(), set()
        self.pinned = {}

    def left(self) -> dict[str, Any]:
        """What there is of any set."""
        found = {
            "processes": sorted(self.processes), "exits": sorted(self.exits),
            "frozen": self.frozen, "disks": self.disks, "pins": self.pins,
            "pinned": self.pinned, "links": self.links, "open": self.open,
        }  # fmt: skip
        return {name: what for name, what in found.items() if what}
