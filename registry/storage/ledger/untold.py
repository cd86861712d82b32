"""What was said of who sees a record, and perhaps has not arrived in the image service.

To a ledger that does not know what was agreed, what it finds there would pass for a word of people,
and an acknowledged one would be lost with the ledger before.
"""

import contextlib
from collections.abc import Mapping

from sqlalchemy import Connection, select, update

from registry.oci.errors import ManifestUnknown
from registry.storage.changes import Change, RecordState
from registry.storage.ledger import agreed, records
from registry.storage.ledger.schema import outbox, projected
from registry.storage.sharing import Sharing, untold

Before = Mapping[str, RecordState]
"""Records by id, as they were."""


def states_before(connection: Connection, change: Change) -> Before:
    """The records that a word is about; not yet applied."""
    found: dict[str, RecordState] = {}
    for state in change.records if change.op == "share" else ():
        with contextlib.suppress(ManifestUnknown):
            found[state.record.id] = records.state(connection, state.record.id)
    return found


def note_replayed(connection: Connection, change: Change, before: Before) -> None:
    """A line of the journal was applied: what is not agreed was tried."""
    _note_agreed(connection, change)
    for state in change.records:
        if change.op == "share" or state.untold:
            _note(connection, change, state, before)


def note_said(connection: Connection, change: Change, before: Before) -> None:
    """Something was said: of what is agreed nowhere it was tried."""
    _note_agreed(connection, change)
    for state in () if change.agreed else change.records:
        wanted = projected.c.record_id == state.record.id
        known = connection.execute(select(projected).where(wanted)).one_or_none()
        if agreed.agreed(known) is None:
            _note(connection, change, state, before)


def _note_agreed(connection: Connection, change: Change) -> None:
    """With the change itself: what is said next is said of what was agreed.

    Else what people say in the image service once more would pass for old, and be undone.
    """
    for state in change.records if change.agreed else ():
        known = update(projected).where(projected.c.record_id == state.record.id)
        connection.execute(known.values(agreed.columns(Sharing.of_state(state))))


def _note(connection: Connection, change: Change, state: RecordState, before: Before) -> None:
    here = outbox.c.record_id == state.record.id
    row = connection.execute(select(outbox.c.tried, outbox.c.begun).where(here)).one_or_none()
    if row is None:  # nothing is sent anywhere
        return
    known, was = agreed.tried(row), before.get(state.record.id)
    tried = untold(known, was, state, agreed=change.agreed)
    if row.begun and not tried:  # or whatever lies there would pass for an attempt's
        tried = (Sharing.of_state(state),)
    connection.execute(update(outbox).where(here).values(tried=agreed.dump_tried(tried)))
