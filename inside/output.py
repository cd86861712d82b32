"""Containers' output, as monitors write it: read as lines."""

import contextlib
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

_POLL: Final = 0.2
_TAIL: Final = 4 << 20
"""Bytes of a file that its last lines are looked for in."""


def read(path: Path, tail: int | None) -> list[str]:
    """The last *tail* lines of output (None: all that is kept), without what monitors add."""
    lines: list[str] = []
    for each in (path.with_name(f"{path.name}.1"), path):
        with contextlib.suppress(FileNotFoundError), each.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(size - _TAIL, 0) if tail is not None else 0)
            lines += _plain(file.read())
    return lines if tail is None else lines[len(lines) - min(tail, len(lines)) :]


def follow(path: Path, goes_on: Callable[[], bool]) -> Iterator[str]:
    """Lines as they come, while *goes_on* says so."""
    at, rest = _size(path), b""
    while goes_on():
        size = _size(path)
        if size < at:
            at, rest = 0, b""  # it was turned over
        if size == at:
            time.sleep(_POLL)
            continue
        with contextlib.suppress(FileNotFoundError), path.open("rb") as file:
            file.seek(at)
            data = rest + file.read()
            at = file.tell()
            whole, newline, rest = data.rpartition(b"\n")
            yield from _plain(whole + newline)


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
