"""Lines of the journal, drawn project by project under its lock, that wait to be flushed."""

from collections.abc import Mapping

from sqlalchemy import ClauseElement, Connection, bindparam, delete, func, literal, select
from sqlalchemy.engine import Dialect

from registry.oci.errors import StorageUnavailable
from registry.storage.changes import Change, to_line
from registry.storage.ledger.prepared import Prepared, columns_of, insert_into
from registry.storage.ledger.schema import journal, project, store
from registry.storage.records import JournalLine, Position

LINES = 1000
"""Pending lines in one answer."""


def _draw(dialect: Dialect) -> ClauseElement:
    """Nobody draws while the ledger is half rebuilt: the line would take another's place."""
    first = select(bindparam("id", type_=project.c.id.type), literal(1)).where(
        ~select(store.c.one).where(~store.c.whole).exists()
    )
    statement = insert_into(dialect, project).from_select(["id", "sequence"], first)
    raised = {"sequence": project.c.sequence + literal(1)}
    return statement.on_conflict_do_update(index_elements=["id"], set_=raised).returning(
        project.c.sequence
    )


def _hold(dialect: Dialect) -> ClauseElement:
    statement = insert_into(dialect, project)
    same = {"sequence": project.c.sequence}
    return statement.on_conflict_do_update(index_elements=["id"], set_=same)


_DRAW = Prepared(_draw)
_HOLD = Prepared(_hold, columns_of(project, ["limits"]))
_ADD_LINE = Prepared(lambda dialect: insert_into(dialect, journal), columns_of(journal))
_ENDS = Prepared(
    lambda _: (
        select(journal.c.project_id, func.max(journal.c.sequence).label("last"))
        .group_by(journal.c.project_id)
        .order_by(journal.c.project_id)
    )
)
_LINES = Prepared(
    lambda _: (
        select(journal.c.sequence, journal.c.content)
        .where(journal.c.project_id == bindparam("name"))
        .where(journal.c.sequence > bindparam("reached"))
        .order_by(journal.c.sequence)
        .limit(bindparam("room"))
    )
)


def ensure_project(connection: Connection, name: str) -> None:
    """The project's row, made if there is none; it stays as it is until the transaction ends."""
    _HOLD(connection, id=name, sequence=0)


def lock_project(connection: Connection, name: str) -> None:
    """Take the project's row, so that its changes of names come one after the other.

    A change is computed from what is there, and its line must stand where it took effect. SQLite's
    writers are alone anyway.
    """
    if connection.dialect.name == "postgresql":
        ensure_project(connection, name)


def write_line(connection: Connection, change: Change) -> Position:
    """Draw the project's next sequence and write the line there."""
    name = change.repository.project
    sequence = _DRAW(connection, id=name).scalar()
    if sequence is None:
        raise StorageUnavailable("the ledger is being rebuilt: nothing is changed meanwhile")
    _ADD_LINE(connection, project_id=name, sequence=sequence, content=to_line(change))
    return Position(name, sequence)


def pending_lines(connection: Connection, after: Mapping[str, int]) -> list[JournalLine]:
    """As in Ledger.pending_lines."""
    found: list[JournalLine] = []
    for end in _ENDS(connection).all():
        name, reached = end.project_id, after.get(end.project_id, 0)
        if end.last > reached and len(found) < LINES:
            rows = _LINES(connection, name=name, reached=reached, room=LINES - len(found))
            found += [JournalLine(Position(name, row.sequence), bytes(row.content)) for row in rows]
    return found


def settle(connection: Connection, heads: Mapping[str, int]) -> None:
    """As in Ledger.settle."""
    for name, head in heads.items():
        connection.execute(
            delete(journal).where(journal.c.project_id == name, journal.c.sequence <= head)
        )


def heads(connection: Connection) -> dict[str, int]:
    """As in Ledger.heads."""
    query = select(project).where(project.c.sequence > 0)
    return {row.id: row.sequence for row in connection.execute(query)}


def count_lines(connection: Connection) -> int:
    """As in Ledger.count_lines."""
    total = select(func.coalesce(func.sum(project.c.sequence), 0))
    return int(connection.execute(total).scalar_one())


def wait_for_changes(connection: Connection) -> None:
    """Answer once no change of names is under way in another transaction."""
    connection.execute(select(project.c.id).order_by(project.c.id).with_for_update()).close()
