"""What every test with real processes needs: ports, directories, processes that surely end."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Self

import httpx

from hostbase.process import raise_files

ROOT = Path(__file__).resolve().parents[2]
"""The checkout."""

CACHE = ROOT / ".cache"
"""What may be kept between runs; ignored by git."""

TOOLS = CACHE / "bin"
"""Where scripts/setup puts the Go module tools."""

POLL = 0.05
"""Seconds between two looks at something that is being waited for."""


class NotReady(AssertionError):
    """What was waited for did not come in time, or ended early."""


def free_port() -> int:
    """Answer a port of the loopback that nothing listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def tool(name: str) -> str:
    """Answer the path of a Go module tool or a Debian program; raise NotReady if it is absent."""
    built = TOOLS / name
    found = (
        str(built) if built.exists() else shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin")
    )
    if found is None:
        raise NotReady(f"{name} is not on this machine; scripts/setup --tests installs it")
    return found


@contextlib.contextmanager
def temporary_directory(name: str, within: Path | None = None) -> Iterator[Path]:
    """Yield a directory with a short path (unix sockets allow 107 bytes), removed afterwards."""
    path = Path(tempfile.mkdtemp(prefix=f"berth-{name}-", dir=within))
    path.chmod(0o755)  # PostgreSQL runs as another user
    try:
        yield path
    finally:
        unmount_below(path)
        shutil.rmtree(path)


def unmount_below(path: Path) -> None:
    """Unmount what a container engine left mounted below *path*, the deepest first."""
    lines = Path("/proc/self/mountinfo").read_text("utf-8").splitlines()
    points = [line.split()[4].encode().decode("unicode_escape") for line in lines]
    for point in sorted((p for p in points if p.startswith(f"{path}/")), reverse=True):
        subprocess.run([tool("umount"), point], check=False, capture_output=True)


def wait_until(
    ready: Callable[[], bool], what: str, seconds: float = 30, *, poll: float = POLL
) -> None:
    """Look until *ready* answers true; raise NotReady after *seconds*."""
    end = time.monotonic() + seconds
    while not ready():
        if time.monotonic() > end:
            raise NotReady(f"{what} did not come within {seconds} s")
        time.sleep(poll)


def listens(address: tuple[str, int]) -> bool:
    """Whether somebody takes connections at *address*."""
    with socket.socket() as probe:
        return probe.connect_ex(address) == 0


def answers(url: str) -> bool:
    """Whether an HTTP server answers at *url*, whatever it says."""
    try:
        httpx.get(url, timeout=5, verify=False)  # noqa: S501 - no certificates to load
    except httpx.TransportError:
        return False
    return True


@contextlib.contextmanager
def many_files_open() -> Iterator[None]:
    """While this lasts, whatever is opened has a higher number than select(2) takes."""
    raise_files()
    handles = [os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC) for _ in range(1100)]
    try:
        yield
    finally:
        for handle in handles:
            os.close(handle)


class Process:
    """One process that the tests started: its output in a file, its end certain."""

    def __init__(
        self,
        arguments: Sequence[str | Path],
        log: Path,
        environment: Mapping[str, str] | None = None,
        directory: Path | None = None,
        user: str | None = None,
    ) -> None:
        self.log = log
        self._arguments = [str(argument) for argument in arguments]
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                self._arguments,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**os.environ, **(environment or {})},
                cwd=directory,
                user=user,
                start_new_session=True,
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def status(self) -> int | None:
        """How it ended (negative: by which signal), or None while it runs."""
        return self._process.poll()

    def wait_ready(self, ready: Callable[[], bool], seconds: float = 60) -> None:
        """Wait until *ready* answers true; raise NotReady with the log if it ends first."""

        def alive_and_ready() -> bool:
            if self.status is not None:
                words = " ".join(self._arguments)
                raise NotReady(f"{words} ended with {self.status}:\n{self.tail()}")
            return ready()

        try:
            wait_until(alive_and_ready, self._arguments[0], seconds)
        except NotReady:
            self.stop()
            raise

    def tail(self, characters: int = 4000) -> str:
        """Answer the last *characters* of what it printed."""
        return self.log.read_text("utf-8", "replace")[-characters:]

    def signal(self, number: signal.Signals) -> None:
        """Send a signal, unless it has ended already."""
        self._process.send_signal(number)

    def wait(self, seconds: float = 30) -> int:
        """Wait for its end; answer its status."""
        return self._process.wait(seconds)

    def stop(self, seconds: float = 30) -> int:
        """Ask it to end, and make it after *seconds*; answer its status."""
        if self.status is None:
            self._process.terminate()
            try:
                return self._process.wait(seconds)
            except subprocess.TimeoutExpired:
                return self.kill()
        return self._process.returncode

    def kill(self) -> int:
        """End it at once with SIGKILL, it and what it started in its session; answer its status."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        return self._process.wait(30)
