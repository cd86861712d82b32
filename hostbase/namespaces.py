"""Namespaces with no process in them: a thread enters new ones, pins them as files, and ends.

That is what unshare(1) does with a process and its own threads' files (namespaces(7)), at a
fraction of the price: nothing is forked, and no program is loaded.
"""

import ctypes
import fcntl
import os
import socket
import struct
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

from hostbase.process import libc

_NEW: Final = {"net": 0x40000000, "ipc": 0x08000000, "uts": 0x04000000}
"""By their names in /proc/PID/ns: sched.h, CLONE_NEW…"""
_BIND: Final = 0x1000
_GET_FLAGS, _SET_FLAGS = 0x8913, 0x8914
_UP: Final = 1
_REQUEST: Final = "16sH22x"
"""netdevice(7): struct ifreq, with flags."""


def pin(files: Mapping[str, Path], prepare: Callable[[], None]) -> None:
    """Make a namespace of each kind (net, ipc, uts) and pin it as its file, which must be there.

    *prepare* is called in them, before they are pinned. Raises OSError; what was pinned then
    stays pinned.
    """
    with ThreadPoolExecutor(1, "namespaces") as apart:
        apart.submit(_pin, files, prepare).result()


def _pin(files: Mapping[str, Path], prepare: Callable[[], None]) -> None:
    checked(libc().unshare(sum(_NEW[kind] for kind in files)))
    prepare()
    for kind, path in files.items():
        own = f"/proc/thread-self/ns/{kind}".encode()
        checked(libc().mount(own, os.fsencode(path), None, _BIND, None))


def set_up(interface: str) -> None:
    """Set an interface up, in the caller's network namespace."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asked:
        request = struct.pack(_REQUEST, interface.encode(), 0)
        flags = struct.unpack(_REQUEST, fcntl.ioctl(asked, _GET_FLAGS, request))[1]
        fcntl.ioctl(asked, _SET_FLAGS, struct.pack(_REQUEST, interface.encode(), flags | _UP))


def checked(status: int) -> None:
    """Raise OSError where a call of the C library has failed."""
    if status < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
