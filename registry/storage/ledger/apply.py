"""Carrying a change out: the one function that live transactions and replays share."""

import json
from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Any, TypeVar

from sqlalchemy import Connection, Table, delete, insert, literal, select, update
from sqlalchemy.dialects import postgresql, sqlite

from registry.oci.names import RepositoryName
from registry.storage.ledger.changes import Change, RecordState
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

CHUNK = 500
"""Values in one statement at most: databases bound them."""

Item = TypeVar("Item")


def chunks(items: Iterable[Item]) -> Iterable[list[Item]]:
    """*items* in lists of CHUNK at most."""
    iterator = iter(items)
    while chunk := list(islice(iterator, CHUNK)):
        yield chunk


def upsert(
    connection: Connection, table: Table, rows: Sequence[dict[str, Any]], *set_: str
) -> None:
    """Insert *rows*; where one is there already, take over the columns *set_*, or leave it."""
    kind = postgresql if connection.dialect.name == "postgresql" else sqlite
    keys = [column.name for column in table.primary_key]
    for part in chunks(rows):
        statement = kind.insert(table)
        if set_:
            taken = {name: statement.excluded[name] for name in set_}
            connection.execute(statement.on_conflict_do_update(keys, set_=taken), part)
        else:
            connection.execute(statement.on_conflict_do_nothing(keys), part)


def ensure_repository(connection: Connection, name: RepositoryName) -> int:
    """The repository's row, made if there is none."""
    found = find_repository(connection, name)
    if found is not None:
        return found
    kind = postgresql if connection.dialect.name == "postgresql" else sqlite
    values = {"project_id": name.project, "path": name.path, "name": str(name)}
    connection.execute(kind.insert(repository).on_conflict_do_nothing(["name"]), values)
    made = find_repository(connection, name)
    assert made is not None
    return made


def find_repository(connection: Connection, name: RepositoryName) -> int | None:
    """The repository's row id, or None."""
    query = select(repository.c.id).where(
        repository.c.project_id == name.project, repository.c.path == name.path
    )
    return connection.execute(query).scalar()


def apply(connection: Connection, change: Change) -> None:
    """Make the tables what they are after *change*. What it says is done already stays done."""
    here = ensure_repository(connection, change.repository)
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
    for state in change.records:
        _write_record(connection, state)
    for gone in change.gone:
        remove_record(connection, gone)


def _put(connection: Connection, here: int, change: Change) -> None:
    pushed = change.manifest
    assert pushed is not None
    digest = str(pushed.digest)
    rows = [
        {
            "digest": str(each.digest),
            "object": each.object,
            "size": each.size,
            "created_at": change.at,
        }
        for each in change.blobs
    ]
    upsert(connection, blob, rows)
    links = [
        {"repository_id": here, "digest": str(each.digest), "touched_at": change.at}
        for each in change.blobs
    ]
    upsert(connection, link, links)
    values = {
        "repository_id": here,
        "digest": digest,
        "media_type": pushed.media_type,
        "content": pushed.content,
        "subject": None if pushed.subject is None else str(pushed.subject),
        "artifact_type": pushed.artifact_type,
        "annotations": json.dumps(dict(pushed.annotations)),
        "pushed_at": change.at,
    }
    taken = ("media_type", "content", "subject", "artifact_type", "annotations")
    upsert(connection, manifest, [values], *taken)
    connection.execute(
        delete(reference).where(
            reference.c.repository_id == here, reference.c.manifest_digest == digest
        )
    )
    names = [
        {"repository_id": here, "manifest_digest": digest, "digest": named, "kind": kind}
        for named, kind in change.references
    ]
    upsert(connection, reference, names)
    for name in change.tags:
        _set_tag(connection, here, name, digest, change.at)


def _set_tag(connection: Connection, here: int, name: str, digest: str, at: float) -> None:
    moved = connection.execute(
        update(tag)
        .where(tag.c.repository_id == here, tag.c.name == name)
        .values(digest=digest, moved_at=at, version=tag.c.version + literal(1))
    )
    if moved.rowcount == 0:
        values = {
            "repository_id": here,
            "name": name,
            "digest": digest,
            "version": 1,
            "moved_at": at,
        }
        upsert(connection, tag, [values], "digest", "moved_at")


def _delete_manifest(connection: Connection, here: int, change: Change) -> None:
    digest = str(change.digest)
    _delete_tags(connection, here, change.tags)
    connection.execute(
        delete(reference).where(
            reference.c.repository_id == here, reference.c.manifest_digest == digest
        )
    )
    connection.execute(
        delete(manifest).where(manifest.c.repository_id == here, manifest.c.digest == digest)
    )


def _delete_tags(connection: Connection, here: int, names: Sequence[str]) -> None:
    for part in chunks(names):
        connection.execute(delete(tag).where(tag.c.repository_id == here, tag.c.name.in_(part)))


def _write_record(connection: Connection, state: RecordState) -> None:
    written = state.record
    values = {
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
    taken = ("name", "parent_id", "size", "properties", "visibility", "updated_at", "version")
    upsert(connection, record, [values], *taken)
    connection.execute(delete(record_use).where(record_use.c.user_id == written.id))
    uses = [{"user_id": written.id, "used_id": used} for used in state.uses]
    if uses:
        connection.execute(insert(record_use), uses)
    connection.execute(delete(member).where(member.c.record_id == written.id))
    members = [
        {"record_id": written.id, "project_id": shared, "status": status}
        for shared, status in state.members
    ]
    if members:
        connection.execute(insert(member), members)


def remove_record(connection: Connection, gone: str) -> None:
    """Take one record out, with what hangs on it. Idempotent."""
    connection.execute(delete(record_use).where(record_use.c.user_id == gone))
    connection.execute(delete(member).where(member.c.record_id == gone))
    connection.execute(delete(record).where(record.c.id == gone))
