"""Runtime: crun or runc, with conmon as the monitor of each container."""

import contextlib
import json
import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Final

from hostagent.cgroups import Cgroups
from hostagent.cgroups import program as find_program
from hostagent.conmon import Conmon
from hostagent.errors import LimitRefused, RuntimeFailed
from hostagent.filters import Filters
from hostagent.ports import Ended, Json, Launch, Made
from hostbase.converse import converse
from hostbase.mountspace import MountSpaces
from hostbase.process import Known
from hostbase.program import ReadOnlyProgram
from runspec.bundle import CPU_PERIOD, sources
from runspec.limits import Limits

_PATIENCE: Final = 60.0
"""Seconds for one call of a runtime."""
_OUTPUT: Final = 1 << 20
"""Bytes of a program's output that are kept."""


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
        if done.returncode and self.status(attempt) not in {"running", "paused", "stopped"}:
            raise RuntimeFailed(f"the container cannot be started: {_said(done)}")

    def status(self, attempt: str) -> str | None:
        done = self._call("state", attempt)
        if done.returncode:
            return None
        state = json.loads(done.stdout)
        status = state.get("status")
        return status if isinstance(status, str) else None

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
        if done.returncode:
            raise LimitRefused(f"the limits cannot be changed: {_said(done)}")

    def run(self, attempt: str, process: Json, seconds: float, stdin: bytes = b"") -> Ended:
        with tempfile.TemporaryDirectory(prefix="exec-", dir=self._run) as scratch:
            child = self._popen(attempt, process, Path(scratch))
            try:
                output, is_cut = converse(child, stdin, seconds, _OUTPUT)
            except subprocess.TimeoutExpired:
                self._end_program(child, Path(scratch))
                return Ended(None, b"")
            return Ended(child.returncode, output, is_cut)

    def _popen(self, attempt: str, process: Json, scratch: Path) -> subprocess.Popen[bytes]:
        """Start a program in a container, with pipes; *scratch* is a directory for its papers."""
        described = scratch / "process.json"
        described.touch(mode=0o600)
        described.write_text(json.dumps(process))
        words = ("exec", "--process", str(described), "--pid-file", str(scratch / "pid"), attempt)
        return subprocess.Popen(
            [self._program.path, "--root", self._root, *words],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={"PATH": os.environ.get("PATH", "")},
            start_new_session=True,
        )

    @staticmethod
    def _end_program(child: subprocess.Popen[bytes], scratch: Path) -> None:
        """Kill a program that ``_popen`` has started, and what stands outside for it."""
        with contextlib.suppress(FileNotFoundError, ValueError):
            inside = Known.of(int((scratch / "pid").read_text()))
            if inside is not None:
                inside.signal(9)
        child.kill()
        for stream in (child.stdin, child.stdout, child.stderr):
            if stream is not None:
                stream.close()
        child.wait()

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

    def _call(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Call the runtime. Never for what leaves a process behind that would hold the pipes."""
        try:
            return subprocess.run(
                [self._program.path, "--root", self._root, *words],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                encoding="utf-8",
                errors="replace",
                timeout=_PATIENCE,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise RuntimeFailed(f"{words[0]} takes more than {_PATIENCE:.0f} s") from None


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


def _said(done: subprocess.CompletedProcess[str]) -> str:
    return (done.stderr or done.stdout).strip()[-1000:]
