"""A file system of the agent's own, in one file that has all its bytes: it can hold limits.

One loop device for a host, however many writable layers lie in it. btrfs where the kernel has it,
else ext4 with project quotas.
"""

import fcntl
import os
import struct
from pathlib import Path
from typing import Final

from volumes import btrfs, files
from volumes.faults import CannotHold, NoRoom, VolumeFailed
from volumes.files import allocate, patience, program, run
from volumes.mounts import devices_of, grow_device, mount_image
from volumes.settings import LEAST_POOL

_BTRFS_MARK: Final = b"_BHRfS_M"
_BTRFS_MARK_AT: Final = 0x10040
_BTRFS_RESIZE: Final = 0x50009403
_OPTIONS: Final = {
    # Layers are written over and thrown away: no copies of old bytes, and none given back.
    "btrfs": "nodatacow,nodiscard",
    "ext4": "prjquota,nodiscard",
}
_SHARE: Final = 5


def mount_pool(image: Path, place: Path, size: int | None) -> None:
    """Have the pool in *image* mounted at *place*: made where it is not, grown to *size* bytes.

    Raises VolumeFailed; CannotHold where neither the kernel nor the host's programs can make one.
    """
    try:
        place.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not image.exists():
            _make(image, size or _fitting(image.parent))
        if not os.path.ismount(place):
            mount_image(image, place, kind_of(image), _OPTIONS[kind_of(image)])
            place.chmod(0o700)
        if kind_of(image) == "btrfs":
            if not btrfs.counts(place):
                btrfs.enable(place)
            if size is not None:
                _grow(image, place, size)
    except OSError as error:
        raise VolumeFailed(f"the pool {image} cannot be mounted at {place}: {error}") from error


def kind_of(image: Path) -> str:
    """Which file system is in a pool's file."""
    with image.open("rb") as file:
        file.seek(_BTRFS_MARK_AT)
        return "btrfs" if file.read(len(_BTRFS_MARK)) == _BTRFS_MARK else "ext4"


def lacking() -> str | None:
    """What this host lacks for a pool; None: nothing."""
    return None if _maker() else (
        "neither btrfs (kernel and btrfs-progs) nor ext4 with quotas (CONFIG_QFMT_V2, e2fsprogs)"
    )  # fmt: skip


def tight(image: Path, size: int | None) -> str | None:
    """What keeps a pool in *image* from being made, or from growing to *size*; None: nothing."""
    there = next(each for each in image.parents if each.exists())
    held = image.stat().st_size if image.exists() else 0
    if size is None:
        return None if held else _unfitting(there)
    found = os.statvfs(there)
    free = found.f_bavail * found.f_frsize
    if size - held <= free:
        return None
    return f"storage.pool is {size} bytes, and {free} are free at {there}: say less, or free some"


def _unfitting(directory: Path) -> str | None:
    try:
        _fitting(directory)
    except NoRoom as error:
        return str(error)
    return None


def _fitting(directory: Path) -> int:
    found = os.statvfs(directory)
    size: int = found.f_bavail * found.f_frsize // _SHARE // LEAST_POOL * LEAST_POOL
    if size < LEAST_POOL:
        raise NoRoom(
            f"{directory} has no {_SHARE * LEAST_POOL} bytes free, of which a fifth would be a "
            "pool for writable layers: free some, set storage.pool, or storage.writable"
        )
    return size


def _maker() -> tuple[str, ...] | None:
    """What makes a file system that holds limits: a package, a program and its words."""
    known = Path("/proc/filesystems").read_text().split()
    if program("mkfs.btrfs") and "btrfs" in known:
        return "btrfs-progs", "mkfs.btrfs", "-q", "-K", "-m", "single"
    if program("mkfs.ext4") and "ext4" in known and Path("/proc/sys/fs/quota").exists():
        words = "-q", "-F", "-m", "0", "-O", "quota,project", "-E", "nodiscard"
        return "e2fsprogs", "mkfs.ext4", *words
    return None


def _make(image: Path, size: int) -> None:
    found = _maker()
    if found is None:
        raise CannotHold(f"no pool can be made here: this host has {lacking()}")
    package, name, *words = found
    fresh = image.with_name(f".{image.name}")
    fresh.unlink(missing_ok=True)
    try:
        allocate(fresh, size)
        run(name, *words, str(fresh), package=package, seconds=patience(size))
    except BaseException:
        fresh.unlink(missing_ok=True)
        raise
    files.place(fresh, image)


def _grow(image: Path, place: Path, size: int) -> None:
    """Whoever died in between may have grown the file and no more; so all of it is done again."""
    if size > image.stat().st_size:
        allocate(image, size)
    for device in devices_of(image):
        grow_device(device)
    with files.directory(place) as handle:
        told = bytearray(struct.pack("=q4088s", 0, b"max"))
        fcntl.ioctl(handle, _BTRFS_RESIZE, told)
