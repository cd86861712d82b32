"""The journal's lines as bytes: ``<project> <sequence> <checksum> <content>`` (pure)."""

import hashlib
import json
from collections.abc import Mapping
from typing import Final

from registry.storage.records import JournalLine, Position

HEADS: Final = "*"
"""In a project's place: the line says the heads of all lines before it."""
_CHECKSUM: Final = 16
"""Hex digits of SHA-256: enough against chance, and none is meant to hold against a forger."""


def encode(line: JournalLine) -> bytes:
    """*line* with its end; raise ValueError if it cannot be one."""
    project = line.position.project
    if not project or project == HEADS or len(project.split()) != 1 or project != project.strip():
        raise ValueError(f"{project!r} cannot be a project of the journal")
    if line.position.sequence < 1:
        raise ValueError("a journal's lines are counted from 1")
    if b"\n" in line.content or b"\r" in line.content:
        raise ValueError("a journal's content is JSON on one line")
    return _encode(line)


def encode_heads(number: int, heads: Mapping[str, int]) -> bytes:
    """The first line of file *number*."""
    content = json.dumps(heads, sort_keys=True, ensure_ascii=False).encode()
    return _encode(JournalLine(Position(HEADS, number), content))


def decode(text: bytes) -> JournalLine:
    """The line that *text* is, its end included; raise ValueError if it is none, or damaged."""
    try:
        project, sequence, checksum, content = text.split(b" ", 3)
        line = JournalLine(Position(project.decode(), int(sequence)), content[:-1])
    except ValueError as error:
        raise ValueError("it is no line of a journal") from error
    if not content.endswith(b"\n"):
        raise ValueError("it is cut short")
    if _checksum(b"%b %b" % (project, sequence), line.content) != checksum:
        raise ValueError("its checksum is wrong")
    return line


def position_of(text: bytes) -> Position | None:
    """Where the line that *text* is stands, whatever else it says; None if it is none."""
    try:
        project, sequence, _ = text.split(b" ", 2)
        return Position(project.decode(), int(sequence))
    except ValueError:
        return None


def advance(heads: dict[str, int], text: bytes) -> JournalLine | None:
    """The line that *text* is, and *heads* with it; None if it is no new one.

    Raises ValueError if it is damaged or does not follow *heads*.
    """
    line = decode(text)
    project, sequence = line.position.project, line.position.sequence
    if project == HEADS:
        if decode_heads(line) != heads:
            raise ValueError("lines before it are missing")
        return None
    head = heads.get(project, 0)
    if sequence <= head:
        return None
    if sequence != head + 1:
        raise ValueError(f"it follows line {head} of {project} and is line {sequence}")
    heads[project] = sequence
    return line


def decode_heads(line: JournalLine) -> dict[str, int]:
    """What the first line of a file says; raise ValueError if it is none."""
    heads = json.loads(line.content)
    if line.position.project != HEADS or not isinstance(heads, dict):
        raise ValueError("it is no first line of a file")
    return heads


def _encode(line: JournalLine) -> bytes:
    name = f"{line.position.project} {line.position.sequence}".encode()
    return b"%b %b %b\n" % (name, _checksum(name, line.content), line.content)


def _checksum(name: bytes, content: bytes) -> bytes:
    return hashlib.sha256(name + b" " + content).hexdigest()[:_CHECKSUM].encode()
