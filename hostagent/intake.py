"""What an agent is told: sets and tombstones, taken into its rows and onto labels."""

import json
from dataclasses import replace

from hostagent.allowed import refuse_privileges
from hostagent.errors import Conflict
from hostagent.host import Host, document_of
from hostagent.records import GoneRow, OperationRow, SetRow, Trouble
from setspec.desired import DesiredSet, Operation, Tombstone
from setspec.shape import dump


def take_set(host: Host, desired: DesiredSet) -> bool:
    """Have a set be as *desired*; whether that was news.

    Raises Conflict for an older generation than the host has, Refused for what it does not do.
    """
    refuse_privileges(host, desired)
    document = document_of(replace(desired, operations=()))
    host.put_secrets(desired)
    with host.store.transaction():
        found = host.store.rows(SetRow, set=desired.set)
        former = found[0] if found else None
        if former is not None and former.generation > desired.generation:
            raise Conflict(
                f"generation {desired.generation} is stale: the set is at {former.generation}"
            )
        if former is not None and former.tombstone is not None:
            raise Conflict("the set is being deleted: make another one")
        fresh = SetRow(
            set=desired.set, generation=desired.generation, level=desired.level, document=document
        )
        row = replace(
            former or fresh,
            generation=desired.generation,
            level=desired.level,
            document=document,
            held=None,
        )
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
        if not found:
            if not host.store.rows(GoneRow, set=tombstone.set):
                gone = GoneRow(
                    set=tombstone.set, generation=tombstone.generation, kept_volumes="[]"
                )
                host.store.put(gone)
            return
        row = found[0]
        if row.generation > tombstone.generation:
            raise Conflict(
                f"the tombstone is of generation {tombstone.generation}, the set of "
                f"{row.generation}: it is left as it is"
            )
        purge = row.purge or tombstone.purge
        if row.tombstone is None:
            host.store.remove(Trouble, set=tombstone.set)
        host.store.put(replace(row, tombstone=tombstone.generation, purge=purge))


def _take_operation(host: Host, set_id: str, operation: Operation) -> None:
    if not host.store.rows(OperationRow, id=operation.id):
        args = json.dumps(dump(operation.args))
        host.store.put(OperationRow(id=operation.id, set=set_id, kind=operation.kind, args=args))
