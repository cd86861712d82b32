"""The journal in files of lines, appended to by any number of processes.

``journal/<number>.log`` holds ``<project> <sequence> <checksum> <content>`` a line. A file begins
with the heads of all before it (project ``*``, the file's number), so that opening reads the last
one only. Whoever appends holds ``journal/lock``, and first reads what others appended. All logs but
the last can be folded into one file that stands for them.
"""

import asyncio
import contextlib
import fcntl
import os
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final, TypeVar

from registry.oci.errors import StorageUnavailable
from registry.storage import journal_folds, store_file
from registry.storage.durable import make_directory, put_aside, sync_directory, write_all
from registry.storage.faults import unavailable_on
from registry.storage.folding import NEVER, Folded
from registry.storage.lines import advance, decode, decode_heads, encode, encode_heads, position_of
from registry.storage.records import JournalLine, Position, StoreIdentity

ROTATE_AT: Final = 64 * 1024 * 1024
"""Bytes after which a new file is begun."""

BATCH: Final = 1024 * 1024
"""Bytes read at a time."""

Answer = TypeVar("Answer")


class FilesystemJournal:
    """Lines in files below *directory*, and beside them what the store says it is."""

    def __init__(self, directory: Path, *, rotate_at: int = ROTATE_AT) -> None:
        self._directory = directory / "journal"
        self._meta = directory / "meta"
        self._rotate_at = rotate_at
        self._heads: dict[str, int] = {}
        self._number = 0
        """The file read last; 0: none."""
        self._offset = 0
        """Bytes of it that were read: whole lines."""
        # One thread, so that this process appends once at a time, and a busy store delays nothing.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="journal")
        with unavailable_on(OSError):
            make_directory(self._directory)
            make_directory(self._meta)

    async def append(self, lines: Sequence[JournalLine]) -> None:
        encoded = [(line.position, encode(line)) for line in lines]
        if encoded:
            await self._alone(lambda: self._append(encoded))

    async def read(self) -> AsyncIterator[JournalLine]:
        with unavailable_on(OSError), journal_folds.held_still(self._directory):
            last, end = await self._alone(self._end)
            lines = self._lines(last, end)
            while True:
                batch, error = await asyncio.to_thread(_some, lines)
                for line in batch:
                    yield line
                if error is not None:
                    raise error
                if not batch:
                    return

    async def contradicted(self, lines: Sequence[JournalLine]) -> set[str]:
        wanted = {line.position: encode(line) for line in lines}
        return await self._alone(lambda: self._contradicted(wanted)) if wanted else set()

    async def folded(self) -> Mapping[str, Folded]:
        return await self._alone(self._folded)

    async def fold(self, *, at_least: int = 0, since: float = NEVER) -> int | None:
        with unavailable_on(OSError):
            return await asyncio.to_thread(self._fold, at_least, since)

    async def heads(self) -> Mapping[str, int]:
        return await self._alone(self._durable_heads)

    async def identity(self) -> StoreIdentity | None:
        return await self._alone(lambda: store_file.read(self._meta))

    async def found(self, identity: StoreIdentity) -> None:
        await self._alone(lambda: self._found(identity))

    async def _alone(self, job: Callable[[], Answer]) -> Answer:
        with unavailable_on(OSError):
            return await asyncio.get_running_loop().run_in_executor(self._thread, job)

    # -- in the thread --------------------------------------------------------------------------

    def _append(self, lines: Sequence[tuple[Position, bytes]]) -> None:
        with self._locked():
            self._catch_up()
            heads = dict(self._heads)
            fresh = []
            for position, text in lines:
                head = heads.get(position.project, 0)
                if position.sequence > head + 1:
                    raise StorageUnavailable(
                        f"the journal ends at line {head} of {position.project}, "
                        f"and line {position.sequence} was to follow"
                    )
                if position.sequence == head + 1:
                    heads[position.project] = position.sequence
                    fresh.append(text)
            if self._number == 0 or (fresh and self._offset >= self._rotate_at):
                self._rotate()
            # Also where all was there: who wrote it may have died before it was durable.
            self._write(fresh)
            self._heads = heads

    def _contradicted(self, wanted: dict[Position, bytes]) -> set[str]:
        """Looks from the newest log back: lines that are still pending are mostly in the last."""
        with self._locked():
            self._catch_up()
            heads = self._heads
            missing = {each for each in wanted if each.sequence <= heads.get(each.project, 0)}
            found = set()
            for path in sorted(self._directory.glob("*.log"), reverse=True):
                if not missing:
                    break
                with path.open("rb") as file:
                    for text in file:
                        place = position_of(text)
                        if place in missing:
                            missing.remove(place)
                            if text != wanted[place]:
                                found.add(place.project)
            return found

    def _durable_heads(self) -> Mapping[str, int]:
        with self._locked():
            if self._catch_up():
                self._write(())
            return dict(self._heads)

    def _write(self, fresh: Sequence[bytes]) -> None:
        """Append *fresh*, and make all of the file durable."""
        fd = os.open(self._file(self._number), os.O_RDWR)
        try:
            if os.fstat(fd).st_size > self._offset:
                os.ftruncate(fd, self._offset)  # a torn line, never acknowledged
            try:
                end = write_all(fd, fresh, self._offset)
                os.fsync(fd)
            except OSError:
                # What the kernel may have lost must not be read back and taken for durable.
                os.ftruncate(fd, self._offset)
                raise
        finally:
            os.close(fd)
        self._offset = end

    def _catch_up(self) -> bool:
        """Read what was appended since the last time; whether there was anything."""
        before = self._number, self._offset
        if self._number == 0 or not self._file(self._number).exists():  # another folded it away
            self._open_last()
        while self._number:
            self._scan(self._file(self._number))
            if not self._file(self._number + 1).exists():
                break
            self._number, self._offset = self._number + 1, 0
            sync_directory(self._directory)  # who made it may have died before
        return before != (self._number, self._offset)

    def _open_last(self) -> None:
        last = self._last()
        if last:
            self._heads = self._heads_before(last)
            sync_directory(self._directory)
            self._number, self._offset = last, 0

    def _heads_before(self, number: int) -> dict[str, int]:
        """What log *number* begins with."""
        path = self._file(number)
        with path.open("rb") as file:
            try:
                return decode_heads(decode(file.readline()))
            except ValueError as error:
                raise _damaged(path, 0, error) from error

    def _scan(self, path: Path) -> None:
        with path.open("rb") as file:
            if os.fstat(file.fileno()).st_size < self._offset:
                raise StorageUnavailable(f"{path.name} of the journal became shorter")
            file.seek(self._offset)
            for text in file:
                if text.endswith(b"\n"):  # else torn: the next append takes its place
                    _advance(self._heads, text, path, self._offset)
                    self._offset += len(text)

    def _rotate(self) -> None:
        if self._number:
            self._write(())  # a torn line is mended in the last file only
        number = self._number + 1
        first = encode_heads(number, self._heads)
        put_aside(self._file(number), first)
        self._number, self._offset = number, len(first)

    def _lines(self, last: int, end: int) -> Iterator[JournalLine]:
        """All lines, those of log *last* up to its byte *end*; of no log: the fold's alone."""
        first = journal_folds.beginning(self._directory)
        heads: dict[str, int] = {}
        for line in first.lines():
            heads[line.position.project] = line.position.sequence
            yield line
        for number in range(first.number + 1, last + 1):
            path = self._file(number)
            stop = end if number == last else path.stat().st_size
            offset = 0
            with path.open("rb") as file:
                while offset < stop and (text := file.readline()):
                    following = _advance(heads, text, path, offset)
                    offset += len(text)
                    if following is not None:
                        yield following
            if offset < stop:
                raise StorageUnavailable(f"{path.name} of the journal became shorter")

    def _folded(self) -> Mapping[str, Folded]:
        first = journal_folds.beginning(self._directory)
        if first.path is None:
            return {}
        return journal_folds.bounds(first.starts(), self._heads_before(first.number + 1))

    def _fold(self, at_least: int, since: float) -> int | None:
        last = self._last() - 1  # the last one is still written to
        logs = [path for path in self._directory.glob("*.log") if int(path.stem) <= last]
        first = journal_folds.beginning(self._directory)
        fresh = [path for path in logs if int(path.stem) > first.number]
        if not fresh or sum(path.stat().st_size for path in fresh) < at_least:
            return None
        end = self._file(last).stat().st_size
        old = [*logs, *([] if first.path is None else [first.path])]
        return journal_folds.fold(self._directory, last, lambda: self._lines(last, end), old, since)

    def _end(self) -> tuple[int, int]:
        with held_end(self._directory) as end:
            return end

    def _found(self, identity: StoreIdentity) -> None:
        with self._locked():
            store_file.found(self._meta, identity)

    # -- files ----------------------------------------------------------------------------------

    def _locked(self) -> contextlib.AbstractContextManager[None]:
        return _locked(self._directory)

    def _last(self) -> int:
        return _last(self._directory)

    def _file(self, number: int) -> Path:
        return _file(self._directory, number)


@contextlib.contextmanager
def held_end(directory: Path) -> Iterator[tuple[int, int]]:
    """The last file, and the byte where its whole lines end; none is appended meanwhile."""
    with _locked(directory):
        last = _last(directory)
        yield last, _end_of_lines(_file(directory, last)) if last else 0


@contextlib.contextmanager
def _locked(directory: Path) -> Iterator[None]:
    # Opened anew each time: a lock belongs to an open file, and a forked process shares it.
    fd = os.open(directory / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)


def _last(directory: Path) -> int:
    return max((int(path.stem) for path in directory.glob("*.log")), default=0)


def _file(directory: Path, number: int) -> Path:
    return directory / f"{number:08}.log"


def _advance(heads: dict[str, int], text: bytes, path: Path, offset: int) -> JournalLine | None:
    try:
        return advance(heads, text)
    except ValueError as error:
        raise _damaged(path, offset, error) from error


def _some(
    lines: Iterator[JournalLine],
) -> tuple[list[JournalLine], StorageUnavailable | OSError | None]:
    """The next BATCH bytes of *lines*, or a little more; and what ended them too early."""
    batch: list[JournalLine] = []
    size = 0
    try:
        for line in lines:
            batch.append(line)
            size += len(line.content)
            if size >= BATCH:
                break
    except (StorageUnavailable, OSError) as error:
        return batch, error
    return batch, None


def _damaged(path: Path, offset: int, error: ValueError) -> StorageUnavailable:
    with path.open("rb") as file:
        line = file.read(offset).count(b"\n") + 1
    return StorageUnavailable(f"line {line} of {path.name} of the journal is damaged: {error}")


def _end_of_lines(path: Path) -> int:
    with path.open("rb") as file:
        stop = file.seek(0, os.SEEK_END)
        while stop:
            start = max(0, stop - BATCH)
            file.seek(start)
            end = file.read(stop - start).rfind(b"\n")
            if end >= 0:
                return start + end + 1
            stop = start
    return 0
