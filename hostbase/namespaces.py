"""Namespaces with no process in them: a thread enters new ones, pins them as files, and ends.

That is what unshare(1) does with a process and its own threads' files (namespaces(7)), at a
fraction of the price: nothing is forked, and no program is loaded.
"""

import ctypes
import errno
import fcntl
import os
import socket
import struct
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import Final

from hostbase import trees
from hostbase.process import Known, libc
from hostbase.trees import checked

_NEW: Final = {"net": 0x40000000, "ipc": 0x08000000, "uts": 0x04000000}
"""By their names in /proc/PID/ns: sched.h, CLONE_NEW…"""
_NEW_MOUNTS, _NEW_ROOT = 0x00020000, 0x00000200
_BIND: Final = 0x1000
_DETACH: Final = 2
_TMPFS: Final = 0x01021994
"""statfs(2): TMPFS_MAGIC."""
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


def pin_again(files: Mapping[str, Path], of: Known, place: str, target: Path) -> None:
    """Pin the namespaces that a process is in as files, which must be there, and its tmpfs too.

    That is mounted at *place* where the process looks, so no link of its leads anywhere else, and
    then at *target*. Raises OSError, also where the process is in a namespace of the caller's, or
    has ended meanwhile; what was pinned then stays pinned.
    """
    with ThreadPoolExecutor(1, "namespaces") as apart:
        handle = apart.submit(_tmpfs, place, of.pid).result()
    try:
        trees.put(handle, str(target))
    finally:
        os.close(handle)
    for kind, path in files.items():
        if is_in_own(of.pid, kind):
            raise OSError(errno.EINVAL, f"process {of.pid} has no {kind} namespace of its own")
        there = f"/proc/{of.pid}/ns/{kind}".encode()
        checked(libc().mount(there, os.fsencode(path), None, _BIND, None))
    if not of.alive:  # so its pid may have been another's
        raise ProcessLookupError(errno.ESRCH, f"process {of.pid} has ended")


def is_pin(path: str) -> bool:
    """Whether a namespace is pinned there."""
    return device(path) == _nsfs()


def is_in_own(pid: int, kind: str) -> bool:
    """Whether a process is in the caller's own namespace of a kind; no where it has ended."""
    try:
        return os.path.samefile(f"/proc/{pid}/ns/{kind}", f"/proc/self/ns/{kind}")  # noqa: PTH121
    except (FileNotFoundError, ProcessLookupError):
        return False


def mount_tmpfs(path: Path, size: int) -> None:
    """Mount *size* bytes of memory, in which everybody may write. Raises OSError."""
    options = f"size={size},mode=1777".encode()
    checked(libc().mount(b"shm", os.fsencode(path), b"tmpfs", 2 | 4 | 8, options))


def unmount(path: Path) -> None:
    """Have nothing mounted there, however often it was; who uses it still, keeps it."""
    while libc().umount2(os.fsencode(path), _DETACH) == 0:
        continue


def device(path: str) -> int | None:
    """The file system that a file is of; None where there is none."""
    try:
        return os.stat(path).st_dev  # noqa: PTH116 - looked at very often
    except FileNotFoundError:
        return None


@cache
def _nsfs() -> int | None:
    """The file system of all namespaces."""
    return device("/proc/self/ns/net")


def _tmpfs(place: str, pid: int) -> int:
    """A handle of a mount, as it is in another's mount namespace, which the thread enters."""
    with Path(f"/proc/{pid}/ns/mnt").open("rb") as theirs:
        checked(libc().unshare(_NEW_ROOT))
        checked(libc().setns(theirs.fileno(), _NEW_MOUNTS))
    handle = trees.copied(place, follows=False)
    about = ctypes.create_string_buffer(256)
    if libc().fstatfs(handle, about) or ctypes.c_long.from_buffer(about).value != _TMPFS:
        os.close(handle)
        raise OSError(errno.EINVAL, f"process {pid} has no tmpfs at {place}")
    return handle


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
