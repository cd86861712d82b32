"""Folded beginnings of the journal: ``<prefix>-meta/folds/<project>/<end>-<start>``, zstandard.

A fold stands for its project's lines up to *end*; its own lines are numbered from the one after
*start*. Lines are deleted, and older folds with them, only once they lie behind two folds: so
whoever began to read with the last one, or saw a listing that lags, finds all that he needs.
"""

import asyncio
import hashlib
import re
import tempfile
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from typing import IO, Final

import zstandard

from registry.oci.errors import StorageUnavailable
from registry.storage.folding import Fold
from registry.storage.lines import advance, decode, decode_heads, encode, encode_heads
from registry.storage.records import JournalLine
from registry.storage.swift.names import Names, Place
from registry.storage.swift.objects import Objects
from registry.storage.work import PIECE

LEVEL: Final = 9
"""Of compression: a fold is written once and read hardly ever."""
_NAME: Final = re.compile(r"folds/(?P<project>[^/]+)/(?P<end>[0-9]+)-(?P<start>[0-9]+)", re.ASCII)


@dataclass(frozen=True, slots=True)
class FoldObject:
    """A fold that was written."""

    project: str
    start: int
    end: int
    place: Place


class Folds:
    """The folds of a journal."""

    def __init__(self, objects: Objects, names: Names) -> None:
        self._objects = objects
        self._names = names

    async def find(self) -> dict[str, list[FoldObject]]:
        """Each project's folds, the newest first."""
        found: dict[str, list[FoldObject]] = {}
        async for entry in self._objects.listing(self._names.meta, prefix="folds/"):
            match = _NAME.fullmatch(entry["name"])
            if match is not None:
                place = Place(self._names.meta, entry["name"])
                fold = FoldObject(match["project"], int(match["start"]), int(match["end"]), place)
                found.setdefault(fold.project, []).append(fold)
        for folds in found.values():
            folds.sort(key=lambda fold: fold.end, reverse=True)
        return found

    async def read(self, fold: FoldObject) -> AsyncIterator[JournalLine]:
        """A fold's lines; raises StorageUnavailable where it is damaged."""
        reading = _Reading(fold)
        head = await self._objects.head(fold.place)
        if head is None or head.length is None:
            raise StorageUnavailable(f"the journal's fold of {fold.project} is missing")
        async for piece in self._objects.read(fold.place, 0, head.length, whole=True):
            for line in await asyncio.to_thread(reading.feed, piece):
                yield line
        reading.end()

    async def write(
        self, project: str, end: int, lines: AsyncIterator[JournalLine], since: float
    ) -> int | None:
        """Fold *lines*, which are all of *project* up to *end*; how many are left.

        None, and nothing is written, where that would be as many. What was deleted after *since*
        stays.
        """
        with tempfile.TemporaryFile() as spool, tempfile.TemporaryFile() as folded:
            folding = Fold(since)
            total = 0
            async for batch in _batches(lines):
                total += len(batch)
                try:
                    await asyncio.to_thread(_look, folding, spool, batch)
                except ValueError as error:
                    raise StorageUnavailable(
                        f"{project}'s lines cannot be folded: {error}"
                    ) from error
            bound = folding.bounds()[project]
            count = bound.end - bound.start
            if count >= total:
                return None
            start = encode_heads(end, {project: bound.start})
            size, etag = await asyncio.to_thread(_write, folding, spool, folded, start)
            name = f"folds/{project}/{end:016}-{bound.start}"
            await self._upload(Place(self._names.meta, name), folded, size, etag)
            return count

    async def _upload(self, place: Place, file: IO[bytes], size: int, etag: str) -> None:
        # A fold that is there counts, so one that is not what was written must never be there.
        sink = await self._objects.begin(place, size, etag=etag)
        try:
            while piece := await asyncio.to_thread(file.read, PIECE):
                await sink.send([piece])
        except BaseException:
            sink.abort()
            raise
        await sink.finish()


async def _batches(lines: AsyncIterator[JournalLine]) -> AsyncIterator[list[JournalLine]]:
    batch: list[JournalLine] = []
    size = 0
    async for line in lines:
        batch.append(line)
        size += len(line.content)
        if size >= PIECE:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


class _Reading:
    """Lines out of a fold's pieces; blocks, so it belongs in threads."""

    def __init__(self, fold: FoldObject) -> None:
        self._fold = fold
        self._decompressor = zstandard.ZstdDecompressor().decompressobj()
        self._rest = b""
        self._heads: dict[str, int] | None = None

    def feed(self, piece: bytes) -> list[JournalLine]:
        """The lines that *piece* ends."""
        try:
            *texts, self._rest = (self._rest + self._decompressor.decompress(piece)).split(b"\n")
            return [line for text in texts for line in self._lines(text + b"\n")]
        except (zstandard.ZstdError, ValueError) as error:
            raise self._damaged(str(error)) from error

    def end(self) -> None:
        """Raise StorageUnavailable unless all of it was there."""
        if self._rest or self._heads != {self._fold.project: self._fold.end}:
            raise self._damaged("it is cut short")

    def _lines(self, text: bytes) -> Iterator[JournalLine]:
        if self._heads is None:
            first = decode(text)
            self._heads = decode_heads(first)
            if self._heads != {self._fold.project: self._fold.start}:
                raise ValueError("it is another fold")
        elif (line := advance(self._heads, text)) is not None:
            yield line

    def _damaged(self, why: str) -> StorageUnavailable:
        return StorageUnavailable(f"the journal's fold of {self._fold.project} is damaged: {why}")


def _look(folding: Fold, spool: IO[bytes], lines: Sequence[JournalLine]) -> None:
    for line in lines:
        folding.look(line)
        spool.write(encode(line))


def _write(folding: Fold, spool: IO[bytes], folded: IO[bytes], first: bytes) -> tuple[int, str]:
    """Fold what was spooled; the size in bytes and the MD5, to be read from the beginning."""
    spool.seek(0)
    compressor = zstandard.ZstdCompressor(level=LEVEL, write_checksum=True)
    with compressor.stream_writer(folded, closefd=False) as out:
        out.write(first)
        for line in folding.folded(map(decode, spool)):
            out.write(encode(line))
    size = folded.tell()
    folded.seek(0)
    md5 = hashlib.md5(usedforsecurity=False)
    while piece := folded.read(PIECE):
        md5.update(piece)
    folded.seek(0)
    return size, md5.hexdigest()
