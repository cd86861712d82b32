"""Sightings and Openings: what records are to be seen out there, and what they open."""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Select, and_, func, select, update

from registry.oci.digest import Digest
from registry.oci.errors import ManifestUnknown
from registry.oci.names import RepositoryName, Tag
from registry.storage.changes import RecordState
from registry.storage.ledger import records, writes
from registry.storage.ledger.apply import find_repository
from registry.storage.ledger.database import Database
from registry.storage.ledger.lines import lock_project
from registry.storage.ledger.prepared import chunks
from registry.storage.ledger.schema import (
    manifest,
    outbox,
    projected,
    record,
    reference,
    repository,
    tag,
)
from registry.storage.ports.projection import ABSENCE, Sighting
from registry.storage.records import ImageRecord, Position

CLOSURE = 1000
"""Manifests at most that one tag opens."""

_WAITS = select(outbox.c.place).where(outbox.c.record_id == projected.c.record_id).exists()


class SqlSightings:
    """The Sightings and the Openings of a SqlLedger."""

    def __init__(self, database: Database, now: Callable[[Connection], float]) -> None:
        self._database = database
        self._now = now

    async def now(self) -> float:
        return await self._database.read(self._now)

    async def list_sent(self, *, after: str = "", limit: int) -> list[Sighting]:
        return await self._database.read(lambda c: _list_sent(c, after, limit))

    async def count_tags(self) -> Mapping[str, int]:
        query = (
            select(repository.c.project_id, func.count())
            .join(tag, tag.c.repository_id == repository.c.id)
            .group_by(repository.c.project_id)
        )
        return await self._database.read(lambda c: {row[0]: row[1] for row in c.execute(query)})

    async def seen(self, records: Sequence[str]) -> None:
        def work(connection: Connection) -> None:
            for part in chunks(records):
                found = update(projected).where(
                    projected.c.record_id.in_(part), projected.c.missing_since.is_not(None)
                )
                connection.execute(found.values(missing_since=None, missing_version=None))

        await self._database.write(work, durable=False)

    async def missed(self, record: str, *, began: float) -> bool:
        return await self._database.write(lambda c: _miss(c, self._now(c), record, began))

    async def untag(self, record: str) -> Position | None:
        return await self._database.write(lambda c: _untag(c, self._now(c), record))

    async def find_keyed(self, project: str, key: str) -> ImageRecord:
        query = select(record).where(record.c.project_id == project, record.c.key == key)
        row = await self._database.read(lambda c: c.execute(query).one_or_none())
        if row is None:
            raise ManifestUnknown("there is no such image record")
        return records.read(row)

    async def list_tagged(self, repository: RepositoryName, *, limit: int) -> list[ImageRecord]:
        first = f"tag:{repository.path}:"  # and no path holds a colon
        query = (
            select(record)
            .where(
                record.c.project_id == repository.project,
                record.c.key > first,
                record.c.key < f"tag:{repository.path};",
            )
            .order_by(record.c.updated_at.desc(), record.c.id)
            .limit(limit)
        )
        found = await self._database.read(lambda c: c.execute(query).all())
        return [records.read(row) for row in found]

    async def list_closure(self, repository: RepositoryName, tag: str) -> frozenset[Digest]:
        return await self._database.read(lambda c: _closure(c, repository, tag))

    async def is_named(
        self, repository: RepositoryName, manifests: Collection[Digest], blob: Digest
    ) -> bool:
        return await self._database.read(lambda c: _is_named(c, repository, manifests, blob))


def _list_sent(connection: Connection, after: str, limit: int) -> list[Sighting]:
    query = (
        select(record, projected.c.sent_at, projected.c.missing_since)
        .join(projected, projected.c.record_id == record.c.id)
        .where(record.c.id > after, record.c.kind.in_(("repository", "tag")), ~_WAITS)
        .order_by(record.c.id)
        .limit(limit)
    )
    return [
        Sighting(_state(connection, records.read(row)), row.sent_at, row.missing_since)
        for row in connection.execute(query).all()
    ]


def _state(connection: Connection, found: ImageRecord) -> RecordState:
    shared = tuple((each.project, each.status) for each in records.members(connection, found.id))
    return RecordState(found, (), shared)


def _miss(connection: Connection, now: float, wanted: str, began: float) -> bool:
    row = _quiet(connection, wanted)
    if row is None or row.sent_at >= began:
        return False
    if row.missing_since is not None:
        return bool(row.missing_since <= now - ABSENCE)
    found = records.find(connection, wanted)
    version = None
    if found.kind == "tag":
        version = connection.execute(_tag_of(found).with_only_columns(tag.c.version)).scalar()
    missed = update(projected).where(projected.c.record_id == wanted)
    connection.execute(missed.values(missing_since=now, missing_version=version))
    return False


def _untag(connection: Connection, now: float, wanted: str) -> Position | None:
    row = _quiet(connection, wanted)
    if row is None:
        return None
    lock_project(connection, row.project_id)
    row = _quiet(connection, wanted)
    if row is None or row.missing_since is None or row.missing_since > now - ABSENCE:
        return None
    found = records.find(connection, wanted)
    version = connection.execute(_tag_of(found).with_only_columns(tag.c.version)).scalar()
    if found.kind != "tag" or version is None or version != row.missing_version:
        return None
    name = RepositoryName(found.project, found.properties["oci_repository"])
    return writes.delete_tag(connection, now, name, Tag.parse(found.properties["oci_tag"]))


def _quiet(connection: Connection, wanted: str) -> Any:
    """What is known of a record that waits for nothing; None of any other."""
    query = select(projected, record.c.project_id).join(
        record, record.c.id == projected.c.record_id
    )
    query = query.where(projected.c.record_id == wanted, ~_WAITS)
    return connection.execute(query).one_or_none()


def _tag_of(found: ImageRecord) -> Select[Any]:
    return (
        select(tag)
        .join(repository, repository.c.id == tag.c.repository_id)
        .where(
            repository.c.project_id == found.project,
            repository.c.path == found.properties.get("oci_repository"),
            tag.c.name == found.properties.get("oci_tag"),
        )
    )


def _closure(connection: Connection, name: RepositoryName, wanted: str) -> frozenset[Digest]:
    here = find_repository(connection, name)
    top = select(tag.c.digest).where(tag.c.repository_id == here, tag.c.name == wanted)
    level = list(connection.execute(top).scalars())
    found = set(level)
    while level and len(found) < CLOSURE:
        below = select(reference.c.digest).join(
            manifest,
            and_(
                manifest.c.repository_id == reference.c.repository_id,
                manifest.c.digest == reference.c.digest,
            ),
        )
        below = below.where(reference.c.repository_id == here, reference.c.kind == "manifest")
        children = [
            child
            for part in chunks(level)
            for child in connection.execute(
                below.where(reference.c.manifest_digest.in_(part)).order_by(reference.c.digest)
            ).scalars()
        ]
        level = [child for child in dict.fromkeys(children) if child not in found]
        level = level[: CLOSURE - len(found)]
        found.update(level)
    return frozenset(map(Digest.parse, found))


def _is_named(
    connection: Connection, name: RepositoryName, manifests: Collection[Digest], blob: Digest
) -> bool:
    here = find_repository(connection, name)
    query = select(reference.c.digest).where(
        reference.c.repository_id == here, reference.c.digest == str(blob)
    )
    return any(
        connection.execute(query.where(reference.c.manifest_digest.in_(part))).first() is not None
        for part in chunks(sorted(map(str, manifests)))
    )
