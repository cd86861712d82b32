"""Upload sessions: offsets compared, one writer at a time, fenced by epochs."""

import base64
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final

from sqlalchemy import (
    BindParameter,
    ClauseElement,
    Connection,
    bindparam,
    case,
    delete,
    select,
    update,
)
from sqlalchemy.engine import Dialect

from registry.limits import Leave
from registry.oci.digest import Digest
from registry.oci.errors import BlobUploadUnknown, RangeInvalid, UploadBusy
from registry.oci.names import RepositoryName
from registry.storage.changes import Change
from registry.storage.ledger import links, room
from registry.storage.ledger.apply import ensure_place
from registry.storage.ledger.lines import lock_project, write_line
from registry.storage.ledger.prepared import Prepared, columns_of, insert_into
from registry.storage.ledger.schema import project, repository, upload
from registry.storage.records import BlobRecord, Segment, Upload

REMEMBERED: Final = 3600.0
"""Seconds for which a finished session is known."""
PURGED: Final = 100
"""Sessions that ended long ago, forgotten at most when one begins."""
AHEAD: Final = 16 * 1024 * 1024
"""Bytes that an upload of unknown length reserves beyond what came, while there is much room."""

_COLUMNS = (
    upload.c.id,
    upload.c.principal,
    upload.c.epoch,
    upload.c.position,
    upload.c.segments,
    upload.c.finished,
    upload.c.lease_until,
    upload.c.reserved,
    (repository.c.limits.is_not(None) | project.c.limits.is_not(None)).label("bounded"),
)


def _session(*, lock: bool) -> Callable[[Dialect], ClauseElement]:
    query = (
        select(*_COLUMNS)
        .join(repository, repository.c.id == upload.c.repository_id)
        .outerjoin(project, project.c.id == repository.c.project_id)
        .where(
            upload.c.id == _WANTED,
            repository.c.project_id == bindparam("project"),
            repository.c.path == bindparam("path"),
            upload.c.finished_at.is_(None) | (upload.c.finished_at >= bindparam("since")),
        )
    )
    return lambda _: query.with_for_update(of=upload) if lock else query


def _purge(dialect: Dialect) -> ClauseElement:
    over = select(upload.c.id).where(upload.c.finished_at < bindparam("since")).limit(PURGED)
    if dialect.name == "postgresql":
        over = over.with_for_update(skip_locked=True)  # another does it, at this moment
    return delete(upload).where(upload.c.id.in_(over))


_WANTED: BindParameter[Any] = bindparam("wanted")
_DIGEST: BindParameter[Any] = bindparam("held")
_NOW: BindParameter[Any] = bindparam("now")
_UNTIL: BindParameter[Any] = bindparam("until")
_OWN = (upload.c.id == _WANTED, upload.c.epoch == bindparam("own_epoch"))
_PURGE = Prepared(_purge)
_ADD = Prepared(
    lambda dialect: insert_into(dialect, upload),
    columns_of(upload, without=["finished", "finished_at", "reserved"]),
)
_READ = Prepared(_session(lock=False))
_LOCK = Prepared(_session(lock=True))
_LEASE = Prepared(
    lambda _: (
        update(upload)
        .where(upload.c.id == _WANTED)
        .values(epoch=bindparam("new_epoch"), lease_until=_UNTIL, touched_at=_NOW)
    )
)
_RECORD = Prepared(
    lambda _: (
        update(upload)
        .where(*_OWN, upload.c.position == bindparam("offset"), upload.c.finished.is_(None))
        .values(
            position=bindparam("after"),
            segments=bindparam("spelt"),
            lease_until=_UNTIL,
            touched_at=_NOW,
            reserved=case(
                (upload.c.reserved < bindparam("after"), bindparam("after")),
                else_=upload.c.reserved,
            ),
        )
    )
)
_RESERVE = Prepared(
    lambda _: (
        update(upload)
        .where(*_OWN, upload.c.finished.is_(None))
        .values(reserved=bindparam("total"), lease_until=_UNTIL, touched_at=_NOW)
    )
)
_RELEASE = Prepared(lambda _: update(upload).where(*_OWN).values(lease_until=_UNTIL))
_FINISH = Prepared(
    lambda _: (
        update(upload)
        .where(*_OWN, upload.c.finished.is_(None))
        .values(finished=_DIGEST, finished_at=_NOW, segments="[]", lease_until=_UNTIL, reserved=0)
    )
)


def begin(
    connection: Connection,
    now: float,
    name: RepositoryName,
    principal: str,
    fresh: str,
    leave: Leave,
) -> Upload:
    """As in Ledger.begin_upload; forgets sessions that ended long ago. *fresh* is its id."""
    _PURGE(connection, since=now - REMEMBERED)
    place = ensure_place(connection, name)
    held = room.bounds(name, place, leave.allowance)
    if held is not None:
        room.admit_bytes(connection, now, held, 1, 1)
        room.admit_repository(connection, held)
    session = Upload(fresh, name, principal, 0, 0, bounded=held is not None)
    _ADD(
        connection,
        id=session.id,
        repository_id=place.id,
        principal=principal,
        epoch=0,
        position=0,
        segments="[]",
        lease_until=0.0,
        touched_at=now,
    )
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
    _LEASE(connection, wanted=wanted, new_epoch=epoch, until=now + seconds, now=now)
    return replace(session, epoch=epoch)


def record(
    connection: Connection, now: float, session: Upload, segment: Segment, seconds: float
) -> Upload:
    """As in Ledger.record_segment."""
    segments = list(session.segments)
    if segments and segments[-1].name == segment.name:
        segments.pop()
    segments.append(segment)
    offset = sum(each.size for each in segments)
    recorded = _RECORD(
        connection,
        wanted=session.id,
        own_epoch=session.epoch,
        offset=session.offset,
        after=offset,
        spelt=json.dumps([_spell(each) for each in segments]),
        until=now + seconds,
        now=now,
    )
    if recorded.rowcount == 0:
        raise UploadBusy("another request has taken this upload over")
    return replace(session, offset=offset, segments=tuple(segments))


def reserve(
    connection: Connection,
    now: float,
    session: Upload,
    total: int,
    seconds: float,
    leave: Leave,
    *,
    ahead: bool,
) -> int | None:
    """As in Ledger.reserve_upload."""
    name = session.repository
    held = room.bounds(name, ensure_place(connection, name), leave.allowance)
    if held is None:
        return None
    lock_project(connection, name.project)
    row = _row(connection, now, name, session.id, lock=True)
    added = max(total - row.reserved, 0)
    left = room.admit_bytes(connection, now, held, added, added)
    if left is None:
        return None
    if ahead and added:
        total += min(AHEAD, (left - added) // 64)
    total = max(total, row.reserved)
    until = now + seconds
    kept = _RESERVE(
        connection, wanted=session.id, own_epoch=session.epoch, total=total, until=until, now=now
    )
    if kept.rowcount == 0:
        raise UploadBusy("another request has taken this upload over")
    room.warn(connection, held, leave)
    return total


def release(connection: Connection, session: Upload) -> None:
    """As in Ledger.release_upload."""
    _RELEASE(connection, wanted=session.id, own_epoch=session.epoch, until=0.0)


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
    leave: Leave,
) -> BlobRecord:
    """As in Ledger.finish_upload."""
    digest = str(stored.digest)
    granting = links.prepare(connection, name, leave)
    if session is not None:
        ended = _FINISH(
            connection,
            wanted=session.id,
            own_epoch=session.epoch,
            held=digest,
            now=now,
            until=0.0,
        )
        if ended.rowcount == 0:
            raise UploadBusy("another request has taken this upload over")
    holding, healed = links.hold(connection, now, stored)
    links.grant(connection, now, granting, holding)
    if healed:  # what manifests' lines say of the object is not so any more
        lock_project(connection, name.project)
        write_line(connection, Change(op="link", repository=name, at=now, blobs=(holding,)))
    return holding


def _row(
    connection: Connection, now: float, name: RepositoryName, wanted: str, *, lock: bool
) -> Any:
    query = _LOCK if lock else _READ
    named = {"project": name.project, "path": name.path, "since": now - REMEMBERED}
    row = query(connection, wanted=wanted, **named).one_or_none()
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
        segments=tuple(_parse(*each) for each in json.loads(row.segments)),
        finished=None if row.finished is None else Digest.parse(row.finished),
        bounded=bool(row.bounded),
    )


def _spell(segment: Segment) -> list[str | int]:
    told: list[str | int] = [segment.name, segment.size, segment.etag]
    return [*told, base64.b64encode(segment.content).decode()] if segment.content else told


def _parse(name: str, size: int, etag: str, content: str = "") -> Segment:
    return Segment(name, size, etag, base64.b64decode(content))
