"""Runtime: crun or runc, with conmon as the monitor of each container."""

import contextlib
import json
import shutil
from pathlib import Path
from typing import Final

from hostagent.cgroups import Cgroups
from hostagent.cgroups import program as find_program
from hostagent.conmon import Conmon
from hostagent.errors import LimitRefused, RuntimeFailed
from hostagent.filters import Filters
from hostagent.ports import Json, Launch, Made
from hostbase.execution import Ended, execute
from hostbase.mountspace import MountSpaces
from hostbase.program import ReadOnlyProgram
from programs.bounded import Done, OutOfTime, call
from runspec.bundle import CPU_PERIOD, sources
from runspec.limits import Limits

_PATIENCE: Final = 60.0
"""Seconds for one call of a runtime."""


class OciRuntime:
    """Runtime on a program that speaks the OCI runtime's command line."""

    def __init__(self, program: str, conmon: str, cgroups: Cgroups, run: Path, exits: Path) -> None:
        """*run* is where what a reboot ends is kept; *exits* where exit codes are."""
        self._run = run
        self._root = run / "runtime"
        self._exits = exits
        self._cgroups = cgroups
        sockets = run / "sockets"
        for path in (self._root, self._exits, sockets):
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._program = ReadOnlyProgram(program)
        self._sockets = sockets
        enter = find_program("nsenter") or "nsenter"  # doctor says where it is missing
        self._conmon = Conmon(conmon, enter, self._program.path, self._root, exits, sockets)
        self._mounts = MountSpaces([run, exits, Path(program)], _unwanted(program))
        self._filters = Filters()

    def close(self) -> None:
        """Let go of what containers are made among and by."""
        self._mounts.close()
        self._program.close()

    def annotations(self, seccomp: Json | None) -> dict[str, str]:
        return self._filters.annotations(seccomp)

    def create(self, launch: Launch) -> Made:
        self._cgroups.make_set(launch.set)
        groups = self._cgroups.make_monitor(launch.attempt)
        config: Json = json.loads((launch.bundle / "config.json").read_text())
        with self._mounts.showing(sources(config)) as mounts:
            made = self._conmon.create(launch, groups, mounts)
        self._filters.learn(config, self._root / launch.attempt)
        return made

    def start(self, attempt: str) -> None:
        done = self._call("start", attempt)
        # crun and runc remove it as they start: a look at it costs nothing, unlike their word.
        is_waiting = (self._root / attempt / "exec.fifo").exists()
        if not done.code and not is_waiting:
            return
        if self.status(attempt) not in {"running", "paused", "stopped"}:
            why = done.said if done.code else "the runtime says well, and it has not started"
            raise RuntimeFailed(f"the container cannot be started: {why}")

    def status(self, attempt: str) -> str | None:
        done = self._call("state", attempt)
        if done.code:
            return None
        try:
            return str(json.loads(done.output)["status"])
        except (LookupError, TypeError, ValueError) as error:
            raise RuntimeFailed(f"state: what it says is none: {error!r}") from None

    def delete(self, set_id: str, attempt: str) -> None:
        self._cgroups.end(set_id, attempt)
        if (self._root / attempt).exists():
            self._call("delete", "--force", attempt)
            shutil.rmtree(self._root / attempt, ignore_errors=True)
        self._cgroups.end(set_id, attempt)
        with contextlib.suppress(FileNotFoundError):
            (self._sockets / attempt).unlink()

    def exit_code(self, attempt: str) -> int | None:
        try:
            return int((self._exits / attempt).read_text())
        except (FileNotFoundError, ValueError):
            return None

    def forget_exit(self, attempt: str) -> None:
        (self._exits / attempt).unlink(missing_ok=True)

    def update(self, set_id: str, attempt: str, limits: Limits) -> None:
        used = self._cgroups.memory_used(set_id, attempt)
        if used is not None and used > limits.mem:
            raise LimitRefused(
                f"the container uses {used} bytes of memory, so it cannot be given {limits.mem}; "
                "make it use less, or restart it"
            )
        done = self._call("update", *_flags(limits), attempt)
        if done.code:
            raise LimitRefused(f"the limits cannot be changed: {done.said}")

    def run(self, attempt: str, process: Json, seconds: float, stdin: bytes = b"") -> Ended:
        runtime = (self._program.path, "--root", self._root)
        return execute(runtime, attempt, process, seconds, stdin, self._run)

    def freeze(self, set_id: str) -> None:
        self._cgroups.freeze(set_id)

    def thaw(self, set_id: str) -> None:
        self._cgroups.thaw(set_id)

    def is_frozen(self, set_id: str) -> bool:
        return self._cgroups.is_frozen(set_id)

    def memory_used(self, set_id: str, attempt: str) -> int | None:
        return self._cgroups.memory_used(set_id, attempt)

    def ran_out(self, set_id: str, attempt: str) -> bool:
        return self._cgroups.ran_out(set_id, attempt)

    def remove_set(self, set_id: str) -> None:
        self._cgroups.remove_set(set_id)

    def _call(self, *words: str) -> Done:
        try:
            return call([self._program.path, "--root", self._root, *words], seconds=_PATIENCE)
        except OutOfTime as error:
            raise RuntimeFailed(f"{words[0]}: {error}") from None


def _unwanted(program: str) -> list[str]:
    """Mounts that a runtime must not see: crun makes nothing where v2 has controllers beside v1."""
    beside = Path("/sys/fs/cgroup/unified")
    controllers = beside / "cgroup.controllers"
    is_mixed = controllers.exists() and bool(controllers.read_text().strip())
    return [str(beside)] if is_mixed and Path(program).name == "crun" else []


def _flags(limits: Limits) -> list[str]:
    """No swap: memory with swap is as much as memory."""
    quota = limits.cpu * CPU_PERIOD // 1000
    flags = {
        "--memory": limits.mem,
        "--memory-swap": limits.mem,
        "--cpu-period": CPU_PERIOD,
        "--cpu-quota": quota,
        "--pids-limit": limits.pids,
    }
    return [word for name, value in flags.items() for word in (name, str(value))]
