"""Volumes as file systems of their own: ext4 with a journal, in a file that has all its bytes.

What is full elsewhere cannot fail such a volume, and what is full inside fails nobody else.
"""

import contextlib
import fcntl
import os
import struct
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from volumes.driver import DATA
from volumes.faults import CannotHold, VolumeFailed
from volumes.files import allocate, directory, patience, place, run
from volumes.mounts import devices_of, grow_device, mount_image, unmount
from volumes.room import Room, Use

ALLOCATED: Final = "volume:allocated"
FORMATTED: Final = "volume:formatted"
"""Points: the file has its bytes; there is a file system in it; but it has not its name yet."""
_PACKAGE: Final = "e2fsprogs"
_BLOCK: Final = 4096
_GROUP: Final = 32768
"""Blocks."""
_INODE: Final = 256
_OWN_INODES: Final = 11
_PER_INODE: Final = 16384
"""Bytes for which there is a file, unless it is said otherwise."""
_MIB: Final = 1 << 20
_RESIZE: Final = 0x40086610
"""EXT4_IOC_RESIZE_FS, of blocks."""
_RESOURCE: Final = 24
"""CAP_SYS_RESOURCE, which ext4 wants for growing under way."""
_PATIENCE: Final = 2.0
"""Seconds until the kernel has let go of a device that nobody uses."""


class LoopDriver:
    """One file, one loop device, one ext4 for each volume."""

    name = "loop"
    limits_inodes = True
    allocates = True

    def __init__(self, reach: Callable[[str], None] = lambda _: None) -> None:
        self._reach = reach

    def needed(self, room: Room) -> int:
        return _image_bytes(room)

    def make(self, home: Path, room: Room) -> None:
        image = home / "image"
        if image.exists():
            return
        fresh = home / ".image"
        fresh.unlink(missing_ok=True)
        try:
            allocate(fresh, _image_bytes(room))
            self._reach(ALLOCATED)
            _format(fresh, room)
            self._reach(FORMATTED)
        except BaseException:
            fresh.unlink(missing_ok=True)
            raise
        place(fresh, image)

    def open(self, home: Path) -> Path:
        data = home / DATA
        if not os.path.ismount(data):
            data.mkdir(mode=0o755, exist_ok=True)
            mount_image(home / "image", data, "ext4")
            # Programs that want an empty directory want it empty; e2fsck makes it where it must.
            with contextlib.suppress(OSError):
                (data / "lost+found").rmdir()
        return data

    def is_open(self, home: Path) -> bool:
        return os.path.ismount(home / DATA)

    def objection(self, home: Path, former: Room, room: Room) -> str | None:
        if (room.bytes or 0) < (former.bytes or 0):
            return "a volume of the loop driver does not shrink: make a smaller one, and copy"
        if room.inodes is not None and room.inodes != former.inodes:
            return "a volume of the loop driver keeps its number of files: make another one"
        if not can_grow_live() and self._in_use(home):
            return (
                "a volume of the loop driver grows while no container runs on it, where the agent "
                "has no CAP_SYS_RESOURCE: stop the set, then update it"
            )
        return None

    def resize(self, home: Path, former: Room, room: Room) -> None:
        refusal = self.objection(home, former, room)
        if refusal is not None:
            raise CannotHold(refusal)
        image = home / "image"
        # Whoever died in between may have left a file that is large enough round a file system
        # that is not; so both are grown, whatever the file is.
        size = max(_image_bytes(room), image.stat().st_size)
        if can_grow_live():
            data = self.open(home)
            allocate(image, size)
            for device in devices_of(image):
                grow_device(device)
            _resize_mounted(data, size)
            return
        allocate(image, size)
        unmount(home / DATA)
        if not _is_free(image):
            self.open(home)
            raise VolumeFailed("the volume's device is in use still")
        seconds = patience(size)
        run("e2fsck", "-f", "-p", str(image), package=_PACKAGE, seconds=seconds, good=(0, 1))
        run("resize2fs", str(image), package=_PACKAGE, seconds=seconds)

    def use(self, home: Path) -> Use:
        data = home / DATA
        if not os.path.ismount(data):
            return Use()
        found = os.statvfs(data)
        used = (found.f_blocks - found.f_bfree) * found.f_frsize
        return Use(used, max(found.f_files - found.f_ffree - (_OWN_INODES - 1), 0))

    def _in_use(self, home: Path) -> bool:
        """Whether anything but the mount of ours is on it; looked at without a change to it."""
        image, data = home / "image", home / DATA
        if not os.path.ismount(data):
            return bool(devices_of(image))
        source = data.stat().st_dev
        return any(_has_mount(pid, source) for pid in _others())


def can_grow_live() -> bool:
    """Whether the kernel lets this process grow an ext4 that is mounted."""
    lines = Path("/proc/self/status").read_text().splitlines()
    bits = next(int(line.split()[1], 16) for line in lines if line.startswith("CapEff"))
    return bool(bits >> _RESOURCE & 1)


def _others() -> list[Path]:
    """A process of each mount namespace that is not ours."""
    own = Path("/proc/self/ns/mnt").readlink()
    found: dict[Path, Path] = {own: Path("/proc/self")}
    for path in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            found.setdefault((path / "ns/mnt").readlink(), path)
    return [path for name, path in found.items() if name != own]


def _has_mount(process: Path, device: int) -> bool:
    wanted = f" {os.major(device)}:{os.minor(device)} "
    try:
        return wanted in (process / "mountinfo").read_text("utf-8", "surrogateescape")
    except OSError:  # it has ended
        return False


def _is_free(image: Path) -> bool:
    end = time.monotonic() + _PATIENCE
    while devices_of(image):
        if time.monotonic() > end:
            return False
        time.sleep(0.01)
    return True


def _image_bytes(room: Room) -> int:
    """How large a file is in which *room* is usable: what ext4 needs for itself comes on top."""
    assert room.bytes is not None
    inodes = _inodes(room) * _INODE
    data = room.bytes + inodes + _journal(room) * _MIB
    groups = -(-data // (_GROUP * _BLOCK)) + 1
    copies = 2 + sum(_powers(base, groups) for base in (3, 5, 7))
    table = -(-groups // 64)
    spare = min(-(-groups * 1024 // 64), 1024)  # for growing by a factor of 1024
    own = copies * (1 + table + spare) * _BLOCK + groups * 3 * _BLOCK
    kept = min(room.bytes // 49, 4096 * _BLOCK)  # what ext4 keeps for the trees of extents
    size = data + own + kept + room.bytes // 1024 + _MIB
    return -(-size // _MIB) * _MIB


def _inodes(room: Room) -> int:
    asked = room.inodes if room.inodes is not None else (room.bytes or 0) // _PER_INODE
    return asked + _OWN_INODES


def _journal(room: Room) -> int:
    """MiB."""
    return min(max((room.bytes or 0) // 64 // _MIB, 4), 128)


def _powers(base: int, most: int) -> int:
    count, power = 0, base
    while power <= most:
        count, power = count + 1, power * base
    return count


def _format(path: Path, room: Room) -> None:
    words = ("-q", "-F", "-m", "0", "-b", str(_BLOCK), "-I", str(_INODE), "-e", "remount-ro")
    count = ("-N", str(_inodes(room)), "-J", f"size={_journal(room)}")
    # Discarding would give the bytes back that were just allocated.
    late = ("-E", "nodiscard,lazy_itable_init=1,lazy_journal_init=1")
    seconds = patience(path.stat().st_size)
    run("mkfs.ext4", *words, *count, *late, str(path), package=_PACKAGE, seconds=seconds)


def _resize_mounted(data: Path, size: int) -> None:
    with directory(data) as handle:
        fcntl.ioctl(handle, _RESIZE, struct.pack("=Q", size // _BLOCK))
