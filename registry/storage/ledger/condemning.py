"""What is unneeded, and how it goes: under the locks that pushes take, looked at again there."""

from collections.abc import Iterable

from sqlalchemy import ColumnElement, Connection, Delete, and_, delete, exists, or_, select

from registry.oci.digest import Digest
from registry.oci.names import RepositoryName
from registry.storage.changes import Change
from registry.storage.ledger import writes
from registry.storage.ledger.apply import apply, find_repository
from registry.storage.ledger.facts import read_blob
from registry.storage.ledger.lines import lock_project, write_line
from registry.storage.ledger.prepared import chunks, insert_into, upsert
from registry.storage.ledger.schema import (
    blob,
    job,
    link,
    manifest,
    reference,
    removal,
    tag,
    trash,
    trash_reference,
    upload,
)
from registry.storage.ports.collection import Condemned
from registry.storage.records import BlobRecord, Position

_ADD_REMOVAL = upsert(removal)
_SUBJECT = manifest.alias("about")


def _named(here: ColumnElement[int], digest: ColumnElement[str]) -> ColumnElement[bool]:
    """Whether a manifest of the repository names the blob."""
    return exists().where(
        reference.c.repository_id == here,
        reference.c.digest == digest,
        reference.c.kind == "blob",
    )


def _in_trash(
    here: ColumnElement[int], digest: ColumnElement[str], since: float | None
) -> ColumnElement[bool]:
    """Whether what was deleted in the repository can be taken back only with this digest.

    What was deleted before *since* does not count: it is forgotten before anything goes.
    """
    return exists().where(
        trash_reference.c.digest == digest,
        trash.c.id == trash_reference.c.trash_id,
        trash.c.repository_id == here,
        *([] if since is None else [trash.c.deleted_at >= since]),
    )


def is_unneeded(before: float, trash_since: float | None = None) -> ColumnElement[bool]:
    """A link last promised before *before*, which no manifest and no trash there names."""
    return and_(
        link.c.touched_at < before,
        ~_named(link.c.repository_id, link.c.digest),
        ~_in_trash(link.c.repository_id, link.c.digest, trash_since),
    )


UNLINKED = ~exists().where(link.c.digest == blob.c.digest)


def is_unheld(trash_since: float | None = None) -> ColumnElement[bool]:
    """No tag, no index, no subject and no trash holds the manifest."""
    return and_(
        ~exists().where(
            tag.c.repository_id == manifest.c.repository_id, tag.c.digest == manifest.c.digest
        ),
        ~exists().where(
            reference.c.repository_id == manifest.c.repository_id,
            reference.c.digest == manifest.c.digest,
            reference.c.kind == "manifest",
        ),
        ~exists().where(
            _SUBJECT.c.repository_id == manifest.c.repository_id,
            _SUBJECT.c.digest == manifest.c.subject,
        ),
        ~_in_trash(manifest.c.repository_id, manifest.c.digest, trash_since),
    )


def release(name: str, holder: str) -> Delete:
    """End a lease."""
    return delete(job).where(job.c.name == name, job.c.holder == holder)


def lease(connection: Connection, now: float, name: str, holder: str, seconds: float) -> bool:
    """As in Collection.lease."""
    statement = insert_into(connection.dialect, job)
    mine = statement.excluded
    taken = statement.values(name=name, holder=holder, until=now + seconds).on_conflict_do_update(
        index_elements=["name"],
        set_={"holder": mine.holder, "until": mine.until},
        where=or_(job.c.until < now, job.c.holder == holder),
    )
    return connection.execute(taken.returning(job.c.name)).scalar() is not None


def condemn(
    connection: Connection,
    now: float,
    name: RepositoryName,
    digests: Iterable[Digest],
    before: float,
) -> Condemned:
    """As in Collection.condemn."""
    lock_project(connection, name.project)
    here = find_repository(connection, name)
    if here is None:
        return Condemned(0, 0, (), None)
    wanted = sorted(str(each) for each in digests)
    # The rows that a manifest PUT locks, in its order; then a look at what it may have named.
    for some in chunks(wanted):
        connection.execute(
            select(blob.c.digest)
            .join(link, link.c.digest == blob.c.digest)
            .where(link.c.repository_id == here, blob.c.digest.in_(some))
            .order_by(blob.c.digest)
            .with_for_update()
        ).close()
    gone: dict[str, int] = {}
    for some in chunks(wanted):
        unneeded = (
            select(link.c.digest, blob.c.size)
            .join(blob, blob.c.digest == link.c.digest)
            .where(link.c.repository_id == here, link.c.digest.in_(some), is_unneeded(before))
        )
        rows = connection.execute(unneeded.order_by(link.c.digest))
        gone |= {row.digest: row.size for row in rows}
    if not gone:
        return Condemned(0, 0, (), None)
    taken = tuple(map(Digest.parse, gone))
    change = Change(op="collect", repository=name, at=now, digests=taken)
    apply(connection, here, change)
    objects = drop_unlinked(connection, now, taken)
    position = write_line(connection, change)
    return Condemned(len(gone), sum(gone.values()), tuple(objects), position)


def drop_unlinked(
    connection: Connection, now: float, digests: Iterable[Digest], *conditions: ColumnElement[bool]
) -> list[BlobRecord]:
    """Take the blobs that no repository is linked to; their objects are on their way out."""
    dropped = []
    for some in chunks(sorted(str(each) for each in digests)):
        mine = blob.c.digest.in_(some)
        connection.execute(select(blob.c.digest).where(mine).with_for_update()).close()
        query = select(blob).where(mine, UNLINKED, *conditions).order_by(blob.c.digest)
        found = list(map(read_blob, connection.execute(query)))
        _ADD_REMOVAL.many(connection, [{"object": each.object, "since": now} for each in found])
        lost = [str(each.digest) for each in found]
        connection.execute(delete(blob).where(blob.c.digest.in_(lost)))
        dropped += found
    return dropped


def is_stale(before: float, now: float) -> ColumnElement[bool]:
    """A session that nobody wrote to since *before*, and nobody may be writing to."""
    return and_(
        upload.c.finished.is_(None), upload.c.touched_at < before, upload.c.lease_until <= now
    )


def collect_manifests(
    connection: Connection,
    now: float,
    name: RepositoryName,
    digests: Iterable[Digest],
    before: float,
) -> tuple[list[Digest], Position | None]:
    """As in Collection.collect_manifests."""
    lock_project(connection, name.project)
    here = find_repository(connection, name)
    taken: list[Digest] = []
    position = None
    for digest in digests:  # looked at one by one: what held one may have been the one before
        query = select(manifest.c.digest).where(
            manifest.c.repository_id == here,
            manifest.c.digest == str(digest),
            manifest.c.pushed_at < before,
            is_unheld(),
        )
        if connection.execute(query).scalar() is not None:
            position = writes.delete_manifest(connection, now, name, digest)
            taken.append(digest)
    return taken, position
