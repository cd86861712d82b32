"""Rows of the outbox, made by the transactions that change records; none where none are sent."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from sqlalchemy import (
    BindParameter,
    ClauseElement,
    ColumnElement,
    Connection,
    bindparam,
    case,
    literal,
    select,
)
from sqlalchemy.engine import Dialect

from registry.storage.ledger.prepared import Prepared, PreparedList, insert_into
from registry.storage.ledger.schema import outbox, record

CLOCK: Final = "outbox_clock"
"""The option of a connection whose changes of records are to be sent: what tells the time."""

Clock = Callable[[Connection], float]

_SINCE: BindParameter[Any] = bindparam("since")
_PROJECT: BindParameter[Any] = bindparam("project")


def _insert(dialect: Dialect, which: ColumnElement[bool], *, gone: bool) -> ClauseElement:
    values: Mapping[str, ColumnElement[Any]] = {
        "record_id": record.c.id,
        "project_id": record.c.project_id,
        "kind": record.c.kind,
        "parent_id": record.c.parent_id,
        "version": literal(1),
        "since": _SINCE,
        "gone": literal(gone),
        "begun": literal(value=False),
        "attempts": literal(0),
        "parked": literal(value=False),
        "reason": literal(""),
        "lease": literal(""),
        "due_at": literal(0.0),
    }
    rows = select(*values.values()).where(which).order_by(record.c.created_at, record.c.id)
    statement = insert_into(dialect, outbox).from_select(list(values), rows)
    return statement.on_conflict_do_update(
        index_elements=["record_id"],
        set_={
            "version": outbox.c.version + literal(1),
            "gone": statement.excluded.gone,
            "parent_id": statement.excluded.parent_id,
            "attempts": literal(0),
            "parked": literal(value=False),
            "reason": literal(""),
            "due_at": case((outbox.c.lease == literal(""), literal(0.0)), else_=outbox.c.due_at),
        },
    )


_ONE = record.c.id == bindparam("marked")
_MARK = Prepared(lambda dialect: _insert(dialect, _ONE, gone=False))
_BURY = Prepared(lambda dialect: _insert(dialect, _ONE, gone=True))
_MARK_ALL = Prepared(lambda dialect: _insert(dialect, record.c.id != literal(""), gone=False))
_BURY_ALL = Prepared(lambda dialect: _insert(dialect, record.c.project_id == _PROJECT, gone=True))
_KEYED = PreparedList(
    lambda keys: select(record.c.id).where(record.c.project_id == _PROJECT, record.c.key.in_(keys))
)


def mark(connection: Connection, records: Sequence[str]) -> None:
    """These changed."""
    clock = _clock(connection)
    if clock is not None and records:
        since = clock(connection)
        _MARK.many(connection, [{"marked": each, "since": since} for each in records])


def mark_keyed(connection: Connection, project: str, keys: Sequence[str]) -> None:
    """These were named anew, though they are as they were: perhaps they are missing out there."""
    if _clock(connection) is not None:
        mark(connection, [row.id for row in _KEYED(connection, keys, project=project)])


def mark_all(connection: Connection, since: float) -> int:
    """Every record; how many there are."""
    return _MARK_ALL(connection, since=since).rowcount


def bury(connection: Connection, ended: str) -> None:
    """A record is about to end. Its id is never drawn again, so nothing brings the row to life."""
    clock = _clock(connection)
    if clock is not None:
        _BURY(connection, marked=ended, since=clock(connection))


def bury_all(connection: Connection, project: str) -> None:
    """All records of a project are about to go; a replay brings back those that did not end."""
    clock = _clock(connection)
    if clock is not None:
        _BURY_ALL(connection, project=project, since=clock(connection))


def _clock(connection: Connection) -> Clock | None:
    found: Clock | None = connection.get_execution_options().get(CLOCK)
    return found
