"""After a start: what runs is taken over, what a reboot has ended is written down as ended.

Rows stand before acts, so what there is has a row. Where the store was lost, rows are made again
out of the label files; nothing is removed here, only taken over.
"""

import json
import logging
import shutil
from collections import defaultdict
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from hostagent.host import Host, moment
from hostagent.records import Attempt, AttemptState, ContainerRow, SetRow, Trouble
from hostbase.process import Known
from setspec.desired import DesiredSet, Level
from setspec.shape import load

_BOOT: Final = "boot"
_AWAY: Final = (
    "the host was rebooted: nothing starts before the shim has been heard, or a set-start"
)
_THAWED: Final = "the host was rebooted while the set was suspended"
_RUNNING: Final = (AttemptState.CREATED, AttemptState.STARTED)

log = logging.getLogger("hostagent")


@dataclass(frozen=True, slots=True)
class Adopted:
    """What was found at a start."""

    attempts: int
    rebooted: bool
    rebuilt: int
    """Sets whose rows were made again out of labels."""
    unknown: tuple[str, ...]
    """Attempts' groups that nobody knows; they are left alone."""


def adopt(host: Host, unknown_groups: list[tuple[str, str]], *, autostart: bool) -> Adopted:
    """Take over what is there; *unknown_groups* are all groups of attempts that were found."""
    former = host.store.meta(_BOOT)
    rebooted = former is not None and former != host.boot
    if rebooted:
        _note_reboot(host, autostart=autostart)
    host.store.put_meta(_BOOT, host.boot)
    rebuilt = 0
    for path in sorted(host.layout.sets.glob("*/label.json")):
        try:
            rebuilt += _rebuild(host, path)
        except (AttributeError, LookupError, TypeError, ValueError) as error:
            log.warning("the labels of set %s cannot be read: %r", path.parent.name, error)
    attempts = host.store.rows(Attempt)
    for attempt in attempts:
        if attempt.state in _RUNNING:
            host.watch.track(attempt.set, attempt.id, attempt.init, attempt.monitor)
    known = {attempt.id for attempt in attempts}
    unknown = tuple(name for _, name in unknown_groups if name not in known)
    if unknown:
        log.warning("groups of attempts that nobody knows, left alone: %s", ", ".join(unknown))
    return Adopted(len(attempts), rebooted, rebuilt, unknown)


def _note_reboot(host: Host, *, autostart: bool) -> None:
    """Nothing of before runs any more; what only lasts as long as a boot is forgotten."""
    for name in ("runtime", "sets", "sockets"):
        for path in (host.layout.run / name).glob("*"):
            shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink()
    with host.store.transaction():
        for attempt in host.store.rows(Attempt):
            if attempt.state in {*_RUNNING, AttemptState.INTENDED}:
                host.store.put(_ended(host, attempt))
        for row in host.store.rows(SetRow):
            held = row.held
            if row.level == Level.SUSPENDED:
                held = _THAWED
            elif not autostart:
                held = held or _AWAY
            host.store.put(replace(row, network=None, volumes=None, held=held))
            host.store.remove(Trouble, set=row.set)  # their moments were those of another clock
        for each in host.store.rows(ContainerRow):  # which start in order again
            host.store.put(replace(each, was_ready=False, crashes=0))


def _ended(host: Host, attempt: Attempt) -> Attempt:
    """A code that was written down before the reboot is known still."""
    code = host.runtime.exit_code(attempt.id)
    return replace(
        attempt,
        state=AttemptState.ENDED,
        ended_at=0.0,
        stopping_at=attempt.stopping_at or 0.0,
        ended=moment(),
        exit_code=code,
        exit_known=code is not None,
    )


def _rebuild(host: Host, path: Path) -> int:
    """Make the rows of one set again out of its labels, as far as they are missing.

    Directories are called as sets and attempts are, so labels of what is known are not read.
    """
    known = {each.id for each in host.store.rows(Attempt, set=path.parent.name)}
    labels = sorted(path.parent.glob("containers/*/*/label.json"))
    labels = [each for each in labels if each.parent.name not in known]
    is_new = not host.store.rows(SetRow, set=path.parent.name)
    text = _read(path) if is_new or labels else None
    if text is None:
        return 0
    desired = load(DesiredSet, text["set"])
    with host.store.transaction():
        if is_new:
            host.store.put(
                SetRow(
                    set=desired.set,
                    generation=desired.generation,
                    level=desired.level,
                    document=json.dumps(text["set"]),
                )
            )
        found: dict[str, list[tuple[Attempt, str]]] = defaultdict(list)
        for label in labels:
            told = _read(label)
            if told is not None:
                attempt = _attempt(host, label, told["attempt"])
                found[attempt.container].append((attempt, told["role"]))
        for name, attempts in found.items():
            _put_container(host, desired.set, name, attempts)
    return int(is_new)


def _attempt(host: Host, label: Path, told: dict[str, Any]) -> Attempt:
    """The attempt that a label speaks of, as far as it is known what became of it."""
    attempt = Attempt(**{**told, "state": AttemptState(told["state"])})
    if attempt.state is AttemptState.ENDED:
        return attempt
    if attempt.boot != host.boot or host.runtime.exit_code(attempt.id) is not None:
        return _ended(host, attempt)
    init = _process(label.parent / "pid", attempt.id)
    monitor = _process(label.parent / "conmon.pid", attempt.id)
    status = host.runtime.status(attempt.id)
    if init is None or status is None:
        return attempt
    is_made = status == "created"
    return replace(
        attempt,
        state=AttemptState.CREATED if is_made else AttemptState.STARTED,
        init_pid=init.pid,
        init_began=init.began,
        monitor_pid=monitor.pid if monitor else None,
        monitor_began=monitor.began if monitor else None,
        started_at=None if is_made else host.now(),
        started=None if is_made else moment(),
    )


def _process(path: Path, attempt: str) -> Known | None:
    """The process of a pid file, if it is in the attempt's groups still."""
    try:
        pid = int(path.read_text())
        groups = Path(f"/proc/{pid}/cgroup").read_text()
    except (OSError, ValueError):
        return None
    return Known.of(pid) if f"/{attempt}\n" in f"{groups}\n" else None


def _put_container(host: Host, set_id: str, name: str, found: list[tuple[Attempt, str]]) -> None:
    """What runs as the container is it, before what ran before; what was made beside it is next."""
    host.store.put(*(attempt for attempt, _ in found))
    started = [each for each, _ in found if each.state is AttemptState.STARTED]
    own = [each for each, role in found if role != "next"]
    beside = [each for each, role in found if role == "next"]
    current = max(own or beside, key=lambda each: (each in started, each.generation))
    rows = host.store.rows(ContainerRow, set=set_id, name=name)
    row = rows[0] if rows else ContainerRow(set=set_id, name=name, was_ready=bool(started))
    if row.current is None:
        row = replace(row, current=current.id, attempts=max(row.attempts, len(found)))
        if own and beside:  # a gray update, which goes on
            row = replace(row, next=beside[0].id, good=current.id)
        path = host.layout.failed(set_id, name)
        failed = _read(path) if path.exists() else None
        host.store.put(replace(row, **failed["failed"]) if failed else row)


def _read(path: Path) -> dict[str, Any] | None:
    try:
        value: dict[str, Any] = json.loads(path.read_text())
    except (FileNotFoundError, ValueError):
        log.warning("the label %s cannot be read", path)
        return None
    return value
