"""Calls of programs, each with its time; who cannot even be killed then is not waited for."""

import contextlib
import subprocess
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

_LAST: Final = 1.0
"""Seconds for a program to die in that was killed; one that waits for a dead disk does not."""


@dataclass(frozen=True, slots=True)
class Done:
    """How a program has ended, and what it said."""

    code: int
    output: str
    errors: str

    @property
    def said(self) -> str:
        """Why it failed, as far as it says so; the end of it."""
        return (self.errors or self.output).strip()[-1000:]


class OutOfTime(TimeoutError):
    """A program has not ended in its time, and was killed."""


def call(words: Sequence[str | Path], *, seconds: float, given: str = "") -> Done:
    """Run a program with *given* as its input. Raises OutOfTime, OSError where it is not there.

    Never for what leaves a process behind that would hold the pipes.
    """
    child = subprocess.Popen(
        words,
        stdin=subprocess.PIPE if given else subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        errors="replace",
    )
    try:
        output, errors = child.communicate(given or None, timeout=seconds)
    except subprocess.TimeoutExpired:
        name = Path(words[0]).name
        raise OutOfTime(
            f"{name} has not ended within {round(seconds, 1):g} s, and was killed"
        ) from None
    finally:
        if child.returncode is None:
            give_up(child)
    return Done(child.returncode, output, errors)


def give_up(child: subprocess.Popen[Any]) -> None:
    """Kill a program, and wait a moment for its end; whenever it comes, nothing is left of it."""
    child.kill()
    for stream in (child.stdin, child.stdout, child.stderr):
        if stream is not None:
            with contextlib.suppress(OSError):  # what it did not want to hear
                stream.close()
    try:
        child.wait(_LAST)
    except subprocess.TimeoutExpired:  # its remains are taken away whenever it ends
        threading.Thread(target=child.wait, name=f"end-of-{child.pid}", daemon=True).start()
