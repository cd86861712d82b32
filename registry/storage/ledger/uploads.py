"""Upload sessions: offsets compared, one writer at a time, fenced by epochs."""

import json
from typing import Any, Final

from sqlalchemy import Connection, delete, select, update

from registry.oci.digest import Digest
from registry.oci.errors import BlobUnknown, BlobUploadUnknown, RangeInvalid, UploadBusy
from registry.oci.names import RepositoryName
from registry.storage.changes import Change
from registry.storage.ledger.apply import ensure_repository, find_repository, upsert
from registry.storage.ledger.schema import blob, link, reference, repository, upload
from registry.storage.ledger.writes import lock_project, write_line
from registry.storage.records import BlobRecord, Segment, Upload

REMEMBERED: Final = 3600.0
"""Seconds for which a finished session is known."""
PURGED: Final = 100
"""Sessions that ended long ago, forgotten at most when one begins."""

_COLUMNS = (
    upload.c.id,
    upload.c.principal,
    upload.c.epoch,
    upload.c.position,
    upload.c.segments,
    upload.c.finished,
    upload.c.lease_until,
)


def begin(
    connection: Connection, now: float, name: RepositoryName, principal: str, fresh: str
) -> Upload:
    """As in Ledger.begin_upload; forgets sessions that ended long ago. *fresh* is its id."""
    over = select(upload.c.id).where(upload.c.finished_at < now - REMEMBERED).limit(PURGED)
    if connection.dialect.name == "postgresql":
        over = over.with_for_update(skip_locked=True)  # another does it, at this moment
    connection.execute(delete(upload).where(upload.c.id.in_(over)))
    session = Upload(fresh, name, principal, 0, 0)
    values = {
        "id": session.id,
        "repository_id": ensure_repository(connection, name),
        "principal": principal,
        "epoch": 0,
        "position": 0,
        "segments": "[]",
        "lease_until": 0.0,
        "touched_at": now,
    }
    connection.execute(upload.insert(), values)
    return session


def find(connection: Connection, now: float, name: RepositoryName, wanted: str) -> Upload:
    """As in Ledger.find_upload."""
    return _read(name, _row(connection, now, name, wanted, lock=False))


def lease(
    connection: Connection,
    now: float,
    name: RepositoryName,
    wanted: str,
    at: int | None,
    seconds: float,
) -> Upload:
    """As in Ledger.lease_upload."""
    row = _row(connection, now, name, wanted, lock=True)
    session = _read(name, row)
    if session.finished is not None:
        raise BlobUploadUnknown("the upload was finished")
    if row.lease_until > now:
        raise UploadBusy("another request is writing to this upload; try again when it has ended")
    if at is not None and at != session.offset:
        raise RangeInvalid(f"the upload has {session.offset} bytes")
    epoch = session.epoch + 1
    connection.execute(
        update(upload)
        .where(upload.c.id == wanted)
        .values(epoch=epoch, lease_until=now + seconds, touched_at=now)
    )
    return Upload(session.id, name, session.principal, epoch, session.offset, session.segments)


def record(
    connection: Connection, now: float, session: Upload, segment: Segment, seconds: float
) -> Upload:
    """As in Ledger.record_segment."""
    segments = list(session.segments)
    if segments and segments[-1].name == segment.name:
        segments.pop()
    segments.append(segment)
    offset = sum(each.size for each in segments)
    spelt = json.dumps([[each.name, each.size, each.etag] for each in segments])
    recorded = connection.execute(
        update(upload)
        .where(
            upload.c.id == session.id,
            upload.c.epoch == session.epoch,
            upload.c.position == session.offset,
            upload.c.finished.is_(None),
        )
        .values(position=offset, segments=spelt, lease_until=now + seconds, touched_at=now)
    )
    if recorded.rowcount == 0:
        raise UploadBusy("another request has taken this upload over")
    return Upload(
        session.id, session.repository, session.principal, session.epoch, offset, tuple(segments)
    )


def release(connection: Connection, session: Upload) -> None:
    """As in Ledger.release_upload."""
    connection.execute(
        update(upload)
        .where(upload.c.id == session.id, upload.c.epoch == session.epoch)
        .values(lease_until=0.0)
    )


def cancel(connection: Connection, now: float, name: RepositoryName, wanted: str) -> None:
    """As in Ledger.cancel_upload."""
    if _read(name, _row(connection, now, name, wanted, lock=True)).finished is not None:
        raise BlobUploadUnknown("the upload was finished")
    connection.execute(delete(upload).where(upload.c.id == wanted))


def finish(
    connection: Connection,
    now: float,
    name: RepositoryName,
    session: Upload | None,
    stored: BlobRecord,
) -> BlobRecord:
    """As in Ledger.finish_upload."""
    digest = str(stored.digest)
    if session is not None:
        ended = connection.execute(
            update(upload)
            .where(
                upload.c.id == session.id,
                upload.c.epoch == session.epoch,
                upload.c.finished.is_(None),
            )
            .values(finished=digest, finished_at=now, segments="[]", lease_until=0.0)
        )
        if ended.rowcount == 0:
            raise UploadBusy("another request has taken this upload over")
    values = {
        "digest": digest,
        "object": stored.object,
        "size": stored.size,
        "created_at": now,
    }
    upsert(connection, blob, [values])
    query = select(blob.c.object, blob.c.size).where(blob.c.digest == digest)
    row = connection.execute(query).one()
    holding = BlobRecord(stored.digest, row.object, row.size)
    _grant(connection, now, name, holding)
    return holding


def mount(
    connection: Connection,
    now: float,
    name: RepositoryName,
    source: RepositoryName,
    digest: Digest,
) -> BlobRecord:
    """As in Ledger.link_blob."""
    origin = find_repository(connection, source)
    query = (
        select(blob.c.object, blob.c.size)
        .join(link, link.c.digest == blob.c.digest)
        .where(link.c.repository_id == origin, blob.c.digest == str(digest))
        .with_for_update()
    )
    found = None if origin is None else connection.execute(query).one_or_none()
    if found is None:
        raise BlobUnknown(f"{digest} is not in {source}")
    holding = BlobRecord(digest, found.object, found.size)
    _grant(connection, now, name, holding)
    return holding


def _grant(connection: Connection, now: float, name: RepositoryName, held: BlobRecord) -> None:
    """Link the repository to a blob, or promise it anew.

    Where a manifest here names the blob already, its line does not tell of this link, and a replay
    would not bring it back: it gets a line of its own, flushed with the project's next one.
    """
    here = ensure_repository(connection, name)
    digest = str(held.digest)
    if _promise(connection, now, here, digest):
        return
    named = select(reference.c.kind).where(
        reference.c.digest == digest,
        reference.c.repository_id == here,
        reference.c.kind == "blob",
    )
    is_named = connection.execute(named.limit(1)).scalar() is not None
    if is_named:
        lock_project(connection, name.project)
    values = {"repository_id": here, "digest": digest, "touched_at": now}
    upsert(connection, link, [values], "touched_at")
    if is_named:
        write_line(connection, Change(op="link", repository=name, at=now, blobs=(held,)))


def _promise(connection: Connection, now: float, here: int | None, digest: str) -> bool:
    """Raise the link's time to *now*; whether there is a link."""
    touched = connection.execute(
        update(link)
        .where(link.c.repository_id == here, link.c.digest == digest)
        .values(touched_at=now)
    )
    return touched.rowcount > 0


def touch(connection: Connection, now: float, name: RepositoryName, digest: Digest) -> None:
    """As in Ledger.touch_link."""
    _promise(connection, now, find_repository(connection, name), str(digest))


def _row(
    connection: Connection, now: float, name: RepositoryName, wanted: str, *, lock: bool
) -> Any:
    query = (
        select(*_COLUMNS)
        .join(repository, repository.c.id == upload.c.repository_id)
        .where(
            upload.c.id == wanted,
            repository.c.project_id == name.project,
            repository.c.path == name.path,
            upload.c.finished_at.is_(None) | (upload.c.finished_at >= now - REMEMBERED),
        )
    )
    row = connection.execute(query.with_for_update(of=upload) if lock else query).one_or_none()
    if row is None:
        raise BlobUploadUnknown("no such upload in this repository; begin a new one")
    return row


def _read(name: RepositoryName, row: Any) -> Upload:
    return Upload(
        id=row.id,
        repository=name,
        principal=row.principal,
        epoch=row.epoch,
        offset=row.position,
        segments=tuple(Segment(*each) for each in json.loads(row.segments)),
        finished=None if row.finished is None else Digest.parse(row.finished),
    )
