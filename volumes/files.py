"""Files that hold file systems: allocated whole, made by the system's own programs, synced."""

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from volumes.faults import CannotHold, NoRoom, VolumeFailed


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


def run(name: str, *words: str, package: str, good: tuple[int, ...] = (0,)) -> None:
    """Run a program of *package*. Raises CannotHold where it is not, VolumeFailed if it fails."""
    path = program(name)
    if path is None:
        raise CannotHold(f"{name} is not on this host: on Debian, {package} has it")
    done = subprocess.run(
        [path, *words],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        check=False,
    )
    if done.returncode not in good:
        raise VolumeFailed(f"{name}: {(done.stderr or done.stdout).strip()[-500:]}")
