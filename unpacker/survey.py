"""What lies in the present directory, told in one digest: names, kinds, owners, sizes, times.

Not what files hold: that a disk keeps what it was given is the disk's business. It tells a tree
that was cut by a fall of the power, or that somebody touched.
"""

import hashlib
import os
import stat
from dataclasses import dataclass

_SECTOR = 512


@dataclass(frozen=True, slots=True)
class Survey:
    """What was found."""

    inodes: int
    bytes: int
    """On the disk."""
    tree: str
    """The digest of it all, in hex."""


def survey() -> Survey:
    """Look at all below the present directory, in the order of names."""
    hasher = hashlib.sha256()
    root = os.lstat(".")
    seen = {root.st_ino}
    size = root.st_blocks * _SECTOR
    _tell(hasher, b".", root)
    waiting = [b"."]
    while waiting:
        directory = waiting.pop()
        with os.scandir(directory) as entries:
            found = sorted((each.name, each) for each in entries)
        for _, each in found:
            status = each.stat(follow_symlinks=False)
            _tell(hasher, each.path, status)
            if stat.S_ISDIR(status.st_mode):
                waiting.append(each.path)
            if status.st_ino not in seen:
                seen.add(status.st_ino)
                size += status.st_blocks * _SECTOR
    return Survey(len(seen), size, hasher.hexdigest())


def _tell(hasher: "hashlib._Hash", path: bytes, found: os.stat_result) -> None:
    is_link = stat.S_ISLNK(found.st_mode)
    held = os.readlink(path) if is_link else found.st_size * stat.S_ISREG(found.st_mode)
    device = found.st_rdev, found.st_nlink * stat.S_ISREG(found.st_mode)
    words = found.st_mode, found.st_uid, found.st_gid, found.st_mtime_ns, held, device
    hasher.update(repr((path, words)).encode())
