"""Whose turn it is in the outbox: parents before children, ended children before parents."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, and_, or_, select, update

from registry.storage.ledger.prepared import chunks
from registry.storage.ledger.schema import outbox, projected
from registry.storage.ports.projection import Due

_OTHER = outbox.alias("other")
_NOBODY = "-"
"""No lease."""


def lease_due(
    connection: Connection, now: float, lease: str, limit: int, seconds: float
) -> list[Due]:
    """A level at a time: what waits for nobody, then what waits only for that, and so on."""
    is_due = and_(outbox.c.due_at <= now, ~outbox.c.parked)
    found: list[Any] = []
    rows = _take(connection, _ready(lease).where(is_due), lease, limit, now + seconds)
    while rows:
        found += rows
        levels, rows = _behind(rows, lease), []
        for level in levels:
            room = limit - len(found) - len(rows)
            rows += _take(connection, level.where(is_due), lease, room, now + seconds)
    return [read_due(row, lease) for row in found]


def _ready(lease: str) -> Select[Any]:
    """Rows that wait for no other but those of *lease*."""
    return select(outbox).where(
        or_(
            and_(~outbox.c.gone, ~parent_waits(lease)),
            and_(outbox.c.gone, ~children_wait(lease)),
        )
    )


def _behind(taken: Sequence[Any], lease: str) -> list[Select[Any]]:
    """The next level: children of what changed, and parents of what ended."""
    changed = [row.record_id for row in taken if not row.gone]
    ended = [row.parent_id for row in taken if row.gone and row.parent_id is not None]
    levels = [outbox.c.parent_id.in_(part) & ~outbox.c.gone for part in chunks(changed)]
    levels += [outbox.c.record_id.in_(part) & outbox.c.gone for part in chunks(ended)]
    return [_ready(lease).where(level) for level in levels]


def parent_waits(lease: str = _NOBODY) -> ColumnElement[bool]:
    """Whether the parent of a row is to be sent too, unless by the same *lease*."""
    parent = select(_OTHER.c.place).where(_OTHER.c.record_id == outbox.c.parent_id)
    return parent.where(_OTHER.c.lease != lease).correlate(outbox).exists()


def children_wait(lease: str = _NOBODY) -> ColumnElement[bool]:
    """Whether a record that names this one is still to go, or still shown with this parent."""
    child = select(_OTHER.c.place).where(~_OTHER.c.parked, _OTHER.c.lease != lease)
    ends = child.where(_OTHER.c.gone, _OTHER.c.parent_id == outbox.c.record_id)
    shown = child.join(projected, projected.c.record_id == _OTHER.c.record_id)
    shown = shown.where(projected.c.parent_id == outbox.c.record_id)
    return or_(ends.correlate(outbox).exists(), shown.correlate(outbox).exists())


def _take(
    connection: Connection, query: Select[Any], lease: str, limit: int, until: float
) -> list[Any]:
    if limit <= 0:
        return []
    query = query.order_by(outbox.c.place).limit(limit).with_for_update(skip_locked=True, of=outbox)
    rows = list(connection.execute(query))
    for part in chunks([row.record_id for row in rows]):
        taken = update(outbox).where(outbox.c.record_id.in_(part))
        connection.execute(taken.values(lease=lease, due_at=until))
    return rows


def read_due(row: Any, lease: str) -> Due:
    """A row, in the hands of *lease*."""
    return Due(
        record=row.record_id,
        project=row.project_id,
        kind=row.kind,
        gone=row.gone,
        lease=lease,
        version=row.version,
        attempts=row.attempts,
        reason=row.reason,
        unsure=row.begun,
    )
