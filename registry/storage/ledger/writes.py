"""Changes of names: checked under locks, made into a Change, carried out, and journalled."""

import json
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

from sqlalchemy import (
    BindParameter,
    Connection,
    bindparam,
    select,
    update,
)

from registry.limits import UNBOUNDED, Leave
from registry.oci.digest import Digest
from registry.oci.errors import (
    BlobUnknown,
    ManifestBlobUnknown,
    ManifestUnknown,
)
from registry.oci.names import RepositoryName, Tag
from registry.storage.changes import Change
from registry.storage.ledger import records, room
from registry.storage.ledger.apply import (
    apply,
    ensure_place,
    ensure_repository,
    find_repository,
)
from registry.storage.ledger.lines import ensure_project, lock_project, write_line
from registry.storage.ledger.prepared import (
    PreparedList,
)
from registry.storage.ledger.schema import (
    blob,
    link,
    manifest,
    project,
    repository,
    tag,
)
from registry.storage.ledger.untold import note_said
from registry.storage.records import (
    BlobRecord,
    ManifestPut,
    Position,
    Shared,
)
from registry.storage.sharing import SharingChange, share

NewId = Callable[[], str]


_HERE: BindParameter[Any] = bindparam("here")
_LINKED = PreparedList(
    lambda digests: (
        select(blob.c.digest, blob.c.object, blob.c.size)
        .join(link, link.c.digest == blob.c.digest)
        .where(link.c.repository_id == _HERE, blob.c.digest.in_(digests), ~blob.c.bad)
        .order_by(blob.c.digest)
        .with_for_update()
    )
)
_MANIFESTS = PreparedList(
    lambda digests: (
        select(manifest.c.digest)
        .where(manifest.c.repository_id == _HERE, manifest.c.digest.in_(digests))
        .order_by(manifest.c.digest)
        .with_for_update()
    )
)


def put_manifest(
    connection: Connection,
    now: float,
    put: ManifestPut,
    new_id: NewId,
    leave: Leave | None = None,
    op: str = "put",
) -> Position:
    """As in Ledger.put_manifest; *op* is what the journal calls it."""
    lock_project(connection, put.repository.project)
    place = ensure_place(connection, put.repository)
    here = place.id
    found = _linked(connection, here, put.blobs)
    children = _manifests(connection, here, put.manifests)
    if not put.sparse:
        missing = [each for each in put.blobs if each not in found]
        missing += [each for each in put.manifests if each not in children]
        if missing:
            raise ManifestBlobUnknown(
                {"missing": [str(each) for each in missing], "advice": "push these first"}
            )
    held = room.bounds(put.repository, place, UNBOUNDED if leave is None else leave.allowance)
    if held is not None:
        pushed = put.manifest
        room.admit_content(connection, now, held, str(pushed.digest), len(pushed.content))
        room.admit_tags(connection, held, [each.name for each in put.tags])
    states, released = records.resolve(connection, put.repository, put.drafts, now, new_id)
    change = Change(
        op=op,
        repository=put.repository,
        at=now,
        manifest=put.manifest,
        references=put.references,
        blobs=tuple(found.values()),
        tags=tuple(each.name for each in put.tags),
        records=tuple(states),
    )
    apply(connection, here, change)
    gone = records.end(connection, put.repository.project, (), released)
    if held is not None and leave is not None:
        room.warn(connection, held, leave)
    return write_line(connection, replace(change, gone=tuple(gone)))


def delete_manifest(
    connection: Connection,
    now: float,
    name: RepositoryName,
    digest: Digest,
    *,
    whole: bool = False,
) -> Position:
    """As in Ledger.delete_manifest; *whole*: the whole repository goes."""
    lock_project(connection, name.project)
    here = find_repository(connection, name)
    query = select(manifest.c.digest).where(
        manifest.c.repository_id == here, manifest.c.digest == str(digest)
    )
    if here is None or connection.execute(query).scalar() is None:
        raise ManifestUnknown(f"{digest} is not in this repository")
    tagged = select(tag.c.name).where(tag.c.repository_id == here, tag.c.digest == str(digest))
    tags = sorted(connection.execute(tagged).scalars())
    change = Change("delete-manifest", name, now, digest=digest, tags=tuple(tags), whole=whole)
    apply(connection, here, change)
    keys = [_tag_key(name, each) for each in tags]
    left = select(manifest.c.digest).where(manifest.c.repository_id == here).limit(1)
    if connection.execute(left).scalar() is None:
        keys.append(f"repository:{name.path}")
    gone = records.end(connection, name.project, keys)
    return write_line(connection, replace(change, gone=tuple(gone)))


def delete_tag(connection: Connection, now: float, name: RepositoryName, wanted: Tag) -> Position:
    """As in Ledger.delete_tag."""
    lock_project(connection, name.project)
    here = find_repository(connection, name)
    query = select(tag.c.name).where(tag.c.repository_id == here, tag.c.name == wanted.name)
    if here is None or connection.execute(query).scalar() is None:
        raise ManifestUnknown(f"there is no tag {wanted} in this repository")
    change = Change(op="delete-tag", repository=name, at=now, tags=(wanted.name,))
    apply(connection, here, change)
    gone = records.end(connection, name.project, [_tag_key(name, wanted.name)])
    return write_line(connection, replace(change, gone=tuple(gone)))


def unlink_blob(
    connection: Connection, now: float, name: RepositoryName, digest: Digest
) -> Position:
    """As in Ledger.unlink_blob."""
    lock_project(connection, name.project)
    here = find_repository(connection, name)
    if here is None or digest not in _linked(connection, here, [digest]):
        raise BlobUnknown(f"{digest} is not in this repository")
    change = Change(op="unlink", repository=name, at=now, digest=digest)
    apply(connection, here, change)
    return write_line(connection, change)


def share_record(connection: Connection, now: float, wanted: str, how: SharingChange) -> Shared:
    """As in Ledger.share_record."""
    lock_project(connection, records.find(connection, wanted).project)
    state = records.state(connection, wanted)
    change = share(state, now, how)
    apply(connection, ensure_repository(connection, change.repository), change)
    note_said(connection, change, {wanted: state})
    return Shared(change.records[0].record, write_line(connection, change))


def set_limits(connection: Connection, change: Change) -> None:
    """Put the limits that *change* says in place of those before."""
    name = change.repository
    text = json.dumps(dict(change.limits), sort_keys=True) if change.limits else None
    if name.path:
        ensure_repository(connection, name)
        mine = (repository.c.project_id == name.project, repository.c.path == name.path)
        connection.execute(update(repository).where(*mine).values(limits=text))
    else:
        ensure_project(connection, name.project)
        connection.execute(update(project).where(project.c.id == name.project).values(limits=text))


def _linked(
    connection: Connection, here: int, wanted: Iterable[Digest]
) -> dict[Digest, BlobRecord]:
    """The blobs of *wanted* that the repository is linked to; their rows are locked in order."""
    rows = _LINKED(connection, sorted(str(each) for each in wanted), here=here)
    found = [BlobRecord(Digest.parse(row.digest), row.object, row.size) for row in rows]
    return {each.digest: each for each in found}


def _manifests(connection: Connection, here: int, wanted: Iterable[Digest]) -> set[Digest]:
    rows = _MANIFESTS(connection, sorted(str(each) for each in wanted), here=here)
    return {Digest.parse(row.digest) for row in rows}


def _tag_key(name: RepositoryName, wanted: str) -> str:
    return f"tag:{name.path}:{wanted}"
