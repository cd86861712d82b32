"""What goes wrong with a backup, in words."""

import contextlib
import errno
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from registry.storage.faults import FULL


class BackupFailed(Exception):
    """A backup cannot be made, or not be used: what, why, and what to do."""


@contextlib.contextmanager
def told(place: Path, then: str = "a repeat goes on where this ended") -> Iterator[None]:
    """Turn the system's errors in *place*, and those of ledgers there, into words.

    *then* is what to do once there is room again.
    """
    try:
        yield
    except sqlite3.Error as error:
        if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL:
            raise _full(place, then) from error
        raise BackupFailed(f"{place}: the ledger cannot be copied: {error}") from error
    except OSError as error:
        where = error.filename or place
        if error.errno in FULL:
            raise _full(place, then) from error
        words = os.strerror(error.errno) if error.errno else type(error).__name__
        name = errno.errorcode.get(error.errno or 0, "")
        raise BackupFailed(f"{where}: {words} ({name})") from error


def _full(place: Path, then: str) -> BackupFailed:
    return BackupFailed(
        f"there is no room left for {place}: free some, or take another disk; {then}"
    )
