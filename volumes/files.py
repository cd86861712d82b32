"""Files that hold file systems: allocated whole, made by the system's own programs, synced."""

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from programs.bounded import OutOfTime, call
from volumes.faults import CannotHold, NoRoom, VolumeFailed

PATIENCE: Final = 120.0
"""Seconds for a program that has not much to do."""
_SLOWEST: Final = 64 << 20
"""Bytes a second."""


def allocate(path: Path, size: int) -> None:
    """Have a file of *size* bytes, all of which are its own. Raises NoRoom, and takes none then."""
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    former = os.fstat(handle).st_size
    try:
        os.posix_fallocate(handle, 0, size)
    except OSError as error:
        os.ftruncate(handle, former)
        raise NoRoom(f"{size} bytes cannot be had for {path}: {error.strerror}") from None
    finally:
        os.close(handle)


def place(fresh: Path, path: Path) -> None:
    """Give a file that is whole its name; both outlive a power cut. Raises OSError."""
    handle = os.open(fresh, os.O_RDWR | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
    fresh.rename(path)
    flush(path.parent)


def flush(path: Path) -> None:
    """Have the names in a directory outlive a power cut. Raises OSError."""
    with directory(path) as handle:
        os.fsync(handle)


@contextlib.contextmanager
def directory(path: Path) -> Iterator[int]:
    """Yield a handle of a directory, which is no link. Raises OSError."""
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        yield handle
    finally:
        os.close(handle)


def program(name: str) -> str | None:
    """Where a program of the system's is."""
    return shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")


def patience(size: int) -> float:
    """Seconds for a program that may have to read a whole file system of *size* bytes."""
    return PATIENCE + size / _SLOWEST


def run(
    name: str, *words: str, package: str, seconds: float = PATIENCE, good: tuple[int, ...] = (0,)
) -> None:
    """Run a program of *package*.

    Raises CannotHold where it is not, VolumeFailed if it fails or has not ended after *seconds*.
    """
    path = program(name)
    if path is None:
        raise CannotHold(f"{name} is not on this host: on Debian, {package} has it")
    try:
        done = call([path, *words], seconds=seconds)
    except OutOfTime as error:
        raise VolumeFailed(f"{error}: see whether the host's disk answers") from None
    if done.code not in good:
        raise VolumeFailed(f"{name}: {done.said}")
