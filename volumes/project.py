"""Limits by project quotas of ext4 and XFS: each directory a project of its own.

The project is an attribute of the directory, so nothing else has to be remembered: which numbers
are taken is read from the directories themselves.
"""

import ctypes
import fcntl
import os
import struct
import threading
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from volumes.faults import CannotHold
from volumes.files import directory
from volumes.mounts import error, mounted_at
from volumes.quota import delete_all, refuse_below, throw_away
from volumes.room import Room, Use

_GET_ATTRIBUTES: Final = 0x801C581F
_SET_ATTRIBUTES: Final = 0x401C5820
"""linux/fs.h: FS_IOC_FSGETXATTR and FS_IOC_FSSETXATTR, of struct fsxattr."""
_INHERIT: Final = 0x200
_QUOTACTL_FD: Final = 443
_GET, _SET = 0x800007, 0x800008
_PROJECT: Final = 2
_BLOCK: Final = 1024
"""Bytes in which a limit is told; what is used is told in bytes."""
_LIMITS: Final = 1 | 4
"""linux/quota.h: QIF_BLIMITS and QIF_ILIMITS."""
_SPAN: Final = 1 << 16
"""Projects of one agent."""


class ProjectQuota:
    """Directories below *roots*, each a project with a limit. One of these for a file system."""

    name = "project"
    holds = True
    counts_inodes = True

    def __init__(self, *roots: Path) -> None:
        """Every directory of a project stands in one of *roots*, or one further below."""
        self._lock = threading.Lock()
        self._roots = roots
        # Agents on one machine have numbers of their own, and leave small ones to others.
        self._first = (zlib.crc32(os.fsencode(roots[0])) % 0x7F00 + 0x100) * _SPAN
        self._taken = {
            number for root in roots for path in _below(root) if (number := _project(path))
        }

    def make(self, path: Path, room: Room) -> None:
        path.mkdir(mode=0o755, parents=True, exist_ok=True)
        if not _project(path):
            with self._lock:
                number = self._free(path)
                _set_project(path, number)
                self._taken.add(number)
        self.limit(path, room)

    def limit(self, path: Path, room: Room) -> None:
        refuse_below(self.use(path), room)
        number = _own(path)
        blocks = 0 if room.bytes is None else -(-room.bytes // _BLOCK)
        told = struct.pack("=8QI4x", blocks, 0, 0, room.inodes or 0, 0, 0, 0, 0, _LIMITS)
        _quotactl(path, _SET, number, bytearray(told))

    def use(self, path: Path) -> Use:
        number = _own(path)
        told = bytearray(72)
        _quotactl(path, _GET, number, told)
        _, _, used, _, _, inodes, _, _, _ = struct.unpack("=8QI4x", told)
        return Use(used, inodes)

    def remove(self, path: Path, trash: Path) -> None:
        throw_away(path, trash)

    def empty(self, trash: Path) -> None:
        """A number is free again when nothing is counted for it any more."""
        with self._lock:
            for each in list(trash.iterdir()):
                self._taken.discard(_project(each))
        delete_all(trash)
        with self._lock:
            self._taken |= {number for each in trash.iterdir() if (number := _project(each))}

    def _free(self, path: Path) -> int:
        for number in range(self._first, self._first + _SPAN):
            if number not in self._taken and _is_unused(path, number):
                return number
        raise CannotHold(f"no project number is free from {self._first} on")


def can_hold(path: Path) -> bool:
    """Whether the file system of *path* was mounted with project quotas."""
    found = mounted_at(path)
    return found.kind in {"ext4", "xfs"} and bool(found.options & {"prjquota", "pquota"})


def _below(root: Path) -> Iterator[Path]:
    for path in root.glob("*"):
        yield path
        if path.is_dir() and not path.is_symlink():
            yield from path.glob("*")


def _own(path: Path) -> int:
    number = _project(path)
    if not number:
        raise OSError(f"{path} is of no project, so nothing limits it")
    return number


def _project(path: Path) -> int:
    """The project of a directory; 0: of none, or no directory."""
    try:
        with directory(path) as handle:
            found: int = _attributes(handle)[3]
            return found
    except OSError:
        return 0


def _set_project(path: Path, number: int) -> None:
    with directory(path) as handle:
        flags, extent, count, _, cow = _attributes(handle)
        told = struct.pack("=5I8x", flags | _INHERIT, extent, count, number, cow)
        fcntl.ioctl(handle, _SET_ATTRIBUTES, told)


def _attributes(handle: int) -> tuple[int, ...]:
    told = bytearray(28)
    fcntl.ioctl(handle, _GET_ATTRIBUTES, told)
    return struct.unpack("=5I8x", told)


def _is_unused(path: Path, number: int) -> bool:
    """Whether nobody else has taken a number: nothing is counted for it, and nothing limited."""
    told = bytearray(72)
    try:
        _quotactl(path, _GET, number, told)
    except OSError:  # XFS knows no number that was never used
        return True
    return not any(struct.unpack("=8QI4x", told)[:6])


def _quotactl(path: Path, command: int, number: int, told: bytearray) -> None:
    library = ctypes.CDLL(None, use_errno=True)
    where = (ctypes.c_char * len(told)).from_buffer(told)
    with directory(path) as handle:
        words = (handle, command << 8 | _PROJECT, number, ctypes.byref(where))
        if library.syscall(_QUOTACTL_FD, *words) < 0:
            raise error()
