"""What an agent is told: sets and tombstones, taken into its rows and onto labels."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

from hostagent.allowed import refuse_privileges, refuse_volumes
from hostagent.errors import Conflict, HostError
from hostagent.host import Host, document_of
from hostagent.records import GoneRow, OperationRow, OperationState, SetRow, Trouble
from setspec.desired import DesiredSet, DesiredState, Level, Operation, Tombstone
from setspec.items import Reading
from setspec.shape import dump, load
from setspec.status import Alarm, Refusal
from setspec.succession import Position, missing, objection

_POSITION: Final = "position"
"""Where the last desired state that was taken stood."""


def take_set(host: Host, desired: DesiredSet, *, starts: bool = True) -> bool:
    """Have a set be as *desired*; whether that was news.

    What a reboot has ended *starts* again with that, where it shall run.

    Raises Conflict for an older generation than the host has or one that was deleted, Refused for
    what it does not do.
    """
    refuse_privileges(host, desired)
    found = host.store.rows(SetRow, set=desired.set)
    refuse_volumes(host, desired, found[0] if found else None)
    document = document_of(replace(desired, operations=()))
    with host.store.transaction():
        found = host.store.rows(SetRow, set=desired.set)
        former = found[0] if found else None
        if former is not None and former.generation > desired.generation:
            raise Conflict(
                f"generation {desired.generation} is stale: the set is at {former.generation}"
            )
        known = host.desired(former).fingerprint if former is not None else desired.fingerprint
        if known != desired.fingerprint and former and former.generation == desired.generation:
            raise Conflict(f"generation {desired.generation} is of another document here")
        if former is not None and former.tombstone is not None:
            raise Conflict("the set is being deleted: make another one")
        for gone in host.store.rows(GoneRow, set=desired.set):
            if gone.generation >= desired.generation:
                raise Conflict(
                    f"generation {gone.generation} of the set was deleted, and all before it"
                )
        fresh = SetRow(
            set=desired.set, generation=desired.generation, level=desired.level, document=document
        )
        is_suspended = desired.level is Level.SUSPENDED
        row = replace(
            former or fresh,
            generation=desired.generation,
            level=desired.level,
            document=document,
            held=former.held if former and (not starts or is_suspended) else None,
        )
        host.put_secrets(desired.set, dict(desired.secrets))
        for operation in desired.operations:
            _take_operation(host, desired.set, operation)
        if row == former:
            return bool(desired.operations)
        host.store.put(row)
        host.store.remove(Trouble, set=desired.set)
        host.store.remove(GoneRow, set=desired.set)
        host.label(host.layout.set(desired.set) / "label.json", {"set": json.loads(document)})
    return True


def take_tombstone(host: Host, tombstone: Tombstone) -> None:
    """Have a set be gone. Raises Conflict where the host has a newer generation."""
    with host.store.transaction():
        found = host.store.rows(SetRow, set=tombstone.set)
        if not found or host.store.rows(GoneRow, set=tombstone.set):
            _note_gone(host, tombstone)
            return
        row = found[0]
        if row.generation > tombstone.generation:
            raise Conflict(
                f"the tombstone is of generation {tombstone.generation}, the set of "
                f"{row.generation}: it is left as it is"
            )
        if row.tombstone is None:
            host.store.remove(Trouble, set=tombstone.set)
        latest = max(row.tombstone or 0, tombstone.generation)
        host.store.put(replace(row, tombstone=latest, purge=row.purge or tombstone.purge))


def _note_gone(host: Host, tombstone: Tombstone) -> None:
    """The tombstone of a set of which nothing is here but files: it keeps older words away."""
    known = host.store.rows(GoneRow, set=tombstone.set)
    if not known:
        gone = GoneRow(set=tombstone.set, generation=tombstone.generation, kept_volumes="[]")
        host.store.put(gone)
    elif known[0].generation < tombstone.generation:
        host.store.put(replace(known[0], generation=tombstone.generation))


def _take_operation(host: Host, set_id: str, operation: Operation) -> None:
    if not host.store.rows(OperationRow, id=operation.id):
        args = json.dumps(dump(operation.args))
        host.store.put(OperationRow(id=operation.id, set=set_id, kind=operation.kind, args=args))


@dataclass(frozen=True, slots=True)
class Taken:
    """What became of a desired state."""

    changed: tuple[str, ...]
    """Sets to be looked at."""
    refused: tuple[Refusal, ...]
    alarms: tuple[Alarm, ...]


def take_state(host: Host, own: str, reading: Reading[DesiredState]) -> Taken:
    """Take a shim's word for the host *own*. What it does not speak of is left as it is.

    Raises Conflict where the whole document is not to be taken: for another host, from another
    shim than the first one, older than what was taken, or built on what this host has not.
    """
    state = reading.document
    known = host.store.meta(_POSITION)
    former = load(Position, json.loads(known)) if known else None
    against = objection(state, own, former)
    if against is not None:
        raise Conflict(str(against))
    refused = [
        Refusal(kind=each.kind, id=each.id, generation=each.generation, reason=each.reason)
        for each in reading.refused
    ]
    changed = []
    items: list[Tombstone | DesiredSet] = [*state.tombstones, *state.sets]
    for item in items:
        try:
            take_tombstone(host, item) if isinstance(item, Tombstone) else take_set(host, item)
            changed.append(item.set)
        except HostError as error:
            kind = "tombstone" if isinstance(item, Tombstone) else "set"
            told = Refusal(kind=kind, id=item.set, generation=item.generation, reason=str(error))
            refused.append(told)
    for operation in state.acknowledged:
        for row in host.store.rows(OperationRow, id=operation):
            if row.ended is not None:
                host.store.put(replace(row, state=OperationState.ACKNOWLEDGED))
    host.store.put_meta(_POSITION, json.dumps(dump(Position.of(state))))
    return Taken(tuple(changed), tuple(refused), tuple(_missing(host, reading)))


def _missing(host: Host, reading: Reading[DesiredState]) -> Iterator[Alarm]:
    """Sets that a complete document leaves out run on; many of them are an operator's business."""
    known = [row.set for row in host.store.rows(SetRow) if row.tombstone is None]
    lost = missing(known, reading)
    if reading.document.complete and lost.alarm:
        told = f"a complete document leaves out {len(lost.sets)} of {len(known)} sets"
        yield Alarm(kind="sets-missing", reason=told)
