"""Links: the repository granted its right to a blob whose row is held, or promised it anew."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import BindParameter, Connection, bindparam, exists, null, select, update

from registry.limits import Leave
from registry.oci.digest import Digest
from registry.oci.errors import BlobUnknown
from registry.oci.names import RepositoryName
from registry.storage.changes import Change
from registry.storage.ledger import room
from registry.storage.ledger.apply import ensure_place, find_repository
from registry.storage.ledger.lines import lock_project, write_line
from registry.storage.ledger.prepared import Prepared, upsert
from registry.storage.ledger.schema import blob, link, reference, removal
from registry.storage.records import BlobRecord

_DIGEST: BindParameter[Any] = bindparam("held")
_HERE: BindParameter[Any] = bindparam("here")
_NOW: BindParameter[Any] = bindparam("now")
_ADD_BLOB = upsert(blob, without=["missed_at"])
_FIND_BLOB = Prepared(
    lambda _: (
        select(
            blob.c.object,
            blob.c.size,
            blob.c.bad,
            exists().where(link.c.digest == blob.c.digest).label("linked"),
        )
        .where(blob.c.digest == _DIGEST)
        .with_for_update(key_share=True)
    )
)
_HEAL_BLOB = Prepared(
    lambda _: (
        update(blob)
        .where(blob.c.digest == _DIGEST)
        .values(
            object=bindparam("object"),
            size=bindparam("size"),
            created_at=bindparam("created_at"),
            verified_at=bindparam("verified_at"),
            bad=False,
            missed_at=null(),
        )
    )
)
_ADD_REMOVAL = upsert(removal)
_LOCK_LINKED = Prepared(
    lambda _: (
        select(blob.c.object, blob.c.size)
        .join(link, link.c.digest == blob.c.digest)
        .where(link.c.repository_id == _HERE, blob.c.digest == _DIGEST, ~blob.c.bad)
        .with_for_update()
    )
)
_PROMISE = Prepared(
    lambda _: (
        update(link)
        .where(link.c.repository_id == _HERE, link.c.digest == _DIGEST)
        .values(touched_at=_NOW)
    )
)
_ADD_LINK = upsert(link, "touched_at")
_NAMED = Prepared(
    lambda _: (
        select(reference.c.kind)
        .where(
            reference.c.digest == _DIGEST,
            reference.c.repository_id == _HERE,
            reference.c.kind == "blob",
        )
        .limit(1)
    )
)


@dataclass(frozen=True, slots=True)
class Granting:
    """A repository that is about to be linked to something, and what bounds it."""

    name: RepositoryName
    here: int
    held: room.Bounds | None
    leave: Leave


def prepare(connection: Connection, name: RepositoryName, leave: Leave) -> Granting:
    """Look what bounds the repository; where anything does, take its project's row at once.

    Before any blob's, as manifest PUTs do.
    """
    place = ensure_place(connection, name)
    held = room.bounds(name, place, leave.allowance)
    if held is not None:
        lock_project(connection, name.project)
    return Granting(name, place.id, held, leave)


def hold(connection: Connection, now: float, stored: BlobRecord) -> tuple[BlobRecord, bool]:
    """The blob's row, which stays until this transaction ends: a collector may be at it.

    One whose bytes were found to be bad takes the new object, whose bytes were hashed just now:
    it is healed. So does one that no repository is linked to: in a ledger that was made anew or
    put back, its object may have been collected since.
    """
    digest = str(stored.digest)
    fresh = {"object": stored.object, "size": stored.size, "created_at": now, "verified_at": now}
    row = None
    while row is None:  # at most once more for each collector that took it in between
        _ADD_BLOB(connection, digest=digest, bad=False, **fresh)
        row = _FIND_BLOB(connection, held=digest).one_or_none()
    if row.object != stored.object and not row.linked:
        # It was asked before this waited for the row: whoever had it may have linked a repository.
        row = _FIND_BLOB(connection, held=digest).one_or_none()
    if row.object == stored.object or (row.linked and not row.bad):
        return BlobRecord(stored.digest, row.object, row.size), False
    _ADD_REMOVAL(connection, object=row.object, since=now)
    _HEAL_BLOB(connection, held=digest, **fresh)
    return stored, row.bad


def grant(connection: Connection, now: float, granting: Granting, held: BlobRecord) -> None:
    """Link the repository to a blob, or promise it anew.

    Where a manifest here names the blob already, its line does not tell of this link, and a replay
    would not bring it back: it gets a line of its own, flushed with the project's next one.
    """
    name, here, bounds = granting.name, granting.here, granting.held
    digest = str(held.digest)
    if _promise(connection, now, here, digest):
        return
    if bounds is not None:
        room.admit_content(connection, now, bounds, digest, held.size)
    is_named = _NAMED(connection, here=here, held=digest).scalar() is not None
    if is_named:
        lock_project(connection, name.project)
    _ADD_LINK(connection, repository_id=here, digest=digest, touched_at=now)
    if is_named:
        write_line(connection, Change(op="link", repository=name, at=now, blobs=(held,)))
    if bounds is not None:
        room.warn(connection, bounds, granting.leave)


def mount(
    connection: Connection,
    now: float,
    name: RepositoryName,
    source: RepositoryName,
    digest: Digest,
    leave: Leave,
) -> BlobRecord:
    """As in Ledger.link_blob."""
    granting = prepare(connection, name, leave)
    origin = find_repository(connection, source)
    found = _LOCK_LINKED(connection, here=origin, held=str(digest)).one_or_none()
    if found is None:
        raise BlobUnknown(f"{digest} is not in {source}")
    holding = BlobRecord(digest, found.object, found.size)
    grant(connection, now, granting, holding)
    return holding


def touch(connection: Connection, now: float, name: RepositoryName, digest: Digest) -> bool:
    """As in Ledger.touch_link."""
    return _promise(connection, now, find_repository(connection, name), str(digest))


def _promise(connection: Connection, now: float, here: int | None, digest: str) -> bool:
    """Raise the link's time to *now*; whether there is a link."""
    touched = _PROMISE(connection, here=here, held=digest, now=now)
    return touched.rowcount > 0
