"""Overlays, mounted with the kernel's newer calls.

mount(2) takes one page of options; fsconfig takes each layer by itself, up to the kernel's 500, and
says in words what it does not like. Before Linux 6.7 there is only the page, and what fits it.
"""

import ctypes
import errno
import os
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Final

from volumes.mounts import NODEV, error, mount, mounts

_MOVE_MOUNT, _FSOPEN, _FSCONFIG, _FSMOUNT = 429, 430, 431, 432
_CLOEXEC: Final = 1
_SET_STRING, _CMD_CREATE = 1, 6
_ATTR_NODEV: Final = 4
_EMPTY_PATH: Final = 4
_AT_FDCWD: Final = -100
_PAGE: Final = 4096

_libc = ctypes.CDLL(None, use_errno=True)


def lowers_in_use() -> frozenset[str]:
    """The lower directories of all overlays that are mounted here, as they were mounted."""
    overlays = (each for each in mounts() if each.kind == "overlay")
    return frozenset(path for each in overlays for path in _lowers(each.options))


def _lowers(options: Iterable[str]) -> Iterator[str]:
    for option in options:
        name, _, value = option.partition("=")
        if name == "lowerdir":
            yield from value.split(":")
        elif name == "lowerdir+":
            yield value


def mount_overlay(root: Path, lowers: Sequence[Path], upper: Path, work: Path) -> None:
    """Mount *lowers*, topmost first, below what is written into *upper*. Raises OSError."""
    if not _takes_each():
        mount("overlay", root, "overlay", NODEV, _options(lowers, upper, work))
        return
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


@cache
def _takes_each() -> bool:
    """Whether fsconfig takes layers one by one: then it misses at once what is not there."""
    system = _checked(_libc.syscall(_FSOPEN, b"overlay", _CLOEXEC))
    try:
        _set(system, "lowerdir+", Path("/proc/none"))
    except FileNotFoundError:
        return True
    except OSError:
        return False
    finally:
        os.close(system)
    return False


def _options(lowers: Sequence[Path], upper: Path, work: Path) -> str:
    """The words of mount(2)."""
    layers = ":".join(_escaped(each, ":,\\") for each in lowers)
    written, working = (_escaped(each, ",\\") for each in (upper, work))
    options = f"lowerdir={layers},upperdir={written},workdir={working}"
    if len(os.fsencode(options)) >= _PAGE:
        why = f"{len(lowers)} layers are too many for a kernel before Linux 6.7: make it of fewer"
        raise OSError(errno.E2BIG, why)
    return options


def _escaped(path: Path, letters: str) -> str:
    return "".join(f"\\{each}" if each in letters else each for each in str(path))


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
    found = error()
    return OSError(found.errno, f"{found.strerror} {said}".strip())
