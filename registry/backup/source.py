"""The store that is copied: names and lines of one moment, held while servers go on."""

import contextlib
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from registry.backup.faults import BackupFailed
from registry.oci.errors import RegistryError
from registry.storage import journal_folds
from registry.storage.journal_file import held_end

PAGES = 4096
"""Of the ledger, copied at a time."""


@dataclass(frozen=True, slots=True)
class JournalFile:
    """A file of the journal, as far as its lines were whole."""

    path: Path
    size: int
    grows: bool
    """Whether lines are still appended to it."""


@dataclass(frozen=True, slots=True)
class Moment:
    """What a store said at one moment: a ledger, and the lines that it had flushed by then."""

    files: tuple[JournalFile, ...]
    _ledger: sqlite3.Connection

    def copy_ledger(self, target: Path, progress: Callable[[int, int], None]) -> None:
        """Write the ledger of that moment to *target*, without what no copy can go on with.

        That are unfinished uploads, whose bytes are not copied, and who does what job just now.
        *progress* gets pages done and in all.
        """
        with contextlib.closing(sqlite3.connect(target, isolation_level=None)) as copy:
            self._ledger.backup(
                copy, pages=PAGES, progress=lambda _, left, total: progress(total - left, total)
            )
            copy.execute("PRAGMA journal_mode=DELETE").fetchall()
            copy.execute("DELETE FROM upload WHERE finished IS NULL")
            copy.execute("DELETE FROM job")


@contextlib.contextmanager
def held(directory: Path, ledger: Path) -> Iterator[Moment]:
    """The moment when this is entered; servers go on, and no line is folded away meanwhile.

    Raises BackupFailed where nothing is there, or the journal is being folded.
    """
    journal = directory / "journal"
    if not ledger.is_file() or not journal.is_dir():
        raise BackupFailed(f"there is no store in {directory}: name it with storage.directory")
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(journal_folds.held_still(journal))
        except RegistryError as error:
            raise BackupFailed("the journal is being folded just now; try again") from error
        connection = sqlite3.connect(ledger, isolation_level=None, timeout=30)
        stack.enter_context(contextlib.closing(connection))
        # No line can come into the journal meanwhile, so none can leave the ledger for it: what
        # the ledger has beyond the journal is still pending in it.
        with held_end(journal) as (last, end):
            connection.execute("BEGIN")
            connection.execute("SELECT count(*) FROM store").fetchall()
        yield Moment(tuple(_files(journal, last, end)), connection)


def _files(journal: Path, last: int, end: int) -> Iterator[JournalFile]:
    first = journal_folds.beginning(journal)
    if first.path is not None:
        yield JournalFile(first.path, first.path.stat().st_size, grows=False)
    for number in range(first.number + 1, last + 1):
        path = journal / f"{number:08}.log"
        grows = number == last
        yield JournalFile(path, end if grows else path.stat().st_size, grows)


def copy_start(source: Path, target: Path, size: int) -> None:
    """Make *target* of the first *size* bytes of *source*."""
    with source.open("rb") as old, target.open("wb") as new:
        left = size
        while left:
            piece = old.read(min(left, shutil.COPY_BUFSIZE))  # type: ignore[attr-defined]
            if not piece:
                raise BackupFailed(f"{source} became shorter while it was copied")
            new.write(piece)
            left -= len(piece)
