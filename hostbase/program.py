"""A program whose file nobody can write, however he came by it."""

import contextlib
import os
from pathlib import Path

from hostbase import trees


class ReadOnlyProgram:
    """A program, by a path that lasts as long as this, on a read-only mount that is nowhere.

    A container that root runs could write into the runtime's file through /proc/PID/exe
    (CVE-2019-5736). So crun and runc copy themselves at each call and run the copy, unless their
    file is on a mount through which the kernel lets nobody write: that is half of what a short
    call of crun costs. Its directory is what is mounted, so a new edition of it is used at once.
    Before Linux 5.12 it is the program where it lies.
    """

    def __init__(self, program: str) -> None:
        self._handle: int | None = None
        self.path = program
        lies = Path(program).resolve()
        with contextlib.suppress(OSError), contextlib.ExitStack() as undone:
            handle = trees.copied(str(lies.parent))
            undone.callback(os.close, handle)
            trees.make_read_only(handle)
            undone.pop_all()
            self._handle = handle
            self.path = f"/proc/{os.getpid()}/fd/{handle}/{lies.name}"

    def close(self) -> None:
        """Let go of the mount. The path is then no program's."""
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None
