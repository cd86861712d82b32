"""What a caller gives an agent, in a file or on the standard input: as much as an agent reads."""

import sys
from pathlib import Path
from typing import BinaryIO, Final

from climg.errors import WrongUsage

_MOST: Final = 4 << 20
"""Bytes; a device, or a program that goes on for ever, would take all memory."""


def text() -> str:
    """The standard input. Raises WrongUsage where it is no text."""
    try:
        return _whole(sys.stdin.buffer, "the standard input").decode()
    except UnicodeDecodeError as error:
        told = f"the standard input is no text in UTF-8, from byte {error.start} on"
        raise WrongUsage(told) from None


def document(name: str) -> bytes:
    """What the file *name* has, or for - the standard input. Raises WrongUsage."""
    if name == "-":
        return _whole(sys.stdin.buffer, "the standard input")
    try:
        with Path(name).open("rb") as file:
            return _whole(file, name)
    except OSError as error:
        raise WrongUsage(f"{name} cannot be read: {error.strerror}") from None


def _whole(file: BinaryIO, name: str) -> bytes:
    content = file.read(_MOST + 1)
    if len(content) > _MOST:
        raise WrongUsage(f"{name} has more than {_MOST >> 20} MiB, and an agent reads no more")
    return content
