"""The journal in files of lines, appended to by any number of processes.

``journal/<number>.log`` holds ``<project> <sequence> <checksum> <content>`` a line. A file begins
with the heads of all before it (project ``*``, the file's number), so that opening reads the last
one only. Whoever appends holds ``journal/lock``, and first reads what others appended.
"""

import asyncio
import contextlib
import fcntl
import json
import os
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final, TypeVar

import aiofiles

from registry.oci.errors import StorageUnavailable
from registry.storage.durable import make_directory, sync_directory, write_all, write_aside
from registry.storage.faults import unavailable_on
from registry.storage.lines import advance, decode, decode_heads, encode, encode_heads
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
        last, end = await self._alone(self._end)
        heads: dict[str, int] = {}
        for number in range(1, last + 1):
            path = self._file(number)
            with unavailable_on(OSError):
                offset = 0
                stop = end if number == last else path.stat().st_size
                async with aiofiles.open(path, "rb") as file:
                    while offset < stop and (texts := await file.readlines(BATCH)):
                        for text in texts:
                            if offset < stop:  # what comes later was appended meanwhile
                                line = _advance(heads, text, path, offset)
                                offset += len(text)
                                if line is not None:
                                    yield line
            if offset < stop:
                raise StorageUnavailable(f"{path.name} of the journal became shorter")

    async def heads(self) -> Mapping[str, int]:
        return await self._alone(self._durable_heads)

    async def identity(self) -> StoreIdentity | None:
        return await self._alone(self._identity)

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
        if self._number == 0:
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
            path = self._file(last)
            with path.open("rb") as file:
                try:
                    self._heads = decode_heads(decode(file.readline()))
                except ValueError as error:
                    raise _damaged(path, 0, error) from error
            sync_directory(self._directory)
            self._number = last

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
        self._put_aside(self._file(number), first)
        self._number, self._offset = number, len(first)

    def _end(self) -> tuple[int, int]:
        """The last file, and the byte where its whole lines end."""
        with self._locked():
            last = self._last()
            return last, _end_of_lines(self._file(last)) if last else 0

    def _identity(self) -> StoreIdentity | None:
        path = self._meta / "store.json"
        try:
            content = json.loads(path.read_bytes())
            return StoreIdentity(str(content["store"]), int(content["epoch"]))
        except FileNotFoundError:
            return None
        except (ValueError, TypeError, KeyError) as error:
            raise StorageUnavailable(f"{path.name} of the store is damaged") from error

    def _found(self, identity: StoreIdentity) -> None:
        with self._locked():
            present = self._identity()
            if present is None:
                content = {"store": identity.store, "epoch": identity.epoch}
                self._put_aside(self._meta / "store.json", json.dumps(content).encode() + b"\n")
            elif present != identity:
                raise StorageUnavailable(
                    f"the store is {present.store}, epoch {present.epoch}, "
                    f"and not {identity.store}, epoch {identity.epoch}"
                )
            else:
                sync_directory(self._meta)  # who founded it may have died before

    # -- files ----------------------------------------------------------------------------------

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        # Opened anew each time: a lock belongs to an open file, and a forked process shares it.
        fd = os.open(self._directory / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX)
            yield
        finally:
            os.close(fd)

    def _put_aside(self, path: Path, content: bytes) -> None:
        """Make *path*, whole and durable; under the lock."""
        aside = path.with_suffix(".aside")
        aside.unlink(missing_ok=True)
        write_aside(aside, content)
        aside.rename(path)
        sync_directory(path.parent)

    def _last(self) -> int:
        return max((int(path.stem) for path in self._directory.glob("*.log")), default=0)

    def _file(self, number: int) -> Path:
        return self._directory / f"{number:08}.log"


def _advance(heads: dict[str, int], text: bytes, path: Path, offset: int) -> JournalLine | None:
    try:
        return advance(heads, text)
    except ValueError as error:
        raise _damaged(path, offset, error) from error


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
