"""Services as processes of this machine: started, found again by a later command, ended."""

import contextlib
import hashlib
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from cloud.layout import CloudError, read_json, write_json

TERM_SECONDS = 20.0
"""How long a process may take to end before it is killed."""
POLL = 0.02
TAIL = 3000
"""Characters of the output that are shown of what failed."""
PROXIES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")


@dataclass(frozen=True, slots=True)
class Service:
    """One process that a cloud needs."""

    name: str
    command: Sequence[str | Path]
    configuration: Sequence[Path]
    """The files that it reads when it starts."""
    ready: Callable[[], bool]
    """Whether it answers as it should."""
    environment: Mapping[str, str]

    @property
    def fingerprint(self) -> str:
        """Answer what it must be started anew for."""
        found = hashlib.sha256(repr([str(word) for word in self.command]).encode())
        for path in self.configuration:
            found.update(path.read_bytes())
        return found.hexdigest()


@dataclass(frozen=True, slots=True)
class Running:
    """A process that was started: its id, and when the kernel says that it began.

    Ids are used again; an id with its beginning is not.
    """

    pid: int
    began: str
    fingerprint: str

    @property
    def alive(self) -> bool:
        return self.began == began(self.pid)

    def signal(self, number: signal.Signals) -> None:
        """Send a signal, to its session's other processes too, unless it has ended."""
        if self.alive:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.pid, number)


def began(pid: int) -> str | None:
    """Answer a process's start, in the kernel's own ticks; None where it has ended.

    proc_pid_stat(5): the second field, the name, is in brackets; the third is the state, the 22nd
    the start. A zombie, which only waits to be collected, has ended.
    """
    try:
        text = Path(f"/proc/{pid}/stat").read_text("ascii", "replace")
    except (FileNotFoundError, ProcessLookupError):
        return None
    fields = text.rpartition(")")[2].split()
    return None if fields[0] in "ZX" else fields[19]


class Processes:
    """The services of one cloud that run, as files in *run* tell; their output goes to *log*."""

    def __init__(self, run: Path, log: Path) -> None:
        self._run = run
        self._log = log

    def find(self, name: str) -> Running | None:
        """Answer the running service of that name, or None."""
        document = read_json(self._run / f"{name}.json")
        if document is None:
            return None
        running = Running(**document)
        return running if running.alive else None

    def start(self, service: Service) -> None:
        """Start it, unless just this one runs; one with another configuration is ended first."""
        running = self.find(service.name)
        if running is not None:
            if running.fingerprint == service.fingerprint:
                return
            self.stop([service.name])
        with self._output(service.name).open("ab") as output:
            process = subprocess.Popen(  # noqa: S603 - our own command
                service.command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**inherited(), **service.environment},
                cwd=self._run,
                start_new_session=True,
            )
        document = {
            "pid": process.pid,
            "began": began(process.pid) or "it ended at once",
            "fingerprint": service.fingerprint,
        }
        write_json(self._run / f"{service.name}.json", document)

    def wait(self, services: Sequence[Service], seconds: float = 120) -> None:
        """Wait until all of *services* answer; raise CloudError if one ends or is too slow."""
        end = time.monotonic() + seconds
        waiting = list(services)
        while waiting:
            waiting = [service for service in waiting if not service.ready()]
            for service in waiting:
                if self.find(service.name) is None:
                    raise CloudError(f"{service.name} ended early:\n{self.tail(service.name)}")
                if time.monotonic() > end:
                    raise CloudError(
                        f"{service.name} did not answer in {seconds} s:\n{self.tail(service.name)}"
                    )
            time.sleep(POLL)

    def stop(self, names: Sequence[str], number: signal.Signals = signal.SIGTERM) -> None:
        """End the services *names* with the signal *number*; kill what is not gone in time."""
        found = {name: self.find(name) for name in names}
        ending = [running for running in found.values() if running is not None]
        for running in ending:
            running.signal(number)
        end = time.monotonic() + TERM_SECONDS
        while any(running.alive for running in ending):
            if time.monotonic() > end:
                for running in ending:
                    running.signal(signal.SIGKILL)
            time.sleep(POLL)
        for name in names:
            (self._run / f"{name}.json").unlink(missing_ok=True)

    def tail(self, name: str) -> str:
        """Answer what a service printed last."""
        return self._output(name).read_text("utf-8", "replace")[-TAIL:]

    def _output(self, name: str) -> Path:
        return self._log / f"{name}.out"


def run(
    what: str, command: Sequence[str | Path], environment: Mapping[str, str] | None = None
) -> None:
    """Run *command* to its end; raise CloudError with *what* and its last words if it fails."""
    done = subprocess.run(  # noqa: S603 - our own command
        command,
        check=False,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, **(environment or {})},
    )
    if done.returncode:
        raise CloudError(f"{what} failed with {done.returncode}:\n{done.stdout[-TAIL:]}")


def inherited() -> dict[str, str]:
    """Answer this process's environment without what would lead a service elsewhere."""
    return {
        key: value
        for key, value in os.environ.items()
        if not key.startswith(("OS_", "PYTHON")) and key.lower() not in PROXIES
    } | {"PYTHONWARNINGS": "ignore", "PYTHONUNBUFFERED": "1"}
