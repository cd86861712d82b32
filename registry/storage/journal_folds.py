"""The folded beginning of a journal in files: ``<number>.fold`` stands for the logs up to *number*.

It is zstandard over the same lines as a log's; its first one says, in place of heads, the sequence
after which each project's lines begin. Everything here blocks: it belongs in threads.
"""

import contextlib
import fcntl
import io
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import zstandard

from registry.oci.errors import StorageUnavailable
from registry.storage.durable import sync_directory
from registry.storage.folding import Fold, Folded
from registry.storage.lines import advance, decode, decode_heads, encode, encode_heads
from registry.storage.records import JournalLine

LEVEL: Final = 9
"""Of compression: a fold is written once and read hardly ever."""
LINE_LIMIT: Final = 256 * 1024 * 1024
"""Bytes of one line at most: a manifest of 64 MiB in base64, and its records."""


@contextlib.contextmanager
def held_still(directory: Path) -> Iterator[None]:
    """While this is entered no log of *directory* is folded away; raises StorageUnavailable."""
    with _lock(directory, fcntl.LOCK_SH) as held:
        if not held:
            raise StorageUnavailable("the journal is being folded; try again")
        yield


@dataclass(frozen=True, slots=True)
class Beginning:
    """What stands for a journal's first logs; without a fold *number* is 0, and nothing does."""

    number: int
    path: Path | None = None

    def starts(self) -> dict[str, int]:
        """The sequence after which each project's folded lines begin."""
        if self.path is None:
            return {}
        with _opened(self.path) as texts:
            try:
                return decode_heads(decode(next(texts, b"")))
            except ValueError as error:
                raise StorageUnavailable(f"{self.path.name} is damaged: {error}") from error

    def lines(self) -> Iterator[JournalLine]:
        """Its lines; raises StorageUnavailable where it is damaged."""
        if self.path is None:
            return
        with _opened(self.path) as texts:
            heads: dict[str, int] = {}
            for number, text in enumerate(texts, 1):
                try:
                    if number == 1:
                        heads = decode_heads(decode(text))
                    elif (line := advance(heads, text)) is not None:
                        yield line
                except ValueError as error:
                    where = f"line {number} of {self.path.name} of the journal"
                    raise StorageUnavailable(f"{where} is damaged: {error}") from error


def beginning(directory: Path) -> Beginning:
    """The newest fold of *directory*."""
    paths = {int(path.stem): path for path in directory.glob("*.fold")}
    newest = max(paths, default=0)
    return Beginning(newest, paths.get(newest))


def fold(
    directory: Path,
    last: int,
    logs: Callable[[], Iterable[JournalLine]],
    old: list[Path],
    since: float,
) -> int | None:
    """Write the fold of all *logs* says, up to log *last*, then remove *old*; how many lines.

    None where somebody reads or folds at this moment. *logs* is asked twice for the same lines.
    What was deleted after *since* stays.
    """
    with _lock(directory, fcntl.LOCK_EX) as held:
        if not held:
            return None
        folding = Fold(since)
        for line in logs():
            folding.look(line)
        starts = {name: bound.start for name, bound in folding.bounds().items()}
        aside = directory / "fold.aside"
        with aside.open("wb") as file:
            count = _write(file, encode_heads(last, starts), folding.folded(logs()))
        target = directory / f"{last:08}.fold"
        aside.rename(target)
        sync_directory(directory)
        for path in old:
            path.unlink(missing_ok=True)
        return count


def bounds(starts: dict[str, int], ends: dict[str, int]) -> dict[str, Folded]:
    """Where each project's folded lines begin and end."""
    return {name: Folded(start, ends[name]) for name, start in starts.items()}


def _write(file: io.BufferedWriter, first: bytes, lines: Iterable[JournalLine]) -> int:
    count = 0
    compressor = zstandard.ZstdCompressor(level=LEVEL, write_checksum=True)
    with compressor.stream_writer(file, closefd=False) as out:
        out.write(first)
        for line in lines:
            out.write(encode(line))
            count += 1
    file.flush()
    os.fsync(file.fileno())
    return count


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[Iterator[bytes]]:
    with path.open("rb") as file:
        reader = zstandard.ZstdDecompressor().stream_reader(file)
        yield _texts(io.BufferedReader(reader), path)


def _texts(reader: io.BufferedReader, path: Path) -> Iterator[bytes]:
    try:
        while text := reader.readline(LINE_LIMIT):
            yield text
    except zstandard.ZstdError as error:
        raise StorageUnavailable(f"{path.name} of the journal is damaged: {error}") from error


@contextlib.contextmanager
def _lock(directory: Path, kind: int) -> Iterator[bool]:
    fd = os.open(directory / "fold.lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(fd, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        yield False
    else:
        yield True
    finally:
        os.close(fd)
