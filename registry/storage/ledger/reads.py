"""Queries on names; the hot ones are compiled once and run on the driver itself."""

import json
from collections.abc import Iterable
from typing import Any

from sqlalchemy import Connection, bindparam, select

from registry.oci.digest import Digest
from registry.oci.errors import BlobUnknown, ManifestUnknown, NameUnknown
from registry.oci.names import Reference, RepositoryName, Tag
from registry.storage.ledger.apply import find_repository
from registry.storage.ledger.database import Database
from registry.storage.ledger.prepared import Prepared
from registry.storage.ledger.schema import blob, link, manifest, repository, tag
from registry.storage.records import BlobRecord, Link, ManifestRecord

_IN_REPOSITORY = (
    repository.c.project_id == bindparam("project"),
    repository.c.path == bindparam("path"),
)
_MANIFEST = (
    manifest.c.digest,
    manifest.c.media_type,
    manifest.c.content,
    manifest.c.subject,
    manifest.c.artifact_type,
    manifest.c.annotations,
)
_BLOB = Prepared(
    lambda _: (
        select(blob.c.object, blob.c.size, link.c.touched_at)
        .select_from(repository)
        .join(link, link.c.repository_id == repository.c.id)
        .join(blob, blob.c.digest == link.c.digest)
        .where(*_IN_REPOSITORY, link.c.digest == bindparam("digest"), ~blob.c.bad)
    )
)
_BY_DIGEST = Prepared(
    lambda _: (
        select(*_MANIFEST)
        .select_from(repository)
        .join(manifest, manifest.c.repository_id == repository.c.id)
        .where(*_IN_REPOSITORY, manifest.c.digest == bindparam("digest"))
    )
)
_BY_TAG = Prepared(
    lambda _: (
        select(*_MANIFEST)
        .select_from(repository)
        .join(tag, tag.c.repository_id == repository.c.id)
        .join(
            manifest,
            (manifest.c.repository_id == tag.c.repository_id) & (manifest.c.digest == tag.c.digest),
        )
        .where(*_IN_REPOSITORY, tag.c.name == bindparam("tag"))
    )
)
_TAGS = Prepared(
    lambda _: (
        select(tag.c.name)
        .select_from(repository)
        .join(tag, tag.c.repository_id == repository.c.id)
        .where(*_IN_REPOSITORY, tag.c.name > bindparam("after"))
        .order_by(tag.c.name)
        .limit(bindparam("limit"))
    )
)
_EVERY = 2**62
"""A LIMIT that limits nothing, on both databases."""


class Reads:
    """What the registry looks up on every request."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def find_blob(self, name: RepositoryName, digest: Digest) -> Link:
        """As in Ledger."""
        rows = await self._fetch(_BLOB, name, digest=str(digest))
        if not rows:
            raise BlobUnknown(f"{digest} is not in this repository")
        found, size, touched_at = rows[0]
        return Link(BlobRecord(digest, found, size), touched_at)

    async def find_manifest(self, name: RepositoryName, wanted: Reference) -> ManifestRecord:
        """As in Ledger."""
        if isinstance(wanted, Tag):
            rows = await self._fetch(_BY_TAG, name, tag=wanted.name)
        else:
            rows = await self._fetch(_BY_DIGEST, name, digest=str(wanted))
        if not rows:
            raise ManifestUnknown(f"{wanted} is not in this repository")
        return read_manifest(rows[0])

    async def list_tags(self, name: RepositoryName, after: str, limit: int | None) -> list[str]:
        """As in Ledger."""
        rows = await self._fetch(_TAGS, name, after=after, limit=_EVERY if limit is None else limit)
        if not rows and await self._database.read(lambda c: find_repository(c, name)) is None:
            raise NameUnknown(f"there is no repository {name}")
        return [row[0] for row in rows]

    async def _fetch(self, query: Prepared, name: RepositoryName, **named: object) -> list[Any]:
        values = {"project": name.project, "path": name.path, **named}
        return await self._database.fetch(*query.text(self._database.dialect, values))


def list_referrers(
    connection: Connection,
    name: RepositoryName,
    subject: Digest,
    artifact_type: str | None,
    after: Digest | None,
    limit: int | None,
) -> list[ManifestRecord]:
    """As in Ledger."""
    query = (
        select(*_MANIFEST)
        .select_from(manifest)
        .join(repository, repository.c.id == manifest.c.repository_id)
        .where(
            repository.c.project_id == name.project,
            repository.c.path == name.path,
            manifest.c.subject == str(subject),
        )
        .order_by(manifest.c.digest)
        .limit(limit)
    )
    if artifact_type is not None:
        query = query.where(manifest.c.artifact_type == artifact_type)
    if after is not None:
        query = query.where(manifest.c.digest > str(after))
    return [read_manifest(row) for row in connection.execute(query)]


def list_repositories(
    connection: Connection, projects: Iterable[str] | None, after: str, limit: int | None
) -> list[RepositoryName]:
    """As in Ledger."""
    holds = select(manifest.c.digest).where(manifest.c.repository_id == repository.c.id)
    query = (
        select(repository.c.project_id, repository.c.path)
        .where(repository.c.name > after, holds.exists())
        .order_by(repository.c.name)
        .limit(limit)
    )
    if projects is not None:
        query = query.where(repository.c.project_id.in_(list(projects)))
    return [RepositoryName(*row) for row in connection.execute(query)]


def list_links(connection: Connection, digest: Digest, limit: int) -> list[RepositoryName]:
    """As in Ledger."""
    query = (
        select(repository.c.project_id, repository.c.path)
        .join(link, link.c.repository_id == repository.c.id)
        .where(link.c.digest == str(digest))
        .order_by(repository.c.name)
        .limit(limit)
    )
    return [RepositoryName(*row) for row in connection.execute(query)]


def read_manifest(row: Any) -> ManifestRecord:
    """A row of the manifest's columns."""
    digest, media_type, content, subject, artifact_type, annotations = row
    return ManifestRecord(
        digest=Digest.parse(digest),
        media_type=media_type,
        content=bytes(content),
        subject=None if subject is None else Digest.parse(subject),
        artifact_type=artifact_type,
        annotations=json.loads(annotations) if annotations != "{}" else {},
    )
