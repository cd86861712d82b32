"""Programs of the virtual environment, run as people run them: in a pipe, or on a terminal."""

import os
import pty
import select
import signal
import subprocess
import tempfile
import termios
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from support.environment import ROOT, wait_until

SECONDS = 60
"""No program takes a tenth of this on an idle machine."""


@dataclass(frozen=True, slots=True)
class Ended:
    """What a program left."""

    status: int
    out: str
    err: str

    @property
    def lines(self) -> list[str]:
        return self.out.splitlines()


def run(program: str, *arguments: str, **environment: str) -> Ended:
    """Run *program* with nobody at the keyboard."""
    with _home() as home:
        done = subprocess.run(
            [_path(program), *arguments],
            env=_environment(home, environment),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            timeout=SECONDS,
            check=False,
        )
    return Ended(done.returncode, done.stdout, done.stderr)


def run_on_terminal(
    program: str,
    *arguments: str,
    types: Iterable[tuple[str, str]] = (),
    columns: int = 80,
    **environment: str,
) -> Ended:
    """Run *program* on a terminal; of each pair in *types*, the second follows the first.

    All that is seen there is answered as output.
    """
    with _home() as home:
        return _run_on_terminal(
            [_path(program), *arguments], _environment(home, environment), types, columns
        )


def _run_on_terminal(
    command: list[str], environment: dict[str, str], types: Iterable[tuple[str, str]], columns: int
) -> Ended:
    child, terminal = pty.fork()
    if child == 0:
        for number in (signal.SIGINT, signal.SIGPIPE):  # which a parent may have ignored
            signal.signal(number, signal.SIG_DFL)
        termios.tcsetwinsize(0, (24, columns))
        os.execve(command[0], command, environment)  # noqa: S606 - no shell
    seen = b""
    waiting = list(types)
    try:
        while chunk := _read(terminal):
            seen += chunk
            if waiting and waiting[0][0].encode() in seen:
                # Between a prompt and its reading a signal is lost on Python: nobody is so quick.
                wait_until(lambda: _sleeps(child), f"the end of {seen!r}")
                os.write(terminal, waiting.pop(0)[1].encode())
    finally:
        os.close(terminal)
        _, status = os.waitpid(child, 0)
    return Ended(os.waitstatus_to_exitcode(status), seen.decode().replace("\r\n", "\n"), "")


def _path(program: str) -> str:
    return str(ROOT / ".venv" / "bin" / program)


def _home() -> tempfile.TemporaryDirectory[str]:
    """Where nothing of the one who runs the tests is read, and nothing is left."""
    return tempfile.TemporaryDirectory(prefix="berth-home-")


def _environment(home: str, more: dict[str, str]) -> dict[str, str]:
    return {"PATH": os.environ["PATH"], "HOME": home, "LANG": "C.UTF-8", **more}


def _read(terminal: int) -> bytes:
    ready, _, _ = select.select([terminal], [], [], SECONDS)
    assert ready, "it neither prints nor ends"
    try:
        return os.read(terminal, 65536)
    except OSError:  # Linux: nobody holds the other end any more
        return b""


def _sleeps(process: int) -> bool:
    """Whether it waits for something, and does not run (proc(5), stat)."""
    return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] == "S"
