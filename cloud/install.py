"""The services' programs, in a virtual environment of their own."""

import hashlib
import shutil
import sys

from cloud.layout import CACHE, ROOT, VENV, locked
from cloud.processes import run

LOCK = ROOT / "cloud" / "requirements.lock"
STAMP = VENV / "installed"


def install() -> None:
    """Make .cache/cloud/venv hold what requirements.lock names; change nothing when it does."""
    with locked(CACHE / "install.lock"):
        wanted = fingerprint()
        if STAMP.is_file() and STAMP.read_text("utf-8") == wanted:
            return
        shutil.rmtree(VENV, ignore_errors=True)
        run("making a virtual environment", [sys.executable, "-m", "venv", VENV])
        run(
            "installing the packages of requirements.lock",
            [VENV / "bin" / "pip", "install", "--quiet", "--require-hashes", "-r", LOCK],
        )
        STAMP.write_text(wanted, "utf-8")


def fingerprint() -> str:
    """Answer what the environment depends on: the lock, the Python, the place."""
    lock = hashlib.sha256(LOCK.read_bytes()).hexdigest()
    return f"{lock}\n{sys.version}\n{VENV}\n"
