"""Dropbear with its own loader and libraries, so that it runs in any image.

They are copied out of the host into one directory, which is mounted read-only beside a container.
"""

import hashlib
import os
import shutil
import threading
import uuid
from pathlib import Path
from typing import Final

from programs.bounded import call
from volumes.files import flush, place

_PROGRAM: Final = "dropbear"
_MAKING: Final = threading.Lock()
_PATIENCE: Final = 30.0
"""Seconds for ldd."""
_PLACES: Final = "/usr/sbin:/sbin:/usr/bin:/usr/local/sbin"


class KitMissing(Exception):
    """No dropbear is on this host: what to do about it."""


def program() -> Path:
    """The host's dropbear. Raises KitMissing."""
    found = shutil.which(_PROGRAM, path=f"{os.environ.get('PATH', '')}:{_PLACES}")
    if found is None:
        raise KitMissing(
            "ssh: neither has the image sshd, nor this host dropbear: install one "
            "(Debian: openssh-server in the image, dropbear-bin on the host)"
        )
    return Path(found)


def kit(home: Path) -> Path:
    """A directory below *home* with dropbear and all that it needs; made where it is not there.

    Former ones go: what runs out of them has its files open. Raises KitMissing, OSError.
    """
    files = closure(program())
    facts = [f"{path} {path.stat().st_size} {path.stat().st_mtime_ns}" for path in files]
    made = home / hashlib.sha256("\n".join(facts).encode()).hexdigest()[:16]
    with _MAKING:  # of one set; others wait for it
        if not made.exists():
            _make(home, made, files)
    return made


def _make(home: Path, made: Path, files: list[Path]) -> None:
    """It gets its name when a power cut cannot take anything out of it any more."""
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    former = list(home.iterdir())
    fresh = home / f".{uuid.uuid4().hex}"
    fresh.mkdir(mode=0o755)
    for path in files:
        copy = fresh / f".{path.name}"
        shutil.copyfile(path, copy)
        copy.chmod(0o755)
        place(copy, fresh / path.name)
    fresh.rename(made)
    flush(home)
    for path in former:
        shutil.rmtree(path)


def words(directory: Path, place: str) -> list[str]:
    """How dropbear is started out of a kit that is mounted at *place*."""
    own = f"{place}/{_PROGRAM}"
    loader = next((path.name for path in directory.iterdir() if path.name.startswith("ld-")), None)
    if loader is None:
        return [own]
    # Where its first word is no path it forks for a connection, and does not start itself anew,
    # which would be by the image's loader.
    return [f"{place}/{loader}", "--library-path", place, "--argv0", _PROGRAM, own]


def closure(found: Path) -> list[Path]:
    """A program, its loader and its libraries."""
    told = call(["ldd", found], seconds=_PATIENCE)
    libraries = (line.partition("=>")[2] or line for line in told.output.splitlines())
    paths = [each.split()[0] for each in libraries if each.split() and each.split()[0][0] == "/"]
    return [found, *(Path(path) for path in paths)]
