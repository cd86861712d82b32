"""Files that nobody else reads: written whole, and so that they outlive a power cut."""

import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from volumes.files import flush, place


def write(path: Path, value: Mapping[str, Any], *, durably: bool = True) -> None:
    """Write JSON, and its directories as far as they are not there.

    A power cut may take what is not *durably* so. Raises OSError.
    """
    made = _make(path.parent)
    fresh = path.with_name(f".{path.name}.new")
    handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(handle, "w") as file:
        file.write(json.dumps(value))
    if not durably:
        fresh.rename(path)
        return
    place(fresh, path)
    # Last, and from below: what that brings to the disk, the others find there.
    for directory in reversed(made):
        flush(directory)


def remove_tree(path: Path) -> None:
    """Remove a directory; nothing where there is none. Raises OSError."""
    if path.is_symlink():
        raise NotADirectoryError(f"{path} is a link, where the agent's own directory should be")
    if path.exists():
        shutil.rmtree(path)


def _make(directory: Path) -> list[Path]:
    """Make a directory as far as it is not there; those in which a name is new, from above."""
    if directory.exists():
        return []
    above = _make(directory.parent)
    directory.mkdir(mode=0o700, exist_ok=True)
    return [*above, directory.parent]
