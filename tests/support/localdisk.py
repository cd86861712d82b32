"""File systems of a test's own, that it may fill."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from support.environment import temporary_directory
from volumes.files import allocate, run
from volumes.mounts import mount_image, unmount

MIB = 1 << 20
KINDS = {
    "ext4": ("e2fsprogs", "mkfs.ext4", "-q", "-F", "-m", "0"),
    "btrfs": ("btrfs-progs", "mkfs.btrfs", "-q", "-K", "-m", "single"),
}


@contextlib.contextmanager
def small_disk(size: int = 128 * MIB, kind: str = "ext4") -> Iterator[Path]:
    """Yield where a file system of *size* bytes is mounted."""
    with temporary_directory("disk") as directory:
        image, place = directory / "image", directory / "disk"
        place.mkdir()
        allocate(image, size)
        package, name, *words = KINDS[kind]
        run(name, *words, str(image), package=package)
        mount_image(image, place, kind)
        with contextlib.suppress(OSError):
            (place / "lost+found").rmdir()
        try:
            yield place
        finally:
            unmount(place)


def fill(path: Path, most: int, piece: int = MIB) -> tuple[int, int]:
    """Write *most* bytes to a file, or as many as it takes; how many, and the error's number."""
    written = 0
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        while written < most:
            written += os.write(handle, b"x" * min(piece, most - written))
        os.fsync(handle)
    except OSError as error:
        return written, error.errno or 0
    finally:
        os.close(handle)
    return written, 0
