"""All that the ledger knows of one digest: what the collector's reasons are made of."""

from typing import Any

from sqlalchemy import Connection, select

from registry.oci.digest import Digest
from registry.oci.names import RepositoryName
from registry.storage.collection import Facts, Holder
from registry.storage.ledger.schema import (
    blob,
    link,
    manifest,
    reference,
    removal,
    repository,
    tag,
    trash,
    trash_reference,
)
from registry.storage.records import BlobRecord


def facts(connection: Connection, digest: str) -> Facts:
    """As in Collection.facts."""
    held = connection.execute(select(blob).where(blob.c.digest == digest)).one_or_none()
    names = (repository.c.project_id, repository.c.path)
    links = connection.execute(
        select(*names, link.c.touched_at)
        .join(repository, repository.c.id == link.c.repository_id)
        .where(link.c.digest == digest)
        .order_by(*names)
    )
    manifests = connection.execute(
        select(*names, manifest.c.pushed_at, manifest.c.repository_id)
        .join(repository, repository.c.id == manifest.c.repository_id)
        .where(manifest.c.digest == digest)
        .order_by(*names)
    ).all()
    holders = connection.execute(
        select(*names, reference.c.repository_id, reference.c.manifest_digest, reference.c.kind)
        .join(repository, repository.c.id == reference.c.repository_id)
        .where(reference.c.digest == digest)
        .order_by(*names, reference.c.manifest_digest)
    ).all()
    thrown = connection.execute(
        select(*names, trash.c.deleted_at, trash_reference.c.kind)
        .join(trash, trash.c.id == trash_reference.c.trash_id)
        .join(repository, repository.c.id == trash.c.repository_id)
        .where(trash_reference.c.digest == digest)
        .order_by(*names)
    )
    parsed = Digest.parse(digest)
    prefix = f"{parsed.algorithm}/{parsed.encoded}/"
    leaving = select(removal.c.object).where(removal.c.object.startswith(prefix, autoescape=True))
    return Facts(
        digest=parsed,
        blob=None if held is None else read_blob(held),
        bad=held is not None and held.bad,
        links=tuple((_name(row), row.touched_at) for row in links),
        manifests=tuple(
            (_name(row), row.pushed_at, _tags(connection, row.repository_id, digest))
            for row in manifests
        ),
        holders=tuple(
            Holder(
                _name(row),
                Digest.parse(row.manifest_digest),
                row.kind,
                _tags(connection, row.repository_id, row.manifest_digest),
            )
            for row in holders
        ),
        trash=tuple((_name(row), row.deleted_at, row.kind) for row in thrown),
        leaving=connection.execute(leaving.limit(1)).scalar() is not None,
    )


def _tags(connection: Connection, here: int, digest: str) -> tuple[str, ...]:
    query = select(tag.c.name).where(tag.c.repository_id == here, tag.c.digest == digest)
    return tuple(sorted(connection.execute(query).scalars()))


def _name(row: Any) -> RepositoryName:
    return RepositoryName(row.project_id, row.path)


def read_blob(row: Any) -> BlobRecord:
    """A row of the table."""
    return BlobRecord(Digest.parse(row.digest), row.object, row.size)
