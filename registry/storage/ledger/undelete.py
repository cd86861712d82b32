"""SqlTrash: the port Trash, over the tables of a ledger."""

import json
from collections.abc import Callable, Iterable
from typing import Any

from sqlalchemy import Connection, and_, exists, func, or_, select, update

from registry.limits import Leave
from registry.oci.digest import Digest
from registry.oci.errors import ManifestUnknown, TagTaken
from registry.oci.names import RepositoryName
from registry.storage.ledger import writes
from registry.storage.ledger.apply import find_repository
from registry.storage.ledger.database import Database
from registry.storage.ledger.lines import lock_project
from registry.storage.ledger.prepared import chunks
from registry.storage.ledger.schema import link, manifest, reference, repository, tag, trash
from registry.storage.ports.trash import Emptied, TrashEntry
from registry.storage.records import ManifestPut, Position


class SqlTrash:
    """The port Trash."""

    def __init__(
        self, database: Database, now: Callable[[Connection], float], new_id: Callable[[], str]
    ) -> None:
        self._database = database
        self._now = now
        self._new_id = new_id

    async def list(
        self,
        *,
        projects: Iterable[str] | None = None,
        repository: RepositoryName | None = None,
        after: tuple[float, str] | None = None,
        limit: int,
    ) -> list[TrashEntry]:
        wanted = None if projects is None else list(projects)
        return await self._database.read(lambda c: _listed(c, wanted, repository, after, limit))

    async def content(self, entry: str) -> bytes:
        query = select(trash.c.content).where(trash.c.id == entry)
        found = await self._database.read(lambda c: c.execute(query).scalar())
        if found is None:
            raise ManifestUnknown("it is not in the trash any more")
        return bytes(found)

    async def put_back(self, put: ManifestPut, leave: Leave | None = None) -> Position:
        return await self._database.write(
            lambda c: _put_back(c, self._now(c), put, self._new_id, leave)
        )

    async def empty(self, repository: RepositoryName, *, limit: int) -> Emptied:
        return await self._database.write(lambda c: _empty(c, self._now(c), repository, limit))


def _listed(
    connection: Connection,
    projects: "list[str] | None",
    name: RepositoryName | None,
    after: tuple[float, str] | None,
    limit: int,
) -> "list[TrashEntry]":
    columns = (trash.c.id, trash.c.digest, trash.c.media_type, trash.c.tags, trash.c.deleted_at)
    query = (
        select(*columns, trash.c.whole, func.length(trash.c.content).label("size"))
        .add_columns(repository.c.project_id, repository.c.path)
        .join(repository, repository.c.id == trash.c.repository_id)
        .order_by(trash.c.deleted_at.desc(), trash.c.id)
        .limit(limit)
    )
    if name is not None:
        query = query.where(trash.c.repository_id == find_repository(connection, name))
    elif projects is not None:
        query = query.where(repository.c.project_id.in_(projects))
    if after is not None:
        same = and_(trash.c.deleted_at == after[0], trash.c.id > after[1])
        query = query.where(or_(trash.c.deleted_at < after[0], same))
    return [_read(row) for row in connection.execute(query)]


def _put_back(
    connection: Connection,
    now: float,
    put: ManifestPut,
    new_id: Callable[[], str],
    leave: Leave | None,
) -> Position:
    name, digest = put.repository, str(put.manifest.digest)
    lock_project(connection, name.project)
    here = find_repository(connection, name)
    entries = select(trash.c.id).where(trash.c.repository_id == here, trash.c.digest == digest)
    if here is None or not connection.execute(entries.with_for_update()).all():
        raise ManifestUnknown(f"{digest} is not in the trash of {name}")
    tags = [each.name for each in put.tags]
    taken = select(tag.c.name, tag.c.digest).where(
        tag.c.repository_id == here, tag.c.name.in_(tags), tag.c.digest != digest
    )
    found = {row.name: row.digest for row in connection.execute(taken.order_by(tag.c.name))}
    if found:
        held = ", ".join(f"{name} on {other}" for name, other in found.items())
        raise TagTaken(
            f"there is by now {held}: delete that first, or take {digest} back by its digest, "
            "which leaves the tag where it is"
        )
    position = writes.put_manifest(connection, now, put, new_id, leave, op="undelete")
    for some in chunks(sorted(str(each) for each in put.blobs)):
        mine = update(link).where(link.c.repository_id == here, link.c.digest.in_(some))
        connection.execute(mine.values(touched_at=now))
    return position


def _empty(connection: Connection, now: float, name: RepositoryName, limit: int) -> Emptied:
    lock_project(connection, name.project)
    here = find_repository(connection, name)
    mine = select(manifest.c.digest).where(manifest.c.repository_id == here)
    named = exists().where(
        reference.c.repository_id == manifest.c.repository_id,
        reference.c.digest == manifest.c.digest,
        reference.c.kind == "manifest",
    )
    position, manifests, tags = None, 0, 0
    # Never one that is still named: whoever pulls meanwhile finds an index whole, or not at all.
    chosen = list(connection.execute(mine.where(~named).limit(limit)).scalars())
    for digest in chosen:
        held = select(func.count()).where(tag.c.repository_id == here, tag.c.digest == digest)
        tags += connection.execute(held).scalar_one()
        position = writes.delete_manifest(connection, now, name, Digest.parse(digest), whole=True)
        manifests += 1
    more = connection.execute(mine.limit(1)).scalar() is not None
    return Emptied(manifests, tags, position, more)


def _read(row: Any) -> TrashEntry:
    return TrashEntry(
        id=row.id,
        repository=RepositoryName(row.project_id, row.path),
        digest=Digest.parse(row.digest),
        media_type=row.media_type,
        size=row.size,
        tags=tuple(json.loads(row.tags)),
        deleted_at=row.deleted_at,
        whole=row.whole,
    )
