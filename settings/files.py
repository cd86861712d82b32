"""Files that a configuration names, read whole; what would never end is refused instead.

Whoever opens a pipe that nobody writes to waits for ever, and a device may go on without an end.
"""

import os
import stat
from pathlib import Path
from typing import Final

MOST: Final = 16 << 20
"""Bytes, unless said otherwise: more than any file of people, keys or certificates has."""


def read(path: Path, most: int = MOST, *, piped: bool = False) -> bytes:
    """The bytes of the file *path*, at most *most*; where *piped*, of a pipe or a terminal too.

    Raises ValueError, which names the file and says what is wrong with it.
    """
    try:
        with open(path, "rb", opener=_open) as file:
            mode = os.fstat(file.fileno()).st_mode
            if not stat.S_ISREG(mode) and not piped:
                kind = "a pipe" if stat.S_ISFIFO(mode) else "a device"
                raise ValueError(f"{path}: Is {kind}, and must be a file")
            os.set_blocking(file.fileno(), True)
            content = file.read(most + 1)
    except OSError as error:
        raise ValueError(f"{path}: {error.strerror}") from error
    if stat.S_ISFIFO(mode) and not content:
        raise ValueError(f"{path}: Is a pipe to which nobody writes")
    if len(content) > most:
        raise ValueError(f"{path}: has more than {most} bytes: is it the right file?")
    return content


def _open(name: str, flags: int) -> int:
    return os.open(name, flags | os.O_NONBLOCK | os.O_NOCTTY)
