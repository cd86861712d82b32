"""Containers' output, as monitors write it: read as lines."""

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Final

_POLL: Final = 0.2
_TAIL: Final = 4 << 20
"""Bytes of a file that its last lines are looked for in."""
_PIECE: Final = 1 << 20
"""Bytes that are read at once, while others wait."""


def read(path: Path, tail: int | None, until: int | None = None) -> list[str]:
    """The last *tail* lines of output (None: all that is kept), without what monitors add.

    Of what is written just now, no more than *until* that byte.
    """
    lines: list[str] = []
    for each, most in ((path.with_name(f"{path.name}.1"), None), (path, until)):
        with contextlib.suppress(FileNotFoundError), each.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            size = size if most is None else min(size, most)
            begin = max(size - _TAIL, 0) if tail is not None else 0
            file.seek(begin)
            lines += _plain(file.read(size - begin))
    return lines if tail is None else lines[len(lines) - min(tail, len(lines)) :]


def end(path: Path) -> int:
    """Where output ends now, to be followed from there."""
    return _size(path)


async def follow(path: Path, at: int, goes_on: Callable[[], bool]) -> AsyncIterator[str]:
    """Lines behind byte *at* as they come, while *goes_on* says so.

    No thread waits for them: who listens may be many, and gone long before the next line.
    """
    rest = b""
    while goes_on():
        size = _size(path)
        if size < at:
            at, rest = 0, b""  # it was turned over
        if size == at:
            await asyncio.sleep(_POLL)
            continue
        data = b""
        with contextlib.suppress(FileNotFoundError), path.open("rb") as file:
            file.seek(at)
            data = file.read(_PIECE)
            at = file.tell()
        whole, newline, rest = (rest + data).rpartition(b"\n")
        for line in _plain(whole + newline):
            yield line
        await asyncio.sleep(0)


def _size(path: Path) -> int:
    """None has nothing: it is not there yet, or is turned over just now."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def _plain(data: bytes) -> list[str]:
    """``TIME STREAM F|P TEXT`` to texts; P is a part, whose line goes on."""
    lines: list[str] = []
    part = ""
    for line in data.decode("utf-8", "replace").split("\n"):
        fields = line.split(" ", 3)
        if len(fields) < 3 or fields[2] not in {"F", "P"}:
            continue
        part += fields[3] if len(fields) > 3 else ""
        if fields[2] == "F":
            lines.append(part)
            part = ""
    return [*lines, part] if part else lines
