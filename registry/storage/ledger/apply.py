"""Carrying a change out: the one function that live transactions and replays share."""

import json
from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Any, TypeVar, cast

from sqlalchemy import Connection, Table, delete, insert, literal, select
from sqlalchemy.dialects import postgresql, sqlite

from registry.oci.names import RepositoryName
from registry.storage.changes import Change, RecordState
from registry.storage.ledger.schema import (
    blob,
    link,
    manifest,
    member,
    record,
    record_use,
    reference,
    repository,
    tag,
)
from registry.storage.records import ImageRecord, ManifestRecord

CHUNK = 500
"""Values in one statement at most: databases bound them."""

Item = TypeVar("Item")


def chunks(items: Iterable[Item]) -> Iterable[list[Item]]:
    """*items* in lists of CHUNK at most."""
    iterator = iter(items)
    while chunk := list(islice(iterator, CHUNK)):
        yield chunk


def insert_into(connection: Connection, table: Table) -> sqlite.Insert:
    """An INSERT that knows ON CONFLICT: two classes that are spelt alike, so one name for both."""
    if connection.dialect.name == "postgresql":
        return cast("sqlite.Insert", postgresql.insert(table))
    return sqlite.insert(table)


def upsert(
    connection: Connection, table: Table, rows: Sequence[dict[str, Any]], *set_: str
) -> None:
    """Insert *rows*; where one is there already, take over the columns *set_*, or leave it."""
    keys = [column.name for column in table.primary_key]
    for part in chunks(rows):
        statement = insert_into(connection, table)
        if set_:
            taken = {name: statement.excluded[name] for name in set_}
            connection.execute(
                statement.on_conflict_do_update(index_elements=keys, set_=taken), part
            )
        else:
            connection.execute(statement.on_conflict_do_nothing(index_elements=keys), part)


def ensure_repository(connection: Connection, name: RepositoryName) -> int:
    """The repository's row, made if there is none."""
    found = find_repository(connection, name)
    if found is not None:
        return found
    values = {"project_id": name.project, "path": name.path, "name": str(name)}
    statement = insert_into(connection, repository)
    # In conflict with whatever: another transaction may be making the row at this moment.
    connection.execute(statement.on_conflict_do_nothing(), values)
    made = find_repository(connection, name)
    assert made is not None
    return made


def find_repository(connection: Connection, name: RepositoryName) -> int | None:
    """The repository's row id, or None."""
    query = select(repository.c.id).where(
        repository.c.project_id == name.project, repository.c.path == name.path
    )
    return connection.execute(query).scalar()


def apply(connection: Connection, here: int, change: Change) -> None:
    """Make the tables what they are after *change*, in the repository whose row is *here*.

    A put and a ``link`` take their blobs' rows and links to be there: a replay brings them back
    beforehand.
    """
    if change.op == "put":
        _put(connection, here, change)
    elif change.op == "delete-manifest":
        _delete_manifest(connection, here, change)
    elif change.op == "delete-tag":
        _delete_tags(connection, here, change.tags)
    elif change.op == "unlink":
        connection.execute(
            delete(link).where(link.c.repository_id == here, link.c.digest == str(change.digest))
        )
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
    upsert(connection, blob, blobs)
    links = [
        {"repository_id": here, "digest": str(each.digest), "touched_at": change.at}
        for each in change.blobs
    ]
    upsert(connection, link, links)


def remove_record(connection: Connection, gone: str) -> None:
    """Take one record out, with what hangs on it. Idempotent."""
    connection.execute(delete(record_use).where(record_use.c.user_id == gone))
    connection.execute(delete(member).where(member.c.record_id == gone))
    connection.execute(delete(record).where(record.c.id == gone))


def _put(connection: Connection, here: int, change: Change) -> None:
    pushed = change.manifest
    assert pushed is not None
    digest = str(pushed.digest)
    if _put_manifest(connection, here, pushed, change.at):
        _delete_references(connection, here, digest)
        names = [
            {"repository_id": here, "manifest_digest": digest, "digest": named, "kind": kind}
            for named, kind in change.references
        ]
        upsert(connection, reference, names)
    statement = insert_into(connection, tag)
    moved = {
        "digest": statement.excluded.digest,
        "moved_at": statement.excluded.moved_at,
        "version": tag.c.version + literal(1),
    }
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
    if rows:
        keys = [tag.c.repository_id, tag.c.name]
        connection.execute(statement.on_conflict_do_update(index_elements=keys, set_=moved), rows)


def _put_manifest(connection: Connection, here: int, pushed: ManifestRecord, at: float) -> bool:
    """Whether the row is new, or of another media type than before: the rest is its content."""
    statement = insert_into(connection, manifest)
    taken = {name: statement.excluded[name] for name in ("media_type", "subject", "artifact_type")}
    values = {
        "repository_id": here,
        "digest": str(pushed.digest),
        "media_type": pushed.media_type,
        "content": pushed.content,
        "subject": None if pushed.subject is None else str(pushed.subject),
        "artifact_type": pushed.artifact_type,
        "annotations": json.dumps(dict(pushed.annotations)),
        "pushed_at": at,
    }
    written = connection.execute(
        statement.on_conflict_do_update(
            index_elements=[manifest.c.repository_id, manifest.c.digest],
            set_=taken,
            where=manifest.c.media_type != statement.excluded.media_type,
        ).returning(manifest.c.digest),
        values,
    )
    return written.one_or_none() is not None


def _delete_manifest(connection: Connection, here: int, change: Change) -> None:
    digest = str(change.digest)
    _delete_tags(connection, here, change.tags)
    _delete_references(connection, here, digest)
    connection.execute(
        delete(manifest).where(manifest.c.repository_id == here, manifest.c.digest == digest)
    )


def _delete_references(connection: Connection, here: int, digest: str) -> None:
    named = reference.c.repository_id == here, reference.c.manifest_digest == digest
    connection.execute(delete(reference).where(*named))


def _delete_tags(connection: Connection, here: int, names: Sequence[str]) -> None:
    for part in chunks(names):
        connection.execute(delete(tag).where(tag.c.repository_id == here, tag.c.name.in_(part)))


def _write_records(connection: Connection, states: Sequence[RecordState]) -> None:
    """Insert or overwrite records, parents first, as they come."""
    taken = ("name", "parent_id", "size", "properties", "visibility", "updated_at", "version")
    upsert(connection, record, [_row(each.record) for each in states], *taken)
    changed = [each.record.id for each in states if each.record.version > 1]
    for part in chunks(changed):
        connection.execute(delete(record_use).where(record_use.c.user_id.in_(part)))
        connection.execute(delete(member).where(member.c.record_id.in_(part)))
    uses = [{"user_id": each.record.id, "used_id": used} for each in states for used in each.uses]
    if uses:
        connection.execute(insert(record_use), uses)
    members = [
        {"record_id": each.record.id, "project_id": shared, "status": status}
        for each in states
        for shared, status in each.members
    ]
    if members:
        connection.execute(insert(member), members)


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
