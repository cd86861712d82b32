"""One SQLite file: one writer whose transactions share their commits, and readers beside it.

A commit waits for the disk; so while one is under way, others gather, and the next takes all of
them. Nobody goes on before his own is on the disk. Readers see what was committed, and wait for
nobody.
"""

import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any


class _Batch:
    """Transactions that are committed together."""

    is_over = False
    error: BaseException | None = None


class Database:
    """Made where it is not there, for its owner alone."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not path.exists():
            path.touch(mode=0o600)
        self._path = path
        self._writing = threading.Lock()
        self._committing = threading.Lock()
        self._batch: _Batch | None = None
        self._writer = self._connect()
        self._writer.execute("PRAGMA journal_mode = WAL")
        self._writer.execute("PRAGMA synchronous = FULL")
        self._owner: int | None = None
        """The thread that is in a transaction."""
        self._mine: _Batch | None = None
        """What its changes are committed with; None before the first."""
        self._idle: list[sqlite3.Connection] = []
        """Readers that nobody is reading with."""

    def close(self) -> None:
        """Let go of the file."""
        for each in (*self._idle, self._writer):
            each.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """What is executed in here is there as a whole, or not at all. May be nested.

        Where this returns, it is on the disk; where nothing was changed, nobody waits for that.
        """
        if self._owner == threading.get_ident():
            yield
            return
        with self._writing:
            self._owner = threading.get_ident()
            failed: BaseException | None = None
            try:
                yield
                if self._mine is not None:
                    self._writer.execute("RELEASE mine")
            except BaseException as error:  # noqa: BLE001 - raised below, when others' rows are safe
                failed = error
                if self._mine is not None:
                    self._undo(self._mine, error)
            finally:
                batch, self._mine, self._owner = self._mine, None, None
        if failed is None:
            self._commit(batch)
            return
        with suppress(sqlite3.Error):
            self._commit(batch)
        raise failed

    def execute(self, statement: str, values: Sequence[object] = ()) -> None:
        """Change something, in a transaction."""
        with self.transaction():
            if self._mine is None:
                self._mine = self._begin()
            self._writer.execute(statement, values)

    def query(self, question: str, values: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        """Rows as they were committed; in a transaction of one's own, as it has made them."""
        if self._owner == threading.get_ident():
            return self._writer.execute(question, values).fetchall()
        try:
            reader = self._idle.pop()
        except IndexError:
            reader = self._connect()
        try:
            return reader.execute(question, values).fetchall()
        finally:
            self._idle.append(reader)

    def migrate(self, scripts: Sequence[str]) -> None:
        """Apply those of *scripts* that were not; each once, in their order, as a whole."""
        with self._writing:
            version = self._writer.execute("PRAGMA user_version").fetchone()[0]
            for number, script in enumerate(scripts[version:], version + 1):
                self._writer.executescript(
                    f"BEGIN IMMEDIATE; {script}; PRAGMA user_version = {number}; COMMIT;"
                )

    def _connect(self) -> sqlite3.Connection:
        return sqlite3.connect(self._path, check_same_thread=False, isolation_level=None)

    def _begin(self) -> _Batch:
        if self._batch is None:
            self._writer.execute("BEGIN IMMEDIATE")
            self._batch = _Batch()
        self._writer.execute("SAVEPOINT mine")
        return self._batch

    def _undo(self, batch: _Batch, error: BaseException) -> None:
        """Take back one transaction of a batch; all, where the disk has made SQLite do that."""
        if self._writer.in_transaction:
            self._writer.execute("ROLLBACK TO mine")
            self._writer.execute("RELEASE mine")
        else:
            self._batch, batch.is_over, batch.error = None, True, error

    def _commit(self, batch: _Batch | None) -> None:
        """Whoever comes first commits for all that have come; the others find it done."""
        if batch is None:
            return
        with self._committing:
            if not batch.is_over:
                with self._writing:
                    self._batch, batch.is_over = None, True
                    try:
                        self._writer.execute("COMMIT")
                    except sqlite3.Error as error:
                        batch.error = error
                        if self._writer.in_transaction:
                            self._writer.execute("ROLLBACK")
        if batch.error is not None:
            raise batch.error
