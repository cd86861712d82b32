"""Blobs whose bytes are not there, or are others: marked, and given a good object."""

from sqlalchemy import Connection, select, update

from registry.oci.names import RepositoryName
from registry.storage.changes import Change
from registry.storage.ledger.lines import lock_project, write_line
from registry.storage.ledger.prepared import upsert
from registry.storage.ledger.schema import blob, link, removal, repository
from registry.storage.records import BlobRecord

_ADD_REMOVAL = upsert(removal)


def miss(connection: Connection, now: float, held: BlobRecord, again: float) -> bool:
    """As in Collection.missed."""
    mine = (blob.c.digest == str(held.digest), blob.c.object == held.object)
    row = connection.execute(select(blob.c.missed_at).where(*mine).with_for_update()).one_or_none()
    if row is None:
        return False
    change = update(blob).where(*mine)
    if row.missed_at is None:
        connection.execute(change.values(missed_at=now))
        return False
    if row.missed_at > now - again:
        return False
    connection.execute(change.values(bad=True, verified_at=now, missed_at=None))
    return True


def adopt(connection: Connection, now: float, bad: BlobRecord, fresh: BlobRecord) -> bool:
    """As in Collection.adopt; the journal learns of the object, as a rebuild must."""
    digest = str(bad.digest)
    names = select(repository.c.project_id, repository.c.path)
    linked = names.join(link, link.c.repository_id == repository.c.id).where(
        link.c.digest == digest
    )
    where = connection.execute(linked.order_by(repository.c.id).limit(1)).one_or_none()
    if where is not None:
        lock_project(connection, where.project_id)
    mine = (blob.c.digest == digest, blob.c.object == bad.object, blob.c.bad)
    taken = update(blob).where(*mine).values(
        object=fresh.object, size=fresh.size, created_at=now, verified_at=now, bad=False,
        missed_at=None,
    )  # fmt: skip
    if connection.execute(taken).rowcount == 0:
        return False
    _ADD_REMOVAL(connection, object=bad.object, since=now)
    if where is not None:
        name = RepositoryName(where.project_id, where.path)
        write_line(connection, Change(op="link", repository=name, at=now, blobs=(fresh,)))
    return True
