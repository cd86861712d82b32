"""The agent's memory: SQLite, one writer; a row says what is intended, a row what is done."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import UnionType
from typing import Any, Final, TypeVar, get_args, get_type_hints

from hostagent import records
from hostagent.errors import DiskFailed, NotHere
from hostagent.records import Row
from hostbase.database import Database

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
        with _told():
            self._database = Database(path)
            self._database.migrate(MIGRATIONS)

    def close(self) -> None:
        """Let go of the file."""
        self._database.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """What is put in here is there as a whole, or not at all. May be nested."""
        with _told(), self._database.transaction():
            yield

    def put(self, *rows: Row) -> None:
        """Write rows, each in its former self's place."""
        with self.transaction():
            for row in rows:
                fields = _READERS[type(row)]
                marks = ", ".join("?" * len(fields))
                fresh = ", ".join(f'"{name}" = excluded."{name}"' for name in fields)
                self._database.execute(
                    f"INSERT INTO {_TABLES[type(row)]} ({_COLUMNS[type(row)]})"  # noqa: S608 - our own names
                    f" VALUES ({marks}) ON CONFLICT DO UPDATE SET {fresh}",
                    [getattr(row, name) for name in fields],
                )

    def rows(self, kind: type[R], **where: object) -> list[R]:
        """The rows of a kind whose fields are as said, in the order in which they came."""
        condition = " AND ".join(f'"{name}" = ?' for name in where) or "1"
        with _told():
            found = self._database.query(
                f"SELECT {_COLUMNS[kind]} FROM {_TABLES[kind]} WHERE {condition} ORDER BY rowid",  # noqa: S608 - our own names
                list(where.values()),
            )
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
        found = self._database.query("SELECT value FROM meta WHERE name = ?", (name,))
        return str(found[0][0]) if found else None

    def put_meta(self, name: str, value: str) -> None:
        """Write a single value."""
        with self.transaction():
            self._database.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (name, value))


@contextmanager
def _told() -> Iterator[None]:
    """Raise DiskFailed where SQLite gets nothing from the disk, or onto it."""
    try:
        yield
    except sqlite3.OperationalError as error:
        raise DiskFailed(error) from error


def _load(kind: type[R], row: tuple[Any, ...]) -> R:
    readers = _READERS[kind]
    return kind(
        **{
            name: value if read is None or value is None else read(value)
            for (name, read), value in zip(readers.items(), row, strict=True)
        }
    )


def _reader(hint: Any) -> Any:
    if isinstance(hint, UnionType):
        return _reader(next(each for each in get_args(hint) if each is not type(None)))
    return None if hint in {str, int, float} else hint


_READERS: Final[dict[type, dict[str, Any]]] = {
    kind: {name: _reader(hint) for name, hint in get_type_hints(kind).items()} for kind in _TABLES
}
"""How each field is read: SQLite knows neither truths nor our own words, but all else."""
_COLUMNS: Final = {kind: ", ".join(f'"{name}"' for name in _READERS[kind]) for kind in _TABLES}
