"""Carrying a change out: the one function that live transactions and replays share."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    BindParameter,
    ClauseElement,
    Connection,
    bindparam,
    delete,
    literal,
    select,
    update,
)
from sqlalchemy.engine import Dialect

from registry.oci.names import RepositoryName
from registry.storage.changes import Change, RecordState
from registry.storage.ledger import marks
from registry.storage.ledger.prepared import (
    Prepared,
    PreparedList,
    columns_of,
    insert_into,
    upsert,
)
from registry.storage.ledger.schema import (
    blob,
    link,
    manifest,
    member,
    project,
    record,
    record_use,
    reference,
    removal,
    repository,
    tag,
)
from registry.storage.ledger.trash import take_out, throw_away
from registry.storage.records import ImageRecord, ManifestRecord


def _put_manifest(dialect: Dialect) -> ClauseElement:
    """Answers a row where the manifest is new, or of another media type than before."""
    statement = insert_into(dialect, manifest)
    taken = {name: statement.excluded[name] for name in ("media_type", "subject", "artifact_type")}
    return statement.on_conflict_do_update(
        index_elements=[manifest.c.repository_id, manifest.c.digest],
        set_=taken,
        where=manifest.c.media_type != statement.excluded.media_type,
    ).returning(manifest.c.digest)


def _move_tag(dialect: Dialect) -> ClauseElement:
    statement = insert_into(dialect, tag)
    moved = {
        "digest": statement.excluded.digest,
        "moved_at": statement.excluded.moved_at,
        "version": tag.c.version + literal(1),
    }
    keys = [tag.c.repository_id, tag.c.name]
    return statement.on_conflict_do_update(index_elements=keys, set_=moved)


def _restore_blob(dialect: Dialect) -> ClauseElement:
    """A blob may have been collected and pushed again: the later line knows its object."""
    statement = insert_into(dialect, blob)
    taken = {name: statement.excluded[name] for name in ("object", "size", "created_at")}
    return statement.on_conflict_do_update(
        index_elements=["digest"],
        set_=taken,
        where=blob.c.created_at < statement.excluded.created_at,
    )


_HERE: BindParameter[Any] = bindparam("here")
_DIGEST: BindParameter[Any] = bindparam("digest")
_FIND_REPOSITORY = Prepared(
    lambda _: (
        select(repository.c.id, repository.c.limits, project.c.limits.label("whole"))
        .outerjoin(project, project.c.id == repository.c.project_id)
        .where(
            repository.c.project_id == bindparam("project"), repository.c.path == bindparam("path")
        )
    )
)
# In conflict with whatever: another transaction may be making the row at this moment.
_ADD_REPOSITORY = upsert(repository, without=["id", "limits"])
_PUT_MANIFEST = Prepared(_put_manifest, columns_of(manifest))
_DELETE_MANIFEST = Prepared(
    lambda _: delete(manifest).where(
        manifest.c.repository_id == _HERE, manifest.c.digest == _DIGEST
    )
)
_ADD_REFERENCE = upsert(reference)
_DELETE_REFERENCES = Prepared(
    lambda _: delete(reference).where(
        reference.c.repository_id == _HERE, reference.c.manifest_digest == _DIGEST
    )
)
_MOVE_TAG = Prepared(_move_tag, columns_of(tag))
_TAGGED = PreparedList(
    lambda names: select(tag.c.name, tag.c.digest).where(
        tag.c.repository_id == _HERE, tag.c.name.in_(names)
    )
)
_DELETE_TAGS = PreparedList(
    lambda names: delete(tag).where(tag.c.repository_id == _HERE, tag.c.name.in_(names))
)
_RESTORE_BLOB = Prepared(_restore_blob, columns_of(blob, ["verified_at", "bad", "missed_at"]))
_KEEP_OBJECT = Prepared(lambda _: delete(removal).where(removal.c.object == bindparam("object")))
_ADD_LINK = upsert(link)
_DELETE_LINK = Prepared(
    lambda _: delete(link).where(link.c.repository_id == _HERE, link.c.digest == _DIGEST)
)
_WRITE_RECORD = upsert(
    record, "name", "parent_id", "size", "properties", "visibility", "updated_at", "version"
)
_ADD_USE = upsert(record_use)
_ADD_MEMBER = upsert(member)
_DELETE_USES = PreparedList(lambda ids: delete(record_use).where(record_use.c.user_id.in_(ids)))
_DELETE_MEMBERS = PreparedList(lambda ids: delete(member).where(member.c.record_id.in_(ids)))
_FREE_KEYS = PreparedList(
    lambda ids: (
        update(record).where(record.c.id.in_(ids)).values(key=literal("renamed:") + record.c.id)
    )
)
_DELETE_RECORDS = PreparedList(lambda ids: delete(record).where(record.c.id.in_(ids)))


@dataclass(frozen=True, slots=True)
class Place:
    """A repository's row."""

    id: int
    limits: str | None
    """Its own, in JSON."""
    whole: str | None
    """Its project's."""


NOWHERE = -1
"""In place of a row's id, for what is of a whole project, or not there yet."""


def ensure_place(connection: Connection, name: RepositoryName) -> Place:
    """The repository's row, made if there is none."""
    found = find_place(connection, name)
    if found is not None:
        return found
    _ADD_REPOSITORY(connection, project_id=name.project, path=name.path, name=str(name))
    made = find_place(connection, name)
    assert made is not None
    return made


def find_place(connection: Connection, name: RepositoryName) -> Place | None:
    """The repository's row, or None."""
    row = _FIND_REPOSITORY(connection, project=name.project, path=name.path).one_or_none()
    return None if row is None else Place(row.id, row.limits, row.whole)


def ensure_repository(connection: Connection, name: RepositoryName) -> int:
    """The repository's row id, made if there is none."""
    return ensure_place(connection, name).id


def find_repository(connection: Connection, name: RepositoryName) -> int | None:
    """The repository's row id, or None."""
    found: int | None = _FIND_REPOSITORY(connection, project=name.project, path=name.path).scalar()
    return found


def apply(connection: Connection, here: int, change: Change) -> None:
    """Make the tables what they are after *change*, in the repository whose row is *here*.

    A put and a ``link`` take their blobs' rows and links to be there: a replay brings them back
    beforehand.
    """
    digest = str(change.digest)
    if change.op in {"put", "undelete"}:
        assert change.manifest is not None
        _put(connection, here, change, change.manifest)
    elif change.op == "delete-manifest":
        throw_away(connection, here, digest, change.tags, change.at, whole=change.whole)
        _DELETE_TAGS(connection, change.tags, here=here)
        _DELETE_REFERENCES(connection, here=here, digest=digest)
        _DELETE_MANIFEST(connection, here=here, digest=digest)
    elif change.op == "delete-tag":
        for row in _TAGGED(connection, change.tags, here=here):
            throw_away(connection, here, row.digest, [row.name], change.at)
        _DELETE_TAGS(connection, change.tags, here=here)
    elif change.op == "unlink":
        _DELETE_LINK(connection, here=here, digest=digest)
    elif change.op == "collect":
        _DELETE_LINK.many(
            connection, [{"here": here, "digest": str(each)} for each in change.digests]
        )
    elif change.op == "rename":
        _FREE_KEYS(connection, change.gone)
    _write_records(connection, change.records)
    for gone in change.gone:
        remove_record(connection, gone)


def restore_blobs(connection: Connection, here: int, change: Change) -> None:
    """Bring back the rows and links of the blobs that a change names."""
    blobs = [
        {
            "digest": str(each.digest),
            "object": each.object,
            "size": each.size,
            "created_at": change.at,
        }
        for each in change.blobs
    ]
    _RESTORE_BLOB.many(connection, blobs)
    # An earlier ledger that was put back may have condemned what is needed since.
    _KEEP_OBJECT.many(connection, [{"object": each.object} for each in change.blobs])
    links = [
        {"repository_id": here, "digest": str(each.digest), "touched_at": change.at}
        for each in change.blobs
    ]
    _ADD_LINK.many(connection, links)


def forget_unlinked(connection: Connection) -> None:
    """Forget the blobs that a replay leaves without a link.

    A collector may have removed their objects, which no line tells: whoever pushed such a blob
    would be given an object that is gone. One that is still there is an orphan.
    """
    linked = select(link.c.digest).where(link.c.digest == blob.c.digest)
    connection.execute(delete(blob).where(~linked.exists()))


def remove_record(connection: Connection, gone: str) -> None:
    """Take one record out, with what hangs on it. Idempotent."""
    marks.bury(connection, gone)
    for statement in (_DELETE_USES, _DELETE_MEMBERS, _DELETE_RECORDS):
        statement(connection, [gone])


def _put(connection: Connection, here: int, change: Change, pushed: ManifestRecord) -> None:
    digest = str(pushed.digest)
    written = _PUT_MANIFEST(
        connection,
        repository_id=here,
        digest=digest,
        media_type=pushed.media_type,
        content=pushed.content,
        subject=None if pushed.subject is None else str(pushed.subject),
        artifact_type=pushed.artifact_type,
        annotations=json.dumps(dict(pushed.annotations)),
        pushed_at=change.at,
    )
    if written.one_or_none() is not None:  # else it is there, and the rest is its content
        _DELETE_REFERENCES(connection, here=here, digest=digest)
        names = [
            {"repository_id": here, "manifest_digest": digest, "digest": named, "kind": kind}
            for named, kind in change.references
        ]
        _ADD_REFERENCE.many(connection, names)
    rows = [
        {
            "repository_id": here,
            "name": name,
            "digest": digest,
            "version": 1,
            "moved_at": change.at,
        }
        for name in change.tags
    ]
    _MOVE_TAG.many(connection, rows)
    if change.op == "undelete":
        take_out(connection, here, digest, change.tags)
    as_before = {f"tag:{change.repository.path}:{name}" for name in change.tags}
    as_before -= {each.record.key for each in change.records}
    if as_before:
        marks.mark_keyed(connection, change.repository.project, sorted(as_before))


def _write_records(connection: Connection, states: Sequence[RecordState]) -> None:
    """Insert or overwrite records, parents first, as they come."""
    _WRITE_RECORD.many(connection, [_row(each.record) for each in states])
    changed = [each.record.id for each in states if each.record.version > 1]
    _DELETE_USES(connection, changed)
    _DELETE_MEMBERS(connection, changed)
    uses = [{"user_id": each.record.id, "used_id": used} for each in states for used in each.uses]
    _ADD_USE.many(connection, uses)
    members = [
        {"record_id": each.record.id, "project_id": shared, "status": status}
        for each in states
        for shared, status in each.members
    ]
    _ADD_MEMBER.many(connection, members)
    marks.mark(connection, [each.record.id for each in states])


def _row(written: ImageRecord) -> dict[str, Any]:
    return {
        "id": written.id,
        "project_id": written.project,
        "key": written.key,
        "kind": written.kind,
        "name": written.name,
        "parent_id": written.parent_id,
        "size": written.size,
        "properties": json.dumps(dict(written.properties)),
        "visibility": written.visibility,
        "created_at": written.created_at,
        "updated_at": written.updated_at,
        "version": written.version,
    }
