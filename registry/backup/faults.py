"""What goes wrong with a backup, in words."""

import contextlib
import errno
import os
from collections.abc import Iterator
from pathlib import Path

from registry.storage.faults import FULL


class BackupFailed(Exception):
    """A backup cannot be made, or not be used: what, why, and what to do."""


@contextlib.contextmanager
def told(place: Path) -> Iterator[None]:
    """Turn the system's errors in *place* into words."""
    try:
        yield
    except OSError as error:
        where = error.filename or place
        if error.errno in FULL:
            raise BackupFailed(
                f"there is no room left for {place}: free some, or take another disk; a repeat "
                "goes on where this ended"
            ) from error
        words = os.strerror(error.errno) if error.errno else type(error).__name__
        name = errno.errorcode.get(error.errno or 0, "")
        raise BackupFailed(f"{where}: {words} ({name})") from error
