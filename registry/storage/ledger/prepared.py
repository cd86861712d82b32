"""Statements built and compiled once for each database, and carried out as the driver's own text.

To build and compile one anew costs some hundred microseconds, several times what it then takes. On
SQLite the driver itself carries it out: SQLAlchemy's own way there takes longer than the statement.
"""

import sqlite3
from collections import namedtuple
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, TypeVar, cast

from sqlalchemy import (
    BindParameter,
    ClauseElement,
    Column,
    Connection,
    Table,
    bindparam,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Dialect
from sqlalchemy.exc import MultipleResultsFound, NoResultFound
from sqlalchemy.sql.crud import REQUIRED

CHUNK = 512
"""Values in one statement at most: databases bound them."""

Item = TypeVar("Item")
_row_type: Callable[..., Any] = namedtuple  # noqa: PYI024 - its fields are known when a query is
Values = Mapping[str, object]


def chunks(items: Iterable[Item]) -> Iterable[list[Item]]:
    """*items* in lists of CHUNK at most."""
    iterator = iter(items)
    while chunk := list(islice(iterator, CHUNK)):
        yield chunk


@dataclass(frozen=True, slots=True)
class Rows:
    """What a statement answered: its rows, whose columns are attributes."""

    found: Sequence[Any]
    rowcount: int
    """Rows that it changed; -1 where that is not known."""

    def __iter__(self) -> Iterator[Any]:
        return iter(self.found)

    def all(self) -> Sequence[Any]:
        """Every row."""
        return self.found

    def one_or_none(self) -> Any:
        """The only row, None if there is none; raises MultipleResultsFound."""
        if len(self.found) > 1:
            raise MultipleResultsFound
        return self.found[0] if self.found else None

    def scalar(self) -> Any:
        """The first column of the first row; None without one."""
        return self.found[0][0] if self.found else None

    def scalar_one(self) -> Any:
        """The first column of the only row; raises NoResultFound or MultipleResultsFound."""
        row = self.one_or_none()
        if row is None:
            raise NoResultFound
        return row[0]


class Prepared:
    """A statement whose values come by name; whatever else it holds is a constant of it."""

    def __init__(
        self, build: Callable[[Dialect], ClauseElement], columns: Sequence[str] | None = None
    ) -> None:
        """*build* is asked once for each kind of database; *columns*: those an INSERT sets."""
        self._build = build
        self._columns = columns
        self._compiled: dict[str, _Compiled] = {}

    def text(self, dialect: Dialect, values: Values) -> tuple[str, Any]:
        """The statement, and its values as the driver takes them."""
        compiled = self._for(dialect)
        return compiled.sql, compiled.lay_out(values)

    def __call__(self, connection: Connection, **values: object) -> Rows:
        """Carry it out."""
        compiled = self._for(connection.dialect)
        laid_out = compiled.lay_out(values)
        if connection.dialect.name == "sqlite":
            cursor = sqlite_driver(connection).execute(compiled.sql, laid_out)
            return Rows(compiled.shape(cursor), cursor.rowcount)
        result = connection.exec_driver_sql(compiled.sql, laid_out)
        return Rows(result.all() if result.returns_rows else (), result.rowcount)

    def many(self, connection: Connection, rows: Sequence[Values]) -> None:
        """Carry it out for each of *rows*, of which there may be none."""
        if not rows:
            return
        compiled = self._for(connection.dialect)
        laid_out = [compiled.lay_out(row) for row in rows]
        if connection.dialect.name == "sqlite":
            sqlite_driver(connection).executemany(compiled.sql, laid_out)
        else:
            connection.exec_driver_sql(compiled.sql, laid_out)

    def _for(self, dialect: Dialect) -> "_Compiled":
        found = self._compiled.get(dialect.name)
        if found is None:
            found = _Compiled(self._build(dialect), dialect, self._columns)
            self._compiled[dialect.name] = found
        return found


class PreparedList:
    """A statement on a list of values: compiled for 1, 2, 4, … of them, the last one repeated."""

    def __init__(self, build: Callable[[list[BindParameter[str]]], ClauseElement]) -> None:
        self._build = build
        self._sizes: dict[int, Prepared] = {}

    def __call__(self, connection: Connection, items: Sequence[str], **values: object) -> list[Any]:
        """Carry it out for *items*, a part at a time; the rows of all parts."""
        rows: list[Any] = []
        for part in chunks(items):
            size = 1 << (len(part) - 1).bit_length()
            padded = [*part, *part[-1:] * (size - len(part))]
            named = {f"each_{place}": item for place, item in enumerate(padded)}
            rows += self._of(size)(connection, **named, **values)
        return rows

    def _of(self, size: int) -> Prepared:
        found = self._sizes.get(size)
        if found is None:
            each: list[BindParameter[str]] = [bindparam(f"each_{n}") for n in range(size)]
            found = self._sizes[size] = Prepared(lambda _: self._build(each))
        return found


class _Compiled:
    def __init__(
        self, statement: ClauseElement, dialect: Dialect, columns: Sequence[str] | None
    ) -> None:
        compiled: Any = statement.compile(dialect=dialect, column_keys=columns)
        self.sql = str(compiled)
        self._constants = {
            key: each
            for key, each in compiled.params.items()
            if each is not None and each is not REQUIRED  # else a value forgotten would be bound
        }
        self._order: list[str] | None = getattr(compiled, "positiontup", None)
        self._row: Callable[[Iterable[Any]], Any] | None = None

    def lay_out(self, named: Values) -> Any:
        """In places, or by name."""
        values = {**self._constants, **named}
        return values if self._order is None else tuple(values[name] for name in self._order)

    def shape(self, cursor: sqlite3.Cursor) -> Sequence[Any]:
        """All rows of *cursor*, which ends the statement; their columns by name."""
        if cursor.description is None:
            return ()
        rows = cursor.fetchall()
        if rows and self._row is None:
            names = [column[0] for column in cursor.description]
            self._row = _row_type("Row", names, rename=True)._make
        return [self._row(row) for row in rows] if self._row is not None else rows


def sqlite_driver(connection: Connection) -> sqlite3.Connection:
    """The driver's own connection below one to SQLite."""
    raw = connection.connection.driver_connection
    assert isinstance(raw, sqlite3.Connection)
    return raw


def upsert(table: Table, *taken: str, without: Sequence[str] = ()) -> Prepared:
    """INSERT a row; where one is there already, take over the columns *taken*, or leave it.

    *without* are columns that the database fills in.
    """

    def build(dialect: Dialect) -> ClauseElement:
        statement = insert_into(dialect, table)
        if not taken:
            return statement.on_conflict_do_nothing()
        keys = [column.name for column in table.primary_key]
        values = {name: statement.excluded[name] for name in taken}
        return statement.on_conflict_do_update(index_elements=keys, set_=values)

    return Prepared(build, columns_of(table, without))


def columns_of(table: Table, without: Sequence[str] = ()) -> list[str]:
    """The names of a table's columns."""
    columns: Iterable[Column[Any]] = table.columns
    return [column.name for column in columns if column.name not in without]


def insert_into(dialect: Dialect, table: Table) -> sqlite.Insert:
    """An INSERT that knows ON CONFLICT: two classes that are spelt alike, so one name for both."""
    if dialect.name == "postgresql":
        return cast("sqlite.Insert", postgresql.insert(table))
    return sqlite.insert(table)
