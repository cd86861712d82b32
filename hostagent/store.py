"""The agent's memory: SQLite, one writer; a row says what is intended, a row what is done."""

import dataclasses
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import UnionType
from typing import Any, Final, TypeVar, get_args, get_type_hints

from hostagent import records
from hostagent.errors import NotHere
from hostagent.records import Row

R = TypeVar("R", bound=Row)

_TABLES: Final[dict[type, str]] = {
    records.SetRow: "sets",
    records.ContainerRow: "containers",
    records.Attempt: "attempts",
    records.OperationRow: "operations",
    records.Trouble: "troubles",
    records.GoneRow: "gone",
}

MIGRATIONS: Final = (
    """
    CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL);
    CREATE TABLE sets (
        "set" TEXT PRIMARY KEY, generation INT NOT NULL, level TEXT NOT NULL,
        document TEXT NOT NULL, prepared TEXT, network TEXT, volumes TEXT, tombstone INT,
        purge INT NOT NULL, held TEXT);
    CREATE TABLE containers (
        "set" TEXT NOT NULL, name TEXT NOT NULL, current TEXT, next TEXT, good TEXT,
        failed_generation INT, failed_reason TEXT, failed_digest TEXT, was_ready INT NOT NULL,
        crashes INT NOT NULL, attempts INT NOT NULL, PRIMARY KEY ("set", name));
    CREATE TABLE attempts (
        id TEXT PRIMARY KEY, "set" TEXT NOT NULL, container TEXT NOT NULL,
        generation INT NOT NULL, disk TEXT NOT NULL, digest TEXT NOT NULL, recipe TEXT NOT NULL,
        spec TEXT NOT NULL, image TEXT NOT NULL, limits TEXT NOT NULL, boot TEXT NOT NULL,
        state TEXT NOT NULL, init_pid INT, init_began INT, monitor_pid INT, monitor_began INT,
        started_at REAL, ready_at REAL, stopping_at REAL, signalled INT NOT NULL,
        ended_at REAL, started TEXT, ended TEXT,
        exit_code INT, exit_known INT NOT NULL, oom INT NOT NULL);
    CREATE INDEX attempts_by_set ON attempts ("set");
    CREATE TABLE operations (
        id TEXT PRIMARY KEY, "set" TEXT NOT NULL, kind TEXT NOT NULL, args TEXT NOT NULL,
        state TEXT NOT NULL, reason TEXT, targets TEXT, started TEXT, ended TEXT);
    CREATE INDEX operations_by_set ON operations ("set");
    CREATE TABLE troubles (
        "set" TEXT NOT NULL, step TEXT NOT NULL, text TEXT NOT NULL, count INT NOT NULL,
        retry_at REAL NOT NULL, PRIMARY KEY ("set", step));
    CREATE TABLE gone (
        "set" TEXT PRIMARY KEY, generation INT NOT NULL, kept_volumes TEXT NOT NULL);
    """,
)
"""Each is applied once, in this order, with containers running."""


class Store:
    """All rows, by the dataclasses of ``hostagent.records``."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not path.exists():
            path.touch(mode=0o600)
        self._lock = threading.RLock()
        self._depth = 0
        self._database = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self._database.row_factory = sqlite3.Row
        self._database.execute("PRAGMA journal_mode = WAL")
        self._database.execute("PRAGMA synchronous = FULL")
        self._migrate()

    def close(self) -> None:
        """Let go of the file."""
        self._database.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """What is put in here is there as a whole, or not at all. May be nested."""
        with self._lock:
            self._depth += 1
            try:
                if self._depth == 1:
                    self._database.execute("BEGIN IMMEDIATE")
                yield
                if self._depth == 1:
                    self._database.execute("COMMIT")
            except BaseException:
                if self._depth == 1 and self._database.in_transaction:
                    self._database.execute("ROLLBACK")
                raise
            finally:
                self._depth -= 1

    def put(self, *rows: Row) -> None:
        """Write rows, each in its former self's place."""
        with self.transaction():
            for row in rows:
                fields = [field.name for field in dataclasses.fields(row)]
                names = ", ".join(f'"{name}"' for name in fields)
                marks = ", ".join("?" * len(fields))
                self._database.execute(
                    f"INSERT OR REPLACE INTO {_TABLES[type(row)]} ({names}) VALUES ({marks})",  # noqa: S608 - our own names
                    [getattr(row, name) for name in fields],
                )

    def rows(self, kind: type[R], **where: object) -> list[R]:
        """The rows of a kind whose fields are as said, in the order in which they came."""
        with self._lock:
            condition = " AND ".join(f'"{name}" = ?' for name in where) or "1"
            found = self._database.execute(
                f"SELECT * FROM {_TABLES[kind]} WHERE {condition} ORDER BY rowid",  # noqa: S608 - our own names
                list(where.values()),
            ).fetchall()
        return [_load(kind, row) for row in found]

    def find(self, kind: type[R], **where: object) -> R:
        """The one row whose fields are as said; raise NotHere where there is none."""
        found = self.rows(kind, **where)
        if not found:
            raise NotHere(f"this host has no such {kind.__name__.removesuffix('Row').lower()}")
        return found[0]

    def remove(self, kind: type[Row], **where: object) -> None:
        """Remove the rows whose fields are as said."""
        condition = " AND ".join(f'"{name}" = ?' for name in where)
        with self.transaction():
            self._database.execute(
                f"DELETE FROM {_TABLES[kind]} WHERE {condition}",  # noqa: S608 - our own names
                list(where.values()),
            )

    def meta(self, name: str) -> str | None:
        """A single value."""
        with self._lock:
            found = self._database.execute(
                "SELECT value FROM meta WHERE name = ?", (name,)
            ).fetchone()
        return None if found is None else str(found[0])

    def put_meta(self, name: str, value: str) -> None:
        """Write a single value."""
        with self.transaction():
            self._database.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (name, value))

    def _migrate(self) -> None:
        with self._lock:
            version = self._database.execute("PRAGMA user_version").fetchone()[0]
            for number, script in enumerate(MIGRATIONS[version:], version + 1):
                self._database.executescript(
                    f"BEGIN IMMEDIATE; {script}; PRAGMA user_version = {number}; COMMIT;"
                )


def _load(kind: type[R], row: sqlite3.Row) -> R:
    return kind(**{name: read(row[name]) for name, read in _readers(kind).items()})


_known: dict[type, dict[str, Any]] = {}


def _readers(kind: type) -> dict[str, Any]:
    """How each field is read: SQLite knows neither truths nor our own words."""
    if kind not in _known:
        _known[kind] = {name: _reader(hint) for name, hint in get_type_hints(kind).items()}
    return _known[kind]


def _reader(hint: Any) -> Any:
    if isinstance(hint, UnionType):
        read = _reader(next(each for each in get_args(hint) if each is not type(None)))
        return lambda value: None if value is None else read(value)
    return hint
