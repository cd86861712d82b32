"""A small disk of one's own, to fill (needs root)."""

import contextlib
import subprocess
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def small_disk(directory: Path, size: int) -> Iterator[Path]:
    """A file system of *size* bytes at *directory*, gone in the end."""
    directory.mkdir()
    _run("mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(directory))
    try:
        yield directory
    finally:
        # A thread of a test that failed may be in it still.
        _run("umount", "--lazy", str(directory))


def enlarge(disk: Path, size: int) -> None:
    """Give a small disk *size* bytes."""
    _run("mount", "-o", f"remount,size={size}", str(disk))


def _run(*command: str) -> None:
    subprocess.run(command, check=True)
