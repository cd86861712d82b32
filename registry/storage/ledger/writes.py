"""Changes of names: checked under locks, made into a Change, carried out, and journalled."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import (
    BindParameter,
    ClauseElement,
    Connection,
    bindparam,
    delete,
    func,
    literal,
    select,
    update,
)
from sqlalchemy.engine import Dialect

from registry.limits import UNBOUNDED, Leave
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
from registry.storage.ledger import marks, records, room
from registry.storage.ledger.apply import (
    NOWHERE,
    apply,
    ensure_place,
    ensure_repository,
    find_repository,
    restore_blobs,
)
from registry.storage.ledger.prepared import (
    Prepared,
    PreparedList,
    columns_of,
    insert_into,
    upsert,
)
from registry.storage.ledger.schema import (
    blob,
    journal,
    link,
    manifest,
    member,
    project,
    record,
    record_use,
    reference,
    repository,
    store,
    tag,
    trash,
    trash_reference,
)
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


def _draw(dialect: Dialect) -> ClauseElement:
    """Nobody draws while the ledger is half rebuilt: the line would take another's place."""
    first = select(bindparam("id", type_=project.c.id.type), literal(1)).where(
        ~select(store.c.one).where(~store.c.whole).exists()
    )
    statement = insert_into(dialect, project).from_select(["id", "sequence"], first)
    raised = {"sequence": project.c.sequence + literal(1)}
    return statement.on_conflict_do_update(index_elements=["id"], set_=raised).returning(
        project.c.sequence
    )


def _hold(dialect: Dialect) -> ClauseElement:
    statement = insert_into(dialect, project)
    same = {"sequence": project.c.sequence}
    return statement.on_conflict_do_update(index_elements=["id"], set_=same)


_HERE: BindParameter[Any] = bindparam("here")
_DRAW = Prepared(_draw)
_HOLD = Prepared(_hold, columns_of(project, ["limits"]))
_REACH = upsert(project, "sequence", without=["limits"])
_ADD_LINE = Prepared(lambda dialect: insert_into(dialect, journal), columns_of(journal))
_ENDS = Prepared(
    lambda _: (
        select(journal.c.project_id, func.max(journal.c.sequence).label("last"))
        .group_by(journal.c.project_id)
        .order_by(journal.c.project_id)
    )
)
_LINES = Prepared(
    lambda _: (
        select(journal.c.sequence, journal.c.content)
        .where(journal.c.project_id == bindparam("name"))
        .where(journal.c.sequence > bindparam("reached"))
        .order_by(journal.c.sequence)
        .limit(bindparam("room"))
    )
)
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
        references=_references(put),
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


def set_limits(connection: Connection, change: Change) -> None:
    """Put the limits that *change* says in place of those before."""
    name = change.repository
    text = json.dumps(dict(change.limits), sort_keys=True) if change.limits else None
    if name.path:
        ensure_repository(connection, name)
        mine = (repository.c.project_id == name.project, repository.c.path == name.path)
        connection.execute(update(repository).where(*mine).values(limits=text))
    else:
        _HOLD(connection, id=name.project, sequence=0)
        connection.execute(update(project).where(project.c.id == name.project).values(limits=text))


def lock_project(connection: Connection, name: str) -> None:
    """Take the project's row, so that its changes of names come one after the other.

    A change is computed from what is there, and its line must stand where it took effect. SQLite's
    writers are alone anyway.
    """
    if connection.dialect.name == "postgresql":
        _HOLD(connection, id=name, sequence=0)


def write_line(connection: Connection, change: Change) -> Position:
    """Draw the project's next sequence and write the line there."""
    name = change.repository.project
    sequence = _DRAW(connection, id=name).scalar()
    if sequence is None:
        raise StorageUnavailable("the ledger is being rebuilt: nothing is changed meanwhile")
    _ADD_LINE(connection, project_id=name, sequence=sequence, content=to_line(change))
    return Position(name, sequence)


def pending_lines(connection: Connection, after: Mapping[str, int]) -> list[JournalLine]:
    """As in Ledger.pending_lines."""
    found: list[JournalLine] = []
    for end in _ENDS(connection).all():
        name, reached = end.project_id, after.get(end.project_id, 0)
        if end.last > reached and len(found) < LINES:
            rows = _LINES(connection, name=name, reached=reached, room=LINES - len(found))
            found += [JournalLine(Position(name, row.sequence), bytes(row.content)) for row in rows]
    return found


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


def count_lines(connection: Connection) -> int:
    """As in Ledger.count_lines."""
    total = select(func.coalesce(func.sum(project.c.sequence), 0))
    return int(connection.execute(total).scalar_one())


def wait_for_changes(connection: Connection) -> None:
    """Answer once no change of names is under way in another transaction."""
    connection.execute(select(project.c.id).order_by(project.c.id).with_for_update()).close()


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
        if change.op == "limits":
            here = NOWHERE
            set_limits(connection, change)
        else:
            here = ensure_repository(connection, change.repository)
            restore_blobs(connection, here, change)
        apply(connection, here, change)
        reached[name] = sequence
    _REACH.many(connection, [{"id": name, "sequence": n} for name, n in reached.items()])


def restart(connection: Connection, name: str, sequence: int) -> None:
    """As in Ledger.restart."""
    lock_project(connection, name)
    here = select(repository.c.id).where(repository.c.project_id == name)
    thrown = select(trash.c.id).where(trash.c.repository_id.in_(here))
    connection.execute(delete(trash_reference).where(trash_reference.c.trash_id.in_(thrown)))
    connection.execute(delete(trash).where(trash.c.repository_id.in_(here)))
    for table in (tag, reference, manifest):
        connection.execute(delete(table).where(table.c.repository_id.in_(here)))
    for limited in (
        update(repository).where(repository.c.project_id == name),
        update(project).where(project.c.id == name),
    ):
        connection.execute(limited.values(limits=None))
    marks.bury_all(connection, name)
    mine = select(record.c.id).where(record.c.project_id == name)
    connection.execute(delete(record_use).where(record_use.c.user_id.in_(mine)))
    connection.execute(delete(member).where(member.c.record_id.in_(mine)))
    # Children name their parents, so whoever has no children goes first.
    child = record.alias("child")
    childless = mine.where(~select(child.c.id).where(child.c.parent_id == record.c.id).exists())
    while connection.execute(delete(record).where(record.c.id.in_(childless))).rowcount:
        pass
    connection.execute(delete(journal).where(journal.c.project_id == name))
    _REACH(connection, id=name, sequence=sequence)


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


def _references(put: ManifestPut) -> tuple[tuple[str, str], ...]:
    """(digest, kind) of what the manifest names, each digest once."""
    named = {str(each): "blob" for each in put.blobs}
    named |= {str(each): "manifest" for each in put.manifests}
    if put.manifest.subject is not None:
        named.setdefault(str(put.manifest.subject), "subject")
    return tuple(sorted(named.items()))


def _tag_key(name: RepositoryName, wanted: str) -> str:
    return f"tag:{name.path}:{wanted}"
