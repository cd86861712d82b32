"""Processes of this machine, surely the ones that are meant: pidfds, starts, exits.

A pid is used again; a pid with the moment of its start is not. A pidfd stays with its process.
"""

import ctypes
import fcntl
import os
import resource
import select
import signal
import struct
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

_PIDFD_GET_INFO: Final = 0xC040FF0B
"""linux/pidfd.h: _IOWR(0xFF, 11, struct pidfd_info), whose first edition has 64 bytes."""
_INFO_EXIT: Final = 1 << 3
_INFO_BYTES: Final = 64
_INFO_STATUS_AT: Final = 60


@dataclass(frozen=True, slots=True)
class Known:
    """A process by pid, and by the kernel's ticks at its start (proc_pid_stat(5), field 22)."""

    pid: int
    began: int

    @classmethod
    def of(cls, pid: int) -> "Known | None":
        """The process that has *pid* now; None where there is none, or only its remains."""
        try:
            text = Path(f"/proc/{pid}/stat").read_text("ascii", "replace")
        except (FileNotFoundError, ProcessLookupError):
            return None
        fields = text.rpartition(")")[2].split()
        return None if fields[0] in "ZX" else cls(pid, int(fields[19]))

    @property
    def alive(self) -> bool:
        """Whether it runs still."""
        return Known.of(self.pid) == self

    def open(self) -> int | None:
        """A pidfd of it; None where it has ended."""
        try:
            handle = os.pidfd_open(self.pid)
        except ProcessLookupError:
            return None
        if self.alive:
            return handle
        os.close(handle)
        return None

    def ends(self, seconds: float) -> bool:
        """Wait until it has ended; whether it has."""
        handle = self.open()
        if handle is None:
            return True
        try:
            return readable(handle, seconds)
        finally:
            os.close(handle)

    def signal(self, number: int) -> bool:
        """Send a signal to it, and to no other; whether it was there."""
        handle = self.open()
        if handle is None:
            return False
        try:
            signal.pidfd_send_signal(handle, number)
        except ProcessLookupError:
            return False
        finally:
            os.close(handle)
        return True


def readable(handle: int, seconds: float) -> bool:
    """Wait until something can be read there, or it is at its end; whether that has come.

    Not by select(2), which knows no handle above 1,023: an agent has two for each container.
    """
    poll = select.poll()
    poll.register(handle, select.POLLIN)
    return bool(poll.poll(seconds * 1000))


def ended(handle: int) -> bool:
    """Whether the process of a pidfd has ended."""
    return readable(handle, 0)


def exit_code(handle: int) -> int | None:
    """How the process of a pidfd ended, as a shell says it: 128 and more for signals.

    None where the kernel does not know: before Linux 6.15, or while it is not collected yet.
    """
    info = bytearray(_INFO_BYTES)
    struct.pack_into("Q", info, 0, _INFO_EXIT)
    try:
        fcntl.ioctl(handle, _PIDFD_GET_INFO, info)
    except OSError:
        return None
    if not struct.unpack_from("Q", info, 0)[0] & _INFO_EXIT:
        return None
    status: int = struct.unpack_from("i", info, _INFO_STATUS_AT)[0]
    code = os.waitstatus_to_exitcode(status)
    return 128 - code if code < 0 else code


@cache
def raise_files() -> tuple[int, int]:
    """Let this process have as many files open as it may; answer the limits that it began with.

    An agent has two for each container; a thousand are too many for the usual soft limit.
    """
    began = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (began[1], began[1]))
    return began


@cache
def libc() -> ctypes.CDLL:
    """The C library, with errno kept."""
    return ctypes.CDLL(None, use_errno=True)
