"""Changes of names: checked under locks, made into a Change, carried out, and journalled."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace

from sqlalchemy import Connection, delete, literal, select

from registry.oci.digest import Digest
from registry.oci.errors import (
    BlobUnknown,
    ManifestBlobUnknown,
    ManifestUnknown,
    RegistryError,
    StorageUnavailable,
)
from registry.oci.names import RepositoryName, Tag
from registry.storage.changes import Change, RecordState, from_line, to_line
from registry.storage.ledger import records
from registry.storage.ledger.apply import (
    apply,
    chunks,
    ensure_repository,
    find_repository,
    insert_into,
    restore_blobs,
)
from registry.storage.ledger.schema import blob, journal, link, manifest, project, tag
from registry.storage.records import (
    BlobRecord,
    JournalLine,
    ManifestPut,
    Member,
    Position,
)

LINES = 1000
"""Pending lines in one answer."""

NewId = Callable[[], str]


def put_manifest(connection: Connection, now: float, put: ManifestPut, new_id: NewId) -> Position:
    """As in Ledger.put_manifest."""
    lock_project(connection, put.repository.project)
    here = ensure_repository(connection, put.repository)
    found = _linked(connection, here, put.blobs)
    children = _manifests(connection, here, put.manifests)
    if not put.sparse:
        missing = [each for each in put.blobs if each not in found]
        missing += [each for each in put.manifests if each not in children]
        if missing:
            raise ManifestBlobUnknown(
                {"missing": [str(each) for each in missing], "advice": "push these first"}
            )
    states, released = records.resolve(connection, put.repository, put.drafts, now, new_id)
    change = Change(
        op="put",
        repository=put.repository,
        at=now,
        manifest=put.manifest,
        references=_references(put),
        blobs=tuple(found.values()),
        tags=tuple(each.name for each in put.tags),
        records=tuple(states),
    )
    apply(connection, here, change)
    gone = records.end(connection, put.repository.project, (), released)
    return write_line(connection, replace(change, gone=tuple(gone)))


def delete_manifest(
    connection: Connection, now: float, name: RepositoryName, digest: Digest
) -> Position:
    """As in Ledger.delete_manifest."""
    lock_project(connection, name.project)
    here = find_repository(connection, name)
    query = select(manifest.c.digest).where(
        manifest.c.repository_id == here, manifest.c.digest == str(digest)
    )
    if here is None or connection.execute(query).scalar() is None:
        raise ManifestUnknown(f"{digest} is not in this repository")
    tagged = select(tag.c.name).where(tag.c.repository_id == here, tag.c.digest == str(digest))
    tags = sorted(connection.execute(tagged).scalars())
    change = Change(op="delete-manifest", repository=name, at=now, digest=digest, tags=tuple(tags))
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


def share_record(
    connection: Connection,
    now: float,
    wanted: str,
    visibility: str | None,
    added: Member | None,
    removed: str | None,
) -> Position:
    """As in Ledger.share_record."""
    lock_project(connection, records.find(connection, wanted).project)
    present = records.find(connection, wanted)
    shared = {each.project: each.status for each in records.members(connection, wanted)}
    if added is not None:
        shared[added.project] = added.status
    if removed is not None:
        shared.pop(removed, None)
    state = RecordState(
        replace(
            present,
            visibility=visibility or present.visibility,
            updated_at=now,
            version=present.version + 1,
        ),
        records.uses(connection, wanted),
        tuple(sorted(shared.items())),
    )
    path = present.properties.get("oci_repository", "")
    change = Change(
        op="share", repository=RepositoryName(present.project, path), at=now, records=(state,)
    )
    here = ensure_repository(connection, change.repository)
    apply(connection, here, change)
    return write_line(connection, change)


def lock_project(connection: Connection, name: str) -> None:
    """Take the project's row, so that its changes of names come one after the other.

    A change is computed from what is there, and its line must stand where it took effect. SQLite's
    writers are alone anyway.
    """
    if connection.dialect.name == "postgresql":
        statement = insert_into(connection, project)
        held = statement.on_conflict_do_update(
            index_elements=["id"], set_={"sequence": project.c.sequence}
        )
        connection.execute(held, {"id": name, "sequence": 0})


def write_line(connection: Connection, change: Change) -> Position:
    """Draw the project's next sequence and write the line there."""
    insert = insert_into(connection, project)
    raised = {"sequence": project.c.sequence + literal(1)}
    drawn = insert.on_conflict_do_update(index_elements=["id"], set_=raised).returning(
        project.c.sequence
    )
    values = {"id": change.repository.project, "sequence": 1}
    sequence = connection.execute(drawn, values).scalar_one()
    position = Position(change.repository.project, sequence)
    row = {
        "project_id": position.project,
        "sequence": sequence,
        "content": to_line(change),
    }
    connection.execute(journal.insert(), row)
    return position


def pending_lines(connection: Connection, wanted: str | None) -> list[JournalLine]:
    """As in Ledger.pending_lines."""
    query = select(journal).order_by(journal.c.project_id, journal.c.sequence).limit(LINES)
    if wanted is not None:
        query = query.where(journal.c.project_id == wanted)
    return [
        JournalLine(Position(row.project_id, row.sequence), bytes(row.content))
        for row in connection.execute(query)
    ]


def settle(connection: Connection, heads: Mapping[str, int]) -> None:
    """As in Ledger.settle."""
    for name, head in heads.items():
        connection.execute(
            delete(journal).where(journal.c.project_id == name, journal.c.sequence <= head)
        )


def heads(connection: Connection) -> dict[str, int]:
    """As in Ledger.heads."""
    query = select(project).where(project.c.sequence > 0)
    return {row.id: row.sequence for row in connection.execute(query)}


def replay(connection: Connection, lines: Sequence[JournalLine]) -> None:
    """As in Ledger.replay."""
    for name in sorted({line.position.project for line in lines}):
        lock_project(connection, name)
    reached = heads(connection)
    for line in lines:
        name, sequence = line.position.project, line.position.sequence
        head = reached.get(name, 0)
        if sequence <= head:
            continue
        if sequence != head + 1:
            raise StorageUnavailable(f"the journal of {name} has a gap after line {head}")
        try:
            change = from_line(line.content)
        except (ValueError, KeyError, TypeError, AttributeError, RegistryError) as error:
            where = f"line {sequence} of the journal of {name}"
            raise StorageUnavailable(f"{where} cannot be read: {error}") from error
        here = ensure_repository(connection, change.repository)
        restore_blobs(connection, here, change)
        apply(connection, here, change)
        reached[name] = sequence
    _reach(connection, reached)


def _reach(connection: Connection, reached: Mapping[str, int]) -> None:
    insert = insert_into(connection, project)
    statement = insert.on_conflict_do_update(
        index_elements=["id"], set_={"sequence": insert.excluded.sequence}
    )
    rows = [{"id": name, "sequence": sequence} for name, sequence in reached.items()]
    if rows:
        connection.execute(statement, rows)


def _linked(
    connection: Connection, here: int, wanted: Iterable[Digest]
) -> dict[Digest, BlobRecord]:
    """The blobs of *wanted* that the repository is linked to; their rows are locked in order."""
    found: dict[Digest, BlobRecord] = {}
    for part in chunks(sorted(str(each) for each in wanted)):
        query = (
            select(blob.c.digest, blob.c.object, blob.c.size)
            .join(link, link.c.digest == blob.c.digest)
            .where(link.c.repository_id == here, blob.c.digest.in_(part))
            .order_by(blob.c.digest)
            .with_for_update()
        )
        for row in connection.execute(query):
            digest = Digest.parse(row.digest)
            found[digest] = BlobRecord(digest, row.object, row.size)
    return found


def _manifests(connection: Connection, here: int, wanted: Iterable[Digest]) -> set[Digest]:
    found: set[Digest] = set()
    for part in chunks(sorted(str(each) for each in wanted)):
        query = (
            select(manifest.c.digest)
            .where(manifest.c.repository_id == here, manifest.c.digest.in_(part))
            .order_by(manifest.c.digest)
            .with_for_update()
        )
        found.update(Digest.parse(each) for each in connection.execute(query).scalars())
    return found


def _references(put: ManifestPut) -> tuple[tuple[str, str], ...]:
    """(digest, kind) of what the manifest names, each digest once."""
    named = {str(each): "blob" for each in put.blobs}
    named |= {str(each): "manifest" for each in put.manifests}
    if put.manifest.subject is not None:
        named.setdefault(str(put.manifest.subject), "subject")
    return tuple(sorted(named.items()))


def _tag_key(name: RepositoryName, wanted: str) -> str:
    return f"tag:{name.path}:{wanted}"
