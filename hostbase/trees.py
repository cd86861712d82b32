"""Mounts held by a handle: copied out of the tree of mounts, changed, put somewhere in it.

One that is nowhere yet is seen by nobody, and is gone with its last handle. open_tree(2),
mount_setattr(2), move_mount(2).
"""

import ctypes
import os
import struct
from typing import Final

from hostbase.process import libc

_OPEN_TREE, _MOVE_MOUNT, _MOUNT_SETATTR = 428, 429, 442
_HERE: Final = -100
_CLONE, _RECURSIVE, _NO_LINK = 1, 0x8000, 0x100
_OF_HANDLE, _TO_PLACE = 0x1000, 4
"""linux/mount.h, fcntl.h: AT_FDCWD; OPEN_TREE_CLONE, AT_RECURSIVE, AT_SYMLINK_NOFOLLOW;
AT_EMPTY_PATH, MOVE_MOUNT_F_EMPTY_PATH."""
_READ_ONLY: Final = struct.pack("=4Q", 1, 0, 0, 0)
"""struct mount_attr: MOUNT_ATTR_RDONLY is set, nothing is cleared."""


def copied(path: str, *, is_whole: bool = False, follows: bool = True) -> int:
    """A handle of a copy of the mount in which *path* is, whose root it becomes.

    With all that is mounted below where *is_whole*; a link at its end is followed where it may be.
    Raises OSError.
    """
    flags = _CLONE | os.O_CLOEXEC | is_whole * _RECURSIVE | (not follows) * _NO_LINK
    handle: int = libc().syscall(_OPEN_TREE, _HERE, os.fsencode(path), flags)
    return checked(handle, path)


def put(handle: int, place: str) -> None:
    """Mount what a handle holds at *place*. Raises OSError."""
    words = (handle, b"", _HERE, os.fsencode(place), _TO_PLACE)
    checked(libc().syscall(_MOVE_MOUNT, *words), place)


def make_read_only(handle: int) -> None:
    """Let nobody write through it. Raises OSError; before Linux 5.12 always, with ENOSYS."""
    words = (handle, b"", _OF_HANDLE, _READ_ONLY, len(_READ_ONLY))
    checked(libc().syscall(_MOUNT_SETATTR, *words))


def checked(status: int, path: str | None = None) -> int:
    """What a call of the C library has answered. Raises OSError where it failed, about *path*."""
    if status < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), path)
    return status
