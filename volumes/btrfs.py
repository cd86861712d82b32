"""Limits by btrfs: each directory a subvolume, each subvolume's quota group a limit."""

import contextlib
import ctypes
import errno
import fcntl
import os
import struct
from pathlib import Path
from typing import Final

from volumes.faults import CannotHold
from volumes.files import directory
from volumes.quota import delete_all, refuse_below, throw_away
from volumes.room import Room, Use

_MAGIC: Final = 0x9123683E
"""statfs(2): BTRFS_SUPER_MAGIC."""
_ROOT_INODE: Final = 256
"""The inode of each subvolume's own directory."""
_WRITE, _READ = 1, 2


def _number(direction: int, number: int, size: int) -> int:
    """The number of an ioctl, as linux/btrfs.h makes it."""
    return direction << 30 | size << 16 | 0x94 << 8 | number


_SUBVOL_CREATE: Final = _number(_WRITE, 14, 4096)
_SNAP_DESTROY: Final = _number(_WRITE, 15, 4096)
_SEARCH: Final = _number(_READ | _WRITE, 17, 4096)
_INO_LOOKUP: Final = _number(_READ | _WRITE, 18, 4096)
_QUOTA_CTL: Final = _number(_READ | _WRITE, 40, 16)
_QGROUP_CREATE: Final = _number(_WRITE, 42, 16)
_QGROUP_LIMIT: Final = _number(_READ, 43, 48)
_ENABLE, _ENABLE_SIMPLE = 1, 4
_LIMIT_REFERENCED: Final = 1
_QUOTA_TREE: Final = 8
_QGROUP_INFO: Final = 242
_OWN_BYTES: Final = 16384
"""What an empty subvolume has: one node of its tree."""


class BtrfsQuota:
    """Subvolumes, each limited by its quota group; btrfs has no limit of files.

    What is told to be used is as of the last commit, half a minute ago at most.
    """

    name = "btrfs"
    holds = True
    counts_inodes = False

    def make(self, path: Path, room: Room) -> None:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not path.exists():
            with directory(path.parent) as parent:
                name = os.fsencode(path.name)
                fcntl.ioctl(parent, _SUBVOL_CREATE, bytearray(struct.pack("=q4088s", 0, name)))
            path.chmod(0o755)
        self.limit(path, room)

    def limit(self, path: Path, room: Room) -> None:
        if room.inodes is not None:
            raise CannotHold("btrfs limits no number of files: leave inodes out")
        refuse_below(self.use(path), room)
        most = 0 if room.bytes is None else room.bytes + _OWN_BYTES
        with directory(path) as handle:
            group = _group(handle, path)
            told = struct.pack("=6Q", group, _LIMIT_REFERENCED, most, 0, 0, 0)
            fcntl.ioctl(handle, _QGROUP_LIMIT, told)

    def use(self, path: Path) -> Use:
        with directory(path) as handle:
            used = _referenced(handle, _group(handle, path))
        return Use(bytes=max(used - _OWN_BYTES, 0))

    def remove(self, path: Path, trash: Path) -> None:
        if not path.exists():
            return
        if path.stat().st_ino != _ROOT_INODE:  # of a time when no limit was held
            throw_away(path, trash)
            return
        with directory(path.parent) as parent:
            with directory(path) as handle:
                group = _group(handle, path)
            name = os.fsencode(path.name)
            fcntl.ioctl(parent, _SNAP_DESTROY, bytearray(struct.pack("=q4088s", 0, name)))
            # Newer kernels take the group away themselves, once the last of it was deleted.
            with contextlib.suppress(OSError):
                fcntl.ioctl(parent, _QGROUP_CREATE, struct.pack("=QQ", 0, group))

    def empty(self, trash: Path) -> None:
        delete_all(trash)


def enable(top: Path) -> None:
    """Have a btrfs count: the simple way (Linux 6.7), which costs next to nothing, or the older."""
    with directory(top) as handle:
        try:
            fcntl.ioctl(handle, _QUOTA_CTL, bytearray(struct.pack("=QQ", _ENABLE_SIMPLE, 0)))
        except OSError as problem:
            if problem.errno not in {errno.EINVAL, errno.EOPNOTSUPP, errno.ENOTTY}:
                raise
            fcntl.ioctl(handle, _QUOTA_CTL, bytearray(struct.pack("=QQ", _ENABLE, 0)))


def is_btrfs(path: Path) -> bool:
    """Whether *path* lies on a btrfs."""
    buffer = ctypes.create_string_buffer(256)
    if ctypes.CDLL(None, use_errno=True).statfs(os.fsencode(path), buffer) != 0:
        return False
    return ctypes.c_long.from_buffer(buffer).value == _MAGIC


def counts(path: Path) -> bool:
    """Whether the btrfs of *path* counts what subvolumes have."""
    with directory(path) as handle:
        try:
            _referenced(handle, _subvolume(handle))
        except OSError:
            return False
    return True


def _group(handle: int, path: Path) -> int:
    """The quota group of a subvolume; never that of what it lies in."""
    if os.fstat(handle).st_ino != _ROOT_INODE:
        raise OSError(errno.EINVAL, f"{path} is no subvolume, so nothing limits it")
    return _subvolume(handle)


def _subvolume(handle: int) -> int:
    """The id of the subvolume that a file is in."""
    told = bytearray(struct.pack("=QQ4080s", 0, _ROOT_INODE, b""))
    fcntl.ioctl(handle, _INO_LOOKUP, told)
    number: int = struct.unpack_from("=Q", told)[0]
    return number


def _referenced(handle: int, group: int) -> int:
    """Bytes that a quota group counts (linux/btrfs_tree.h, btrfs_qgroup_info_item)."""
    key = (_QUOTA_TREE, 0, 0, group, group, 0, 2**64 - 1, _QGROUP_INFO, _QGROUP_INFO, 1)
    told = bytearray(struct.pack("=7Q3I36x3992x", *key))
    fcntl.ioctl(handle, _SEARCH, told)
    if struct.unpack_from("=I", told, 64)[0] == 0:
        raise OSError(errno.ENOENT, "this btrfs does not count what its subvolumes have")
    used: int = struct.unpack_from("=Q", told, 104 + 32 + 8)[0]
    return used
