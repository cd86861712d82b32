"""Names made again out of the journal's lines, and forgotten before that."""

from collections.abc import Sequence

from sqlalchemy import Connection, delete, select, update

from registry.oci.errors import RegistryError, StorageUnavailable
from registry.storage.changes import from_line
from registry.storage.ledger import marks
from registry.storage.ledger.apply import NOWHERE, apply, ensure_repository, restore_blobs
from registry.storage.ledger.lines import heads, lock_project
from registry.storage.ledger.prepared import upsert
from registry.storage.ledger.schema import (
    journal,
    manifest,
    member,
    project,
    projected,
    record,
    record_use,
    reference,
    repository,
    tag,
    trash,
    trash_reference,
)
from registry.storage.ledger.untold import note_replayed, states_before
from registry.storage.ledger.writes import set_limits
from registry.storage.records import JournalLine

_REACH = upsert(project, "sequence", without=["limits"])


def replay(connection: Connection, lines: Sequence[JournalLine]) -> None:
    """As in Ledger.replay."""
    for name in sorted({line.position.project for line in lines}):
        lock_project(connection, name)
    reached = heads(connection)
    for line in lines:
        name, sequence = line.position.project, line.position.sequence
        head = reached.get(name, 0)
        if sequence <= head:
            continue
        if sequence != head + 1:
            raise StorageUnavailable(f"the journal of {name} has a gap after line {head}")
        try:
            change = from_line(line.content)
        except (ValueError, KeyError, TypeError, AttributeError, RegistryError) as error:
            where = f"line {sequence} of the journal of {name}"
            raise StorageUnavailable(f"{where} cannot be read: {error}") from error
        if change.op == "limits":
            here = NOWHERE
            set_limits(connection, change)
        else:
            here = ensure_repository(connection, change.repository)
            restore_blobs(connection, here, change)
        before = states_before(connection, change)
        apply(connection, here, change)
        note_replayed(connection, change, before)
        reached[name] = sequence
    _REACH.many(connection, [{"id": name, "sequence": n} for name, n in reached.items()])


def restart(connection: Connection, name: str, sequence: int) -> None:
    """As in Ledger.restart."""
    lock_project(connection, name)
    here = select(repository.c.id).where(repository.c.project_id == name)
    thrown = select(trash.c.id).where(trash.c.repository_id.in_(here))
    connection.execute(delete(trash_reference).where(trash_reference.c.trash_id.in_(thrown)))
    connection.execute(delete(trash).where(trash.c.repository_id.in_(here)))
    for table in (tag, reference, manifest):
        connection.execute(delete(table).where(table.c.repository_id.in_(here)))
    for limited in (
        update(repository).where(repository.c.project_id == name),
        update(project).where(project.c.id == name),
    ):
        connection.execute(limited.values(limits=None))
    marks.bury_all(connection, name)
    mine = select(record.c.id).where(record.c.project_id == name)
    sent = update(projected).where(projected.c.record_id.in_(mine))
    connection.execute(sent.values(visibility=None))  # what was agreed since, nobody knows
    connection.execute(delete(record_use).where(record_use.c.user_id.in_(mine)))
    connection.execute(delete(member).where(member.c.record_id.in_(mine)))
    # Children name their parents, so whoever has no children goes first.
    child = record.alias("child")
    childless = mine.where(~select(child.c.id).where(child.c.parent_id == record.c.id).exists())
    while connection.execute(delete(record).where(record.c.id.in_(childless))).rowcount:
        pass
    connection.execute(delete(journal).where(journal.c.project_id == name))
    _REACH(connection, id=name, sequence=sequence)
