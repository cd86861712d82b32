"""Dropbear with its own loader and libraries, so that it runs in any image.

They are copied out of the host into one directory, which is mounted read-only beside a container.
"""

import hashlib
import os
import shutil
import subprocess
import uuid
from pathlib import Path
from typing import Final

_PROGRAM: Final = "dropbear"
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

    Former ones go: what runs out of them has its files open. Raises KitMissing.
    """
    files = closure(program())
    facts = [f"{path} {path.stat().st_size} {path.stat().st_mtime_ns}" for path in files]
    made = home / hashlib.sha256("\n".join(facts).encode()).hexdigest()[:16]
    if made.exists():
        return made
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    fresh = home / f".{uuid.uuid4().hex}"
    fresh.mkdir(mode=0o755)
    for path in files:
        shutil.copyfile(path, fresh / path.name)
        (fresh / path.name).chmod(0o755)
    former = [path for path in home.iterdir() if path != fresh]
    fresh.rename(made)
    for path in former:
        shutil.rmtree(path)
    return made


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
    told = subprocess.run(  # noqa: S603 - the host's own program
        ["ldd", str(found)],  # noqa: S607
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    libraries = (line.partition("=>")[2] or line for line in told.stdout.splitlines())
    paths = [each.split()[0] for each in libraries if each.split() and each.split()[0][0] == "/"]
    return [found, *(Path(path) for path in paths)]
