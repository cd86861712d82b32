"""A program in a container, beside its own: how it is started, what it says, how it ends."""

import contextlib
import json
import os
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from hostbase.process import Known
from programs.bounded import give_up
from programs.converse import converse

_OUTPUT: Final = 1 << 20
"""Bytes of a program's output that are kept."""
_ABSENT: Final = 127
_UNFIT: Final = 126
"""What shells answer where there is no such program, and where it cannot be run."""


@dataclass(frozen=True, slots=True)
class Ended:
    """How a program in a container ended; *code* is None where it did not in time."""

    code: int | None
    output: bytes
    is_cut: bool = False
    """Whether *output* is only the end of it."""


def execute(
    runtime: Sequence[str | Path], container: str, process: Mapping[str, Any], seconds: float,
    stdin: bytes, run: Path,
) -> Ended:  # fmt: skip
    """Have *runtime* run a program, which is killed after *seconds*; its papers lie in *run*.

    What cannot be run ends as it would in a shell, and the runtime's reason is its output.
    """
    with tempfile.TemporaryDirectory(prefix="exec-", dir=run) as scratch:
        papers = Path(scratch)
        child = _start(runtime, container, process, papers)
        try:
            output, is_cut = converse(child, stdin, seconds, _OUTPUT)
        except subprocess.TimeoutExpired:
            _end(child, papers)
            return Ended(None, b"")
        failure = _failure(papers / "log")
        return Ended(child.returncode if failure is None else failure, output, is_cut)


def _start(
    runtime: Sequence[str | Path], container: str, process: Mapping[str, Any], papers: Path
) -> subprocess.Popen[bytes]:
    described = papers / "process.json"
    described.touch(mode=0o600)
    described.write_text(json.dumps(process))
    log = ("--log", papers / "log", "--log-format", "json")
    words = ("exec", "--process", described, "--pid-file", papers / "pid", container)
    return subprocess.Popen(
        [*runtime, *log, *words],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env={"PATH": os.environ.get("PATH", "")},
        start_new_session=True,
    )


def _end(child: subprocess.Popen[bytes], papers: Path) -> None:
    """Kill a program that was started, and what stands outside for it."""
    with contextlib.suppress(FileNotFoundError, ValueError):
        inside = Known.of(int((papers / "pid").read_text()))
        if inside is not None:
            inside.signal(9)
    give_up(child)


def _failure(log: Path) -> int | None:
    """The exit code of what the runtime says it could not run; None where it says nothing."""
    for line in log.read_text("utf-8", "replace").splitlines() if log.exists() else ():
        with contextlib.suppress(ValueError):
            entry = json.loads(line)
            if entry.get("level") == "error":
                said = str(entry.get("msg")).lower()
                is_absent = "not found" in said or "no such file" in said
                return _ABSENT if is_absent else _UNFIT
    return None
