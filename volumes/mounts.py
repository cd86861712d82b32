"""Mounts, loop devices and what lies under a path, asked of the kernel itself."""

import contextlib
import ctypes
import errno
import fcntl
import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from volumes.faults import VolumeFailed

NODEV: Final = 4
NOATIME: Final = 1024
"""Flags of mount(2), as it has them."""
_MNT_DETACH: Final = 2
_GET_FREE: Final = 0x4C82
_CONFIGURE: Final = 0x4C0A
_SET_CAPACITY: Final = 0x4C07
_AUTOCLEAR: Final = 4
_DIRECT: Final = 16
"""linux/loop.h."""
_TRIES: Final = 50
_MOUNTS: Final = Path("/proc/self/mountinfo")

_libc = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True, slots=True)
class Mounted:
    """One mount: where, of which file system, from what, with which options."""

    place: str
    kind: str
    source: str
    options: frozenset[str]


def mounts() -> Iterator[Mounted]:
    """All mounts in this namespace, the later above the earlier (proc_pid_mountinfo(5))."""
    with _MOUNTS.open(encoding="utf-8", errors="surrogateescape") as lines:
        for line in lines:
            own, _, rest = line.rstrip("\n").partition(" - ")
            kind, source, options = rest.split(" ", 2)
            place = own.split(" ")[4].encode("utf-8", "surrogateescape")
            text = (
                place.decode("unicode_escape").encode("latin-1", "ignore")
                if b"\\" in place
                else place
            )
            yield Mounted(os.fsdecode(text), kind, source, frozenset(options.split(",")))


def mounted_at(path: Path) -> Mounted:
    """The mount that *path*, which is there, lies in."""
    real = os.path.realpath(path)
    best: Mounted | None = None
    for each in mounts():
        inside = each.place in {"/", real} or real.startswith(f"{each.place}/")
        if inside and (best is None or len(each.place) >= len(best.place)):
            best = each
    assert best is not None
    return best


def mount(source: str, place: Path, kind: str, flags: int, options: str = "") -> None:
    """Mount as the system call does. Raises OSError."""
    words = (source.encode(), os.fsencode(place), kind.encode())
    if _libc.mount(*words, ctypes.c_ulong(flags), options.encode() or None) < 0:
        raise error()


def unmount(place: Path) -> None:
    """Unmount, however often it was mounted; if it is busy, as soon as it no longer is."""
    while os.path.ismount(place):
        if _libc.umount2(os.fsencode(place), 0) < 0:
            if ctypes.get_errno() != errno.EBUSY:
                raise error()
            if _libc.umount2(os.fsencode(place), _MNT_DETACH) < 0:
                raise error()


def mount_image(image: Path, place: Path, kind: str, options: str = "") -> None:
    """Mount a file on a loop device that the kernel takes away with the mount. Raises OSError.

    Where a file is on a device already, as in a container's mounts, it is on no second one: two
    are two file systems on the same bytes, each unaware of what the other writes.
    """
    handle, device = _device_in_use(image) or _configured(image)
    try:
        mount(device, place, kind, NODEV | NOATIME, options)
    finally:
        os.close(handle)


def devices_of(image: Path) -> list[Path]:
    """The loop devices that a file is on, as long as anybody uses them."""
    found = []
    for backing in Path("/sys/block").glob("loop*/loop/backing_file"):
        with contextlib.suppress(OSError):
            if backing.read_text().rstrip("\n") == os.path.realpath(image):
                found.append(Path("/dev") / backing.parts[3])
    return found


def grow_device(device: Path) -> None:
    """Have a loop device be as large as its file is now. Raises OSError."""
    handle = os.open(device, os.O_RDWR | os.O_CLOEXEC)
    try:
        fcntl.ioctl(handle, _SET_CAPACITY, 0)
    finally:
        os.close(handle)


def _device_in_use(image: Path) -> tuple[int, str] | None:
    """The loop device that a file is on, and a handle with which it stays there."""
    for device in devices_of(image):
        with contextlib.suppress(OSError):
            handle = os.open(device, os.O_RDWR | os.O_CLOEXEC)
            if device in devices_of(image):
                return handle, str(device)
            os.close(handle)  # it went in between
    return None


def _configured(image: Path) -> tuple[int, str]:
    """A free loop device that is *image*'s now, and a handle; it goes with its last user."""
    file = os.open(image, os.O_RDWR | os.O_CLOEXEC)
    try:
        name = os.fsencode(image)[:63]
        info = struct.pack(
            "=5Q4I64s64s32s2Q", *(0,) * 8, _AUTOCLEAR | _DIRECT, name, b"", b"", 0, 0
        )
        for _ in range(_TRIES):
            device = _free_device()
            handle = os.open(device, os.O_RDWR | os.O_CLOEXEC)
            try:
                # linux/loop.h, struct loop_config: the file, the block's size, the rest as before
                told = bytearray(struct.pack("=II", file, 0) + info + bytes(64))
                fcntl.ioctl(handle, _CONFIGURE, told)
            except OSError as problem:
                os.close(handle)
                if problem.errno != errno.EBUSY:  # somebody else was faster
                    raise
                continue
            return handle, device
        raise VolumeFailed("no loop device is to be had: others take each before it is configured")
    finally:
        os.close(file)


def _free_device() -> str:
    control = os.open("/dev/loop-control", os.O_RDWR | os.O_CLOEXEC)
    try:
        return f"/dev/loop{fcntl.ioctl(control, _GET_FREE)}"
    finally:
        os.close(control)


def error() -> OSError:
    """The C library's last error."""
    number = ctypes.get_errno()
    return OSError(number, os.strerror(number))
