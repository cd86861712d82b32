"""Upload sessions: offsets compared, one writer at a time, fenced by epochs."""

import json
import uuid
from collections.abc import Callable
from typing import Any

from sqlalchemy import Connection, delete, select, update

from registry.oci.digest import Digest
from registry.oci.errors import BlobUnknown, BlobUploadUnknown, RangeInvalid, UploadBusy
from registry.oci.names import RepositoryName
from registry.storage.ledger.apply import ensure_repository, find_repository, upsert
from registry.storage.ledger.schema import blob, link, repository, upload
from registry.storage.records import BlobRecord, Segment, Upload

REMEMBERED = 3600.0
"""Seconds for which a finished session is known."""

Now = Callable[[Connection], float]

_COLUMNS = (
    upload.c.id,
    upload.c.principal,
    upload.c.epoch,
    upload.c.position,
    upload.c.segments,
    upload.c.finished,
    upload.c.lease_until,
)


def begin(connection: Connection, now: float, name: RepositoryName, principal: str) -> Upload:
    """As in Ledger.begin_upload; forgets sessions that ended long ago."""
    connection.execute(delete(upload).where(upload.c.finished_at < now - REMEMBERED))
    session = Upload(str(uuid.uuid4()), name, principal, 0, 0)
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
    grant(connection, now, name, digest)
    holding = connection.execute(
        select(blob.c.object, blob.c.size).where(blob.c.digest == digest)
    ).one()
    return BlobRecord(stored.digest, holding.object, holding.size)


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
    grant(connection, now, name, str(digest))
    return BlobRecord(digest, found.object, found.size)


def grant(connection: Connection, now: float, name: RepositoryName, digest: str) -> None:
    """Link the repository to a blob, or promise it anew."""
    here = ensure_repository(connection, name)
    values = {"repository_id": here, "digest": digest, "touched_at": now}
    upsert(connection, link, [values], "touched_at")


def touch(connection: Connection, now: float, name: RepositoryName, digest: Digest) -> None:
    """As in Ledger.touch_link."""
    here = find_repository(connection, name)
    connection.execute(
        update(link)
        .where(link.c.repository_id == here, link.c.digest == str(digest))
        .values(touched_at=now)
    )


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
