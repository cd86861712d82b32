"""Root filesystems by overlayfs, mounted with the kernel's newer calls.

mount(2) takes one page of options, which is some 170 layers; fsconfig takes each layer by itself,
up to the kernel's 500, and says in words what it does not like.
"""

import contextlib
import ctypes
import errno
import os
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from hostagent.errors import StepFailed

_MOVE_MOUNT, _FSOPEN, _FSCONFIG, _FSMOUNT = 429, 430, 431, 432
_CLOEXEC: Final = 1
_SET_STRING, _CMD_CREATE = 1, 6
_ATTR_NODEV: Final = 4
_EMPTY_PATH: Final = 4
_AT_FDCWD: Final = -100
_MNT_DETACH: Final = 2
_MOUNTS: Final = Path("/proc/self/mountinfo")

_libc = ctypes.CDLL(None, use_errno=True)


class RootfsFailed(StepFailed):
    """A root cannot be mounted or unmounted: what failed, and what the kernel says."""


class OverlayRootfs:
    """Root filesystems: ``root``, ``upper`` and ``work`` in a directory of each one's own.

    A root's life: prepare -> used by a container -> release and prepare, any time -> remove.
    *trash* is a directory of the same file system, where writable layers go; its owner empties it.
    All methods raise RootfsFailed, and are no-ops where things are so already.
    """

    def __init__(self, trash: Path) -> None:
        self._trash = trash

    def prepare(self, disk: Path, chain: Sequence[Path]) -> Path:
        """Mount a root in *disk*, on an image's *chain*, topmost first; answer where.

        What was written into it earlier is in it again.
        """
        root = disk / "root"
        if os.path.ismount(root):
            return root
        upper, work = disk / "upper", disk / "work"
        try:
            fresh = not upper.exists()
            for each in (root, upper, work):
                each.mkdir(mode=0o755, parents=True, exist_ok=True)
            lowers = list(chain)
            if not lowers:  # an overlay has at least one
                nothing = disk / "nothing"
                nothing.mkdir(mode=0o755, exist_ok=True)
                lowers = [nothing]
            if fresh and chain:
                _copy_attributes(chain[0], upper)
            _mount(root, lowers, upper, work)
        except OSError as error:
            raise RootfsFailed(f"{root} cannot be mounted: {error}") from error
        return root

    def release(self, disk: Path) -> None:
        """Unmount a root; what was written into it stays."""
        try:
            _unmount(disk / "root")
        except OSError as error:
            raise RootfsFailed(f"{disk} cannot be unmounted: {error}") from error

    def remove(self, disk: Path) -> None:
        """Unmount a root, and throw away what was written into it."""
        self.release(disk)
        try:
            with contextlib.suppress(FileNotFoundError):
                disk.rename(self._trash / uuid.uuid4().hex)
        except OSError as error:
            raise RootfsFailed(f"{disk} cannot be removed: {error}") from error


def _unmount(root: Path) -> None:
    """Unmount, however often it was mounted; if it is busy, as soon as it no longer is."""
    while os.path.ismount(root):
        if _libc.umount2(os.fsencode(root), 0) < 0:
            if ctypes.get_errno() != errno.EBUSY:
                raise _error()
            _checked(_libc.umount2(os.fsencode(root), _MNT_DETACH))


def lowers_in_use() -> frozenset[str]:
    """The lower directories of all overlays that are mounted here, as they were mounted."""
    found: set[str] = set()
    with _MOUNTS.open(encoding="utf-8", errors="surrogateescape") as lines:
        for line in lines:
            kind, _, options = line.partition(" - ")[2].split(" ", 2)
            if kind == "overlay":
                found |= set(_lowers(options.rstrip("\n")))
    return frozenset(found)


def _lowers(options: str) -> Iterator[str]:
    for option in options.split(","):
        name, _, value = option.partition("=")
        if name == "lowerdir":
            yield from value.split(":")
        elif name == "lowerdir+":
            yield value


def _copy_attributes(source: Path, target: Path) -> None:
    """A container's root is as the topmost layer has it, not as the agent makes directories."""
    found = source.stat()
    os.chown(target, found.st_uid, found.st_gid)
    target.chmod(found.st_mode & 0o7777)


def _mount(root: Path, lowers: Sequence[Path], upper: Path, work: Path) -> None:
    system = _checked(_libc.syscall(_FSOPEN, b"overlay", _CLOEXEC))
    try:
        for each in lowers:
            _set(system, "lowerdir+", each)
        _set(system, "upperdir", upper)
        _set(system, "workdir", work)
        _set(system, "source", Path("overlay"))
        if _libc.syscall(_FSCONFIG, system, _CMD_CREATE, None, None, 0) < 0:
            raise _error(_said(system))
        made = _checked(_libc.syscall(_FSMOUNT, system, _CLOEXEC, _ATTR_NODEV))
    finally:
        os.close(system)
    try:
        place = os.fsencode(root)
        _checked(_libc.syscall(_MOVE_MOUNT, made, b"", _AT_FDCWD, place, _EMPTY_PATH))
    finally:
        os.close(made)


def _set(system: int, name: str, value: Path) -> None:
    key = name.encode()
    if _libc.syscall(_FSCONFIG, system, _SET_STRING, key, os.fsencode(value), 0) < 0:
        raise _error(_said(system))


def _said(system: int) -> str:
    """What the kernel says on the handle of a file system that is being made."""
    try:
        return os.read(system, 4096).decode("utf-8", "replace").strip()
    except OSError:
        return ""


def _checked(answer: int) -> int:
    if answer < 0:
        raise _error()
    return answer


def _error(said: str = "") -> OSError:
    number = ctypes.get_errno()
    return OSError(number, f"{os.strerror(number)} {said}".strip())
