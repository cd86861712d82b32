"""A file system that nobody has used, so that what was there before costs nothing.

On ext4 files are made far more slowly for minutes after many were deleted.
"""

import contextlib
import subprocess
from collections.abc import Iterator
from pathlib import Path

from support.environment import tool, unmount_below

SIZE = 6 << 30
"""Bytes; of the file, only what is written is there."""


@contextlib.contextmanager
def fresh_disk(place: Path) -> Iterator[Path]:
    """An empty ext4 on a loop device."""
    file, point = place / "disk", place / "m"
    point.mkdir(exist_ok=True)
    with file.open("wb") as made:
        made.truncate(SIZE)
    _run([tool("mkfs.ext4"), "-q", file])
    _run([tool("mount"), "-o", "loop", file, point])
    try:
        yield point
    finally:
        unmount_below(point)
        _run([tool("umount"), point])
        file.unlink()


def _run(command: list[str | Path]) -> None:
    subprocess.run(command, check=True)  # noqa: S603 - mkfs, mount, umount
