"""Outbox: the port, over the rows that ``marks`` makes."""

import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import Connection, delete, func, insert, or_, select, update

from registry.oci.names import RepositoryName
from registry.storage.changes import Change, RecordState
from registry.storage.ledger import agreed, leasing, marks, records
from registry.storage.ledger.apply import apply, ensure_repository
from registry.storage.ledger.database import Database
from registry.storage.ledger.lines import lock_project, write_line
from registry.storage.ledger.prepared import upsert
from registry.storage.ledger.schema import outbox, projected, record, record_use
from registry.storage.ports.projection import REFUSALS, SECOND_LOOK, Due, Lag
from registry.storage.records import ImageRecord, Position
from registry.storage.sharing import Sharing

LONGEST_PAUSE = 300.0
"""Seconds at most until a refused record is tried again."""

_ADD_PROJECTED = upsert(
    projected, "parent_id", "sent_at", "missing_since", "missing_version", "visibility", "members"
)


class SqlOutbox:
    """The Outbox of a SqlLedger."""

    def __init__(
        self,
        database: Database,
        now: Callable[[Connection], float],
        new_id: Callable[[], str],
    ) -> None:
        self._database = database
        self._now = now
        self._new_id = new_id

    async def lease_due(self, *, limit: int, seconds: float) -> list[Due]:
        lease = str(uuid.uuid4())
        return await self._database.write(
            lambda c: leasing.lease_due(c, self._now(c), lease, limit, seconds), durable=False
        )

    async def begin(self, due: Due, *, seconds: float) -> Due | None:
        return await self._database.write(
            lambda c: _begin(c, self._now(c), due, seconds), durable=False
        )

    async def done(self, due: Due) -> bool:
        return await self._database.write(lambda c: _done(c, self._now(c), due))

    async def agree(self, due: Due) -> Position | None:
        if not due.tells_who_sees:
            return None
        return await self._database.write(lambda c: _agree(c, self._now(c), due))

    async def refused(self, due: Due, reason: str) -> bool:
        return await self._database.write(lambda c: _refuse(c, self._now(c), due, reason))

    async def give_back(self, due: Due, *, delay: float = 0.0) -> None:
        await self._database.write(
            lambda c: _give_back(c, due, self._now(c) + delay if delay else 0.0), durable=False
        )

    async def rename(self, due: Due, *, missed: bool) -> Position | None:
        fresh = self._new_id()
        return await self._database.write(lambda c: _rename(c, self._now(c), due, fresh, missed))

    async def mark(self, records: Sequence[str]) -> None:
        await self._database.write(lambda c: marks.mark(c, records))

    async def mark_all(self) -> int:
        return await self._database.write(lambda c: marks.mark_all(c, self._now(c)))

    async def unpark(self) -> int:
        statement = update(outbox).where(outbox.c.parked).values(parked=False, attempts=0, due_at=0)
        return await self._database.write(lambda c: c.execute(statement).rowcount)

    async def lag(self, project: str | None = None) -> Lag:
        return await self._database.read(lambda c: _lag(c, self._now(c), project))


# -- the life of a row --------------------------------------------------------------------------


def _begin(connection: Connection, now: float, due: Due, seconds: float) -> Due | None:
    row = _held(connection, due)
    if row is None:
        return None
    here = select(outbox.c.place).where(outbox.c.record_id == due.record)
    waits = leasing.children_wait() if due.gone else leasing.parent_waits()
    if row.gone != due.gone or connection.execute(here.where(waits)).first() is not None:
        _give_back(connection, due, 0.0)
        return None
    known = connection.execute(select(projected).where(projected.c.record_id == due.record)).first()
    now_due = replace(
        leasing.read_due(row, due.lease),
        sent=known is not None,
        agreed=agreed.agreed(known),
        kept=agreed.members(known),
        tried=agreed.tried(row),
    )
    if due.gone:  # to delete is nothing that could come too late
        connection.execute(_row(due).values(due_at=now + seconds))
        return now_due
    state = records.state(connection, due.record)
    tried = agreed.with_tried(row, Sharing.of_state(state))
    connection.execute(_row(due).values(due_at=now + seconds, begun=True, tried=tried))
    return replace(now_due, state=state)


def _done(connection: Connection, now: float, due: Due) -> bool:
    row = _held(connection, due)
    if row is None:
        if not due.gone:
            _send_again(connection, now, due)
        return False
    if due.gone:
        connection.execute(delete(projected).where(projected.c.record_id == due.record))
        connection.execute(delete(outbox).where(outbox.c.record_id == due.record))
        return True
    assert due.state is not None
    sent = {"members": agreed.dump(due.kept)} | agreed.columns(Sharing.of_state(due.state))
    _ADD_PROJECTED(
        connection,
        record_id=due.record,
        parent_id=due.state.record.parent_id,
        sent_at=now,
        missing_since=None,
        missing_version=None,
        **sent,
    )
    if row.version == due.version:
        connection.execute(delete(outbox).where(outbox.c.record_id == due.record))
    else:  # what was tried stays: somebody may have sent it behind this
        _give_back(connection, due, 0.0)
    return True


def _agree(connection: Connection, now: float, due: Due) -> Position | None:
    lock_project(connection, due.project)
    row = _held(connection, due)
    if row is None or row.gone or row.version != due.version:
        return None
    state = records.state(connection, due.record)
    name = RepositoryName(due.project, state.record.properties.get("oci_repository", ""))
    change = Change(op="share", repository=name, at=now, records=(state,), agreed=True)
    return write_line(connection, change)


def _send_again(connection: Connection, now: float, due: Due) -> None:
    """Somebody sent a state of the record, and nobody knows before or after whom."""
    again = update(outbox).where(outbox.c.record_id == due.record)
    if connection.execute(again.values(version=outbox.c.version + 1)).rowcount:
        _note_tried(connection, due)
        return
    alive = select(record.c.id).where(record.c.id == due.record)
    if connection.execute(alive).first() is not None:
        marks.mark(connection, [due.record])
        _note_tried(connection, due)
        return
    row = {
        "record_id": due.record,
        "project_id": due.project,
        "kind": due.kind,
        "version": 1,
        "since": now,
        "gone": True,
        "begun": True,
        "attempts": 0,
        "parked": False,
        "reason": "",
        "lease": "",
        "due_at": 0.0,
    }
    connection.execute(insert(outbox).values(row))


def _note_tried(connection: Connection, due: Due) -> None:
    assert due.state is not None
    here = outbox.c.record_id == due.record
    row = connection.execute(select(outbox.c.tried).where(here)).one()
    tried = agreed.with_tried(row, Sharing.of_state(due.state))
    connection.execute(update(outbox).where(here).values(tried=tried))


def _refuse(connection: Connection, now: float, due: Due, reason: str) -> bool:
    row = _held(connection, due)
    if row is None:
        return False
    attempts = row.attempts + 1
    parked: bool = attempts >= REFUSALS
    pause = min(2.0**attempts, LONGEST_PAUSE)
    connection.execute(
        _row(due).values(
            attempts=attempts, parked=parked, reason=reason, lease="", due_at=now + pause
        )
    )
    return parked


def _give_back(connection: Connection, due: Due, due_at: float) -> None:
    connection.execute(_row(due).values(lease="", due_at=due_at))


def _rename(
    connection: Connection, now: float, due: Due, fresh: str, missed: bool
) -> Position | None:
    lock_project(connection, due.project)
    row = _held(connection, due)
    if row is None or row.gone:
        return None
    state = records.state(connection, due.record)
    if missed and _is_first_miss(connection, now, due, state.record):
        _give_back(connection, due, now + SECOND_LOOK)
        return None
    old = state.record
    change = Change(
        op="rename",
        repository=RepositoryName(old.project, old.properties.get("oci_repository", "")),
        at=now,
        records=(_moved(state, fresh, now, due), *_naming(connection, old, fresh, now)),
        gone=(old.id,),
    )
    apply(connection, ensure_repository(connection, change.repository), change)
    connection.execute(delete(projected).where(projected.c.record_id == old.id))
    connection.execute(_row(due).values(lease="", due_at=0.0))
    return write_line(connection, change)


def _is_first_miss(connection: Connection, now: float, due: Due, found: ImageRecord) -> bool:
    """Whether the record is there perhaps, and nobody has missed it for long enough; noted."""
    here = projected.c.record_id == due.record
    known = connection.execute(select(projected.c.missing_since).where(here)).one_or_none()
    if known is not None and known.missing_since is not None:
        return bool(now < known.missing_since + SECOND_LOOK)
    if known is not None:
        connection.execute(update(projected).where(here).values(missing_since=now))
    elif due.unsure:  # its id is taken: so it was sent, and nobody knows how
        sent = {"parent_id": found.parent_id, "sent_at": now, "missing_since": now}
        connection.execute(insert(projected).values(record_id=due.record, **sent))
    return known is not None or due.unsure


def _moved(state: RecordState, fresh: str, now: float, due: Due) -> RecordState:
    """The record under its new id, with what was said and has not arrived of who sees it."""
    moved = replace(state.record, id=fresh, updated_at=now, version=state.record.version + 1)
    present = Sharing.of_state(state)
    if present == due.arrived:
        return RecordState(replace(moved, visibility="private"), state.uses)
    gone = {project for project, _ in (*due.kept, *due.arrived.members)}
    members = tuple(each for each in state.members if each[0] not in gone)
    said = Sharing.of(present.visibility, members)
    there = tuple((each.visibility, each.members) for each in (Sharing("private"), said))
    return replace(state, record=moved, members=members, untold=there)


def _naming(
    connection: Connection, old: ImageRecord, fresh: str, now: float
) -> Iterator[RecordState]:
    """All records that name it, by its new id."""
    users = select(record_use.c.user_id).where(record_use.c.used_id == old.id)
    naming = select(record.c.id).where(or_(record.c.parent_id == old.id, record.c.id.in_(users)))
    for row in connection.execute(naming.order_by(record.c.id)):
        state = records.state(connection, row.id)
        each = state.record
        parent_id = fresh if each.parent_id == old.id else each.parent_id
        uses = tuple(sorted(fresh if used == old.id else used for used in state.uses))
        newer = replace(each, parent_id=parent_id, updated_at=now, version=each.version + 1)
        yield replace(state, record=newer, uses=uses)


# -- within -------------------------------------------------------------------------------------


def _held(connection: Connection, due: Due) -> Any:
    """The row, locked; None where another has it, or nobody needs to send it any more."""
    query = select(outbox).where(outbox.c.record_id == due.record).with_for_update()
    row = connection.execute(query).one_or_none()
    return row if row is not None and row.lease == due.lease else None


def _row(due: Due) -> Any:
    return update(outbox).where(outbox.c.record_id == due.record, outbox.c.lease == due.lease)


def _lag(connection: Connection, now: float, project: str | None) -> Lag:
    query = select(func.count(), func.min(outbox.c.since), outbox.c.parked).group_by(
        outbox.c.parked
    )
    if project is not None:
        query = query.where(outbox.c.project_id == project)
    count, since, parked = 0, now, 0
    for number, oldest, is_parked in connection.execute(query):
        if is_parked:
            parked = number
        else:
            count, since = number, oldest
    return Lag(count, max(0.0, now - since), parked)
