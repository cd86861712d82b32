"""Control groups, v1 and v2: a container's and its monitor's, found by path whoever has died.

``ROOT/sets/SET/ATTEMPT`` holds a container, ``ROOT/monitors/ATTEMPT`` what watches it. A path is
known before anything is started in it, so nothing that was started can be lost.
"""

import contextlib
import itertools
import os
import shutil
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from hostagent.errors import StepFailed

_STUCK: Final = 20
"""Looks after which a group that is half frozen is let go of for a moment."""
_POLL: Final = 0.005
_CHARGED: Final = ("memory", "cpu", "pids")
"""Hierarchies of v1 in which monitors are together, apart from the agent."""
_PATIENCE: Final = 20.0
"""Seconds in which what was killed must have gone."""


class Cgroups:
    """The part of the tree below *root* (``/berth``); nothing else of it is touched."""

    def __init__(self, root: str, mount: Path = Path("/sys/fs/cgroup")) -> None:
        self._root = root.strip("/")
        self._is_v2 = (mount / "cgroup.controllers").exists()
        self._trees = (mount,) if self._is_v2 else tuple(_hierarchies(mount))
        self._main = mount if self._is_v2 else mount / "freezer"
        self._memory = mount if self._is_v2 else mount / "memory"

    @property
    def version(self) -> int:
        """1 or 2."""
        return 2 if self._is_v2 else 1

    def container(self, set_id: str, attempt: str) -> str:
        """The path of a container's group, as a runtime-spec config names it."""
        return f"/{self._root}/sets/{set_id}/{attempt}"

    def make_monitor(self, attempt: str) -> list[Path]:
        """Make the group of a monitor; answer the files by which a process enters it."""
        own = self._main / self._root / "monitors" / attempt
        own.mkdir(parents=True, exist_ok=True)
        shared = [
            tree / self._root / "monitors"
            for tree in self._trees
            if tree != self._main and tree.name in _CHARGED
        ]
        for path in shared:
            path.mkdir(parents=True, exist_ok=True)
        return [path / "cgroup.procs" for path in (own, *shared)]

    def make_set(self, set_id: str) -> None:
        """Make the group of a set, which can be frozen as one."""
        (self._main / self._root / "sets" / set_id).mkdir(parents=True, exist_ok=True)

    def end(self, set_id: str, attempt: str) -> None:
        """Kill all that is in an attempt's groups, and remove them; at once where none are.

        First the monitor with what it was starting, as that makes further processes. Raises
        StepFailed where something does not die.
        """
        self.end_monitor(attempt)
        for path in (self._main / self._root / "sets" / set_id).glob(f"*/{attempt}"):
            self._end(f"sets/{set_id}/{path.parent.name}/{attempt}")  # sshd, beside a container
        self._end(f"sets/{set_id}/{attempt}")

    def end_monitor(self, attempt: str) -> None:
        """Kill what watches an attempt, and remove its group."""
        self._end(f"monitors/{attempt}")

    def is_empty(self, set_id: str, attempt: str) -> bool:
        """Whether no process is in an attempt's groups."""
        names = (f"monitors/{attempt}", f"sets/{set_id}/{attempt}")
        return not any(_pids(self._main / self._root / name) for name in names)

    def remove_set(self, set_id: str) -> None:
        """Remove a set's group, which must be empty."""
        for tree in self._trees:
            _remove(tree / self._root / "sets" / set_id)

    def attempts(self) -> Iterator[tuple[str, str]]:
        """Sets and attempts of which there are groups."""
        for path in (self._main / self._root / "sets").glob("*/*/"):
            yield path.parent.name, path.name

    def freeze(self, set_id: str) -> None:
        """Stop every process of a set where it stands: one write."""
        self._write_state(set_id, "FROZEN", "1")
        path = self._main / self._root / "sets" / set_id
        end = time.monotonic() + _PATIENCE
        for tries in itertools.count(1):
            if _is_still(path, v2=self._is_v2):
                return
            if time.monotonic() > end:
                raise StepFailed(f"set {set_id} does not freeze: a process waits inside the kernel")
            time.sleep(_POLL)
            if tries % _STUCK == 0 and not self._is_v2:
                # A process that waits for another one, which stands still already, keeps a group
                # of cgroup v1 half frozen for ever: let them pass each other, and try again.
                self.thaw(set_id)
                self._write_state(set_id, "FROZEN", "1")

    def thaw(self, set_id: str) -> None:
        """Let the processes of a set go on; nothing where they do."""
        with contextlib.suppress(FileNotFoundError):
            self._write_state(set_id, "THAWED", "0")

    def is_frozen(self, set_id: str) -> bool:
        """Whether a set was frozen, by whomever."""
        name = "cgroup.freeze" if self._is_v2 else "freezer.self_freezing"
        try:
            with open(f"{self._main}/{self._root}/sets/{set_id}/{name}") as file:  # noqa: PTH123 - looked at very often
                return file.read().strip() == "1"
        except FileNotFoundError:
            return False

    def memory_used(self, set_id: str, attempt: str) -> int | None:
        """Bytes that cannot be had back: without cached files that nobody has used lately."""
        path = self._memory / self._root / "sets" / set_id / attempt
        name = "memory.current" if self._is_v2 else "memory.usage_in_bytes"
        key = "inactive_file" if self._is_v2 else "total_inactive_file"
        try:
            used = int((path / name).read_text())
            stat = dict(line.split() for line in (path / "memory.stat").read_text().splitlines())
        except (FileNotFoundError, OSError):
            return None
        return max(used - int(stat.get(key, 0)), 0)

    def ran_out(self, set_id: str, attempt: str) -> bool:
        """Whether the kernel has ended a process there for lack of memory."""
        path = self._memory / self._root / "sets" / set_id / attempt
        try:
            text = (path / ("memory.events" if self._is_v2 else "memory.oom_control")).read_text()
        except OSError:
            return False
        return int(dict(line.split() for line in text.splitlines()).get("oom_kill", 0)) > 0

    def _write_state(self, set_id: str, v1: str, v2: str) -> None:
        path = self._main / self._root / "sets" / set_id
        (path / ("cgroup.freeze" if self._is_v2 else "freezer.state")).write_text(
            v2 if self._is_v2 else v1
        )

    def _end(self, name: str) -> None:
        """Until the group itself is gone: then nobody can enter it any more."""
        main = self._main / self._root / name
        end = time.monotonic() + _PATIENCE
        while main.exists():
            self._kill(main)
            if _remove(main):
                break
            if time.monotonic() > end:
                raise StepFailed(f"{name}: {_what_stays(main)} does not die")
            time.sleep(_POLL)
        for tree in self._trees:
            while not _remove(tree / self._root / name):
                if time.monotonic() > end:
                    raise StepFailed(f"{name}: its group in {tree.name} cannot be removed")
                time.sleep(_POLL)

    def _kill(self, path: Path) -> None:
        if self._is_v2:
            with contextlib.suppress(FileNotFoundError):
                (path / "cgroup.kill").write_text("1")
            return
        pids = _pids(path)
        if not pids:
            return
        state = path / "freezer.state"
        with contextlib.suppress(FileNotFoundError):
            state.write_text("FROZEN")  # so that nothing forks meanwhile
            for pid in _pids(path):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            state.write_text("THAWED")


def _hierarchies(mount: Path) -> Iterator[Path]:
    """The mounted hierarchies, each once; a hybrid machine has one of v2 beside those of v1."""
    seen = set()
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        fields = line.split()
        path = Path(fields[4])
        if fields[fields.index("-") + 1] in {"cgroup", "cgroup2"} and path.parent == mount:
            if path.resolve() not in seen:
                yield path
            seen.add(path.resolve())


def _groups(path: Path) -> list[Path]:
    """A group and those below it, the deepest first."""
    return [Path(each) for each, _, _ in os.walk(path, topdown=False)]


def _pids(path: Path) -> list[int]:
    pids: list[int] = []
    for group in _groups(path):
        with contextlib.suppress(FileNotFoundError, OSError):
            pids += map(int, (group / "cgroup.procs").read_text().split())
    return pids


def _remove(path: Path) -> bool:
    """Remove a group with those below it; whether it is gone."""
    with contextlib.suppress(OSError):
        path.rmdir()  # mostly there is nothing below it
        return True
    for group in _groups(path):
        try:
            group.rmdir()
        except FileNotFoundError:
            continue
        except OSError:
            return False
    return not path.exists()


def _is_still(path: Path, *, v2: bool) -> bool:
    if v2:
        return "frozen 1" in (path / "cgroup.events").read_text()
    return (path / "freezer.state").read_text().strip() == "FROZEN"


def _what_stays(path: Path) -> str:
    """The processes of a group, and where in the kernel each waits."""
    told = []
    for pid in _pids(path):
        with contextlib.suppress(OSError):
            name = Path(f"/proc/{pid}/comm").read_text().strip()
            told.append(f"process {pid} ({name}, in {Path(f'/proc/{pid}/wchan').read_text()})")
    return ", ".join(told) or "a process"


def program(name: str) -> str | None:
    """Where a program of this machine is; None where it is not."""
    return shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin:/usr/bin:/bin")
