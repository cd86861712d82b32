"""What tests of outboxes do to one: push, send, look who is due."""

from registry.oci.errors import ManifestUnknown
from registry.oci.names import Tag
from registry.storage.ledger import SqlLedger
from registry.storage.ports.projection import Due
from support.ledgers import (
    SHOES,
    put,
    tagged,
)

V1 = Tag.parse("v1")
LEASE = 60.0


async def push(ledger: SqlLedger, tag: str = "v1", *words: str, word: str = "boots") -> None:
    await ledger.put_manifest(put(SHOES, word, tag, drafts=tagged(SHOES, tag, *words)))


async def keys(ledger: SqlLedger, dues: list[Due]) -> list[str]:
    """The keys of records that are there; ids of those that ended."""
    names = []
    for due in dues:
        try:
            names.append((await ledger.find_record(due.record)).key)
        except ManifestUnknown:
            names.append(f"ended {due.kind}")
    return names


async def lease(ledger: SqlLedger, limit: int = 99) -> list[Due]:
    return await ledger.outbox.lease_due(limit=limit, seconds=LEASE)


async def begin(ledger: SqlLedger, due: Due) -> Due:
    begun = await ledger.outbox.begin(due, seconds=LEASE)
    assert begun is not None
    return begun


async def send(ledger: SqlLedger, due: Due) -> None:
    assert await ledger.outbox.done(await begin(ledger, due))


async def drain(ledger: SqlLedger) -> list[str]:
    """Send all that is due, in order; the keys."""
    sent = []
    while dues := await lease(ledger):
        sent += await keys(ledger, dues)
        for due in dues:
            await send(ledger, due)
    return sent
