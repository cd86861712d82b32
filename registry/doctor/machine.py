"""The machine that the registry runs on: its directory, and the disk of it."""

import os
import tempfile
from pathlib import Path
from typing import Final

from registry.config import Config
from registry.doctor.findings import Finding, Unwell, looked

GIB: Final = 1024**3
ROOM: Final = 1 * GIB
"""Bytes free below which it is time to do something."""
INODES: Final = 10_000


def look_at_directory(config: Config) -> list[Finding]:
    """Where bytes lie, or a SQLite ledger."""
    if config.storage.kind != "directory" and config.ledger.url is not None:
        return []
    directory = config.storage.directory.absolute()
    return [
        looked("directory", lambda: _write(directory), "name another with storage.directory"),
        looked("disk", lambda: _measure(directory)),
    ]


def _write(directory: Path) -> str:
    try:
        if not directory.exists():
            parent = _nearest(directory)
            if not os.access(parent, os.W_OK | os.X_OK):
                raise Unwell(f"{directory} is not there, and cannot be made in {parent}", "")
            return f"{directory} is made at the first start"
        with tempfile.TemporaryFile(dir=directory) as file:
            file.write(b"canary")
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise Unwell(f"{directory}: {error.strerror}", "") from error
    return f"{directory} can be written to"


def _measure(directory: Path) -> str:
    room = os.statvfs(_nearest(directory))
    free = room.f_bavail * room.f_frsize
    found = f"{free / GIB:.1f} GiB free"
    # Some file systems count no inodes at all.
    if free < ROOM or (room.f_files and room.f_favail < INODES):
        raise Unwell(
            f"{found}, {room.f_favail} inodes free",
            "make room: pushes are refused once it is full; `berth gc` frees what nothing needs",
        )
    return found


def _nearest(directory: Path) -> Path:
    """*directory*, or the nearest above it that is there and may be looked at."""
    while not os.access(directory, os.F_OK):
        directory = directory.parent
    return directory
