"""The monitor of one container, conmon: started in its own group, asked for the container's pid."""

import json
import os
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from hostagent import points
from hostagent.errors import RuntimeFailed
from hostagent.ports import Launch, Made
from hostbase.process import Known, readable
from programs.bounded import give_up

SPAWNED: Final = "create:spawned"
"""The monitor runs, and what it says is unread. It dies of that, and the container does not."""
ANSWERED: Final = "create:answered"
"""The container's pid is known, and not yet written down."""

_ENTER: Final = 'files=$1; shift; for f in $files; do echo 0 > "$f" || exit 70; done; exec "$@"'
"""A child enters its groups before it becomes conmon: there is no moment in which it is outside."""
_PATIENCE: Final = 60.0
"""Seconds for a runtime's create."""
_LAST: Final = 5.0
"""Seconds for who has started a monitor to end, once that has answered."""


@dataclass(frozen=True, slots=True)
class Conmon:
    """How monitors are started."""

    program: str
    enter: str
    """nsenter(1)."""
    runtime: str
    """What makes a container."""
    runtime_root: Path
    exits: Path
    """Where a file by the container's id holds its exit code."""
    sockets: Path

    def create(self, launch: Launch, groups: Sequence[Path], mounts: str) -> Made:
        """Start a monitor in *groups*, and have it make the container among *mounts*.

        That is the file of a mount namespace. Raises RuntimeFailed.
        """
        reader, writer = os.pipe()
        told = launch.bundle / "monitor.log"
        try:
            with told.open("wb") as output:
                child = subprocess.Popen(
                    [
                        "/bin/sh",
                        "-c",
                        _ENTER,
                        "sh",
                        " ".join(map(str, groups)),
                        *self._words(launch, mounts),
                    ],
                    cwd=launch.bundle,  # where it leaves a file when memory ran out
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    env={"PATH": os.environ.get("PATH", ""), "_OCI_SYNCPIPE": str(writer)},
                    pass_fds=(writer,),
                    start_new_session=True,
                )
            os.close(writer)
            writer = -1
            points.reach(SPAWNED)
            answer = _answer(reader)
            try:
                child.wait(_LAST)  # conmon goes on as a process of its own
            except subprocess.TimeoutExpired:
                give_up(child)
        finally:
            os.close(reader)
            if writer >= 0:
                os.close(writer)
        pid = answer.get("data", -1)
        if not isinstance(pid, int) or pid <= 0:
            said = answer.get("message") or told.read_text("utf-8", "replace")[-2000:]
            raise RuntimeFailed(f"the container cannot be made: {str(said).strip()}")
        init = Known.of(pid)
        monitor = Known.of(_number(launch.bundle / "conmon.pid"))
        if init is None or monitor is None:
            raise RuntimeFailed("the container was made and has ended already")
        points.reach(ANSWERED)
        return Made(init, monitor)

    def _words(self, launch: Launch, mounts: str) -> list[str]:
        bundle, id = launch.bundle, launch.attempt
        runtime = (f"--mount={mounts}", self.runtime, "--root", str(self.runtime_root))
        return [
            *(self.program, "--api-version", "1", "-c", id, "-u", id, "-n", id),
            *("-r", self.enter, *(word for each in runtime for word in ("--runtime-arg", each))),
            *("-b", str(bundle)),
            *("-p", str(bundle / "pid"), "-P", str(bundle / "conmon.pid")),
            *("--exit-dir", str(self.exits), "-l", f"k8s-file:{launch.log}"),
            *("--log-size-max", str(launch.log_bytes), "--full-attach"),
            *("--socket-dir-path", str(self.sockets)),
        ]


def _answer(reader: int) -> dict[str, object]:
    """The line that conmon writes; an empty answer where it writes none."""
    text = b""
    end = time.monotonic() + _PATIENCE
    while not text.endswith(b"\n"):
        if not readable(reader, max(end - time.monotonic(), 0)):
            return {"message": f"no answer within {_PATIENCE:.0f} s"}
        piece = os.read(reader, 65536)
        if not piece:
            break
        text += piece
    try:
        answer = json.loads(text)
    except ValueError:
        return {}
    return answer if isinstance(answer, dict) else {}


def _number(path: Path) -> int:
    try:
        return int(path.read_text())
    except (FileNotFoundError, ValueError):
        return -1
