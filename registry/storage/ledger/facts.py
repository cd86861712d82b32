"""All that the ledger knows of one digest: what the collector's reasons are made of."""

from typing import Any, Final

from sqlalchemy import Connection, Select, func, select

from registry.oci.digest import Digest
from registry.oci.names import RepositoryName
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
from registry.storage.ports.collection import Facts, Holder, Standing
from registry.storage.records import BlobRecord

SHOWN: Final = 50
"""Manifests at most that are told by name, of all that name a digest."""
INDEXES: Final = 2
"""Indexes told of each manifest: one that stays is enough."""
DEPTH: Final = 5
"""Indexes within indexes."""
_NAMES = (repository.c.project_id, repository.c.path)


def facts(connection: Connection, digest: str) -> Facts:
    """As in Collection.facts."""
    held = connection.execute(select(blob).where(blob.c.digest == digest)).one_or_none()
    links = connection.execute(
        select(*_NAMES, link.c.touched_at)
        .join(repository, repository.c.id == link.c.repository_id)
        .where(link.c.digest == digest)
        .order_by(*_NAMES)
    )
    manifests = _manifests().where(manifest.c.digest == digest).order_by(*_NAMES)
    holders = (
        _manifests()
        .add_columns(reference.c.kind)
        .join(
            reference,
            (reference.c.repository_id == manifest.c.repository_id)
            & (reference.c.manifest_digest == manifest.c.digest),
        )
        .where(reference.c.digest == digest)
        .order_by(*_NAMES, manifest.c.digest)
    )
    shown = connection.execute(holders.limit(SHOWN)).all()
    count = select(func.count()).where(reference.c.digest == digest)
    thrown = connection.execute(
        select(*_NAMES, trash.c.deleted_at, trash_reference.c.kind)
        .join(trash, trash.c.id == trash_reference.c.trash_id)
        .join(repository, repository.c.id == trash.c.repository_id)
        .where(trash_reference.c.digest == digest)
        .order_by(*_NAMES, trash.c.deleted_at)
    )
    parsed = Digest.parse(digest)
    prefix = f"{parsed.algorithm}/{parsed.encoded}/"
    leaving = select(removal.c.object).where(removal.c.object.startswith(prefix, autoescape=True))
    return Facts(
        digest=parsed,
        blob=None if held is None else read_blob(held),
        bad=held is not None and held.bad,
        came_at=0.0 if held is None else held.created_at,
        links=tuple((_name(row), row.touched_at) for row in links),
        manifests=tuple(
            _standing(connection, row, DEPTH) for row in connection.execute(manifests).all()
        ),
        holders=tuple(Holder(row.kind, _standing(connection, row, DEPTH)) for row in shown),
        more_holders=connection.execute(count).scalar_one() - len(shown),
        trash=tuple((_name(row), row.deleted_at, row.kind) for row in thrown),
        leaving=connection.execute(leaving.limit(1)).scalar() is not None,
    )


def _manifests() -> Select[Any]:
    return select(
        *_NAMES,
        manifest.c.repository_id,
        manifest.c.digest,
        manifest.c.pushed_at,
        manifest.c.subject,
    ).join(repository, repository.c.id == manifest.c.repository_id)


def _standing(connection: Connection, row: Any, depth: int) -> Standing:
    here, digest = row.repository_id, row.digest
    tags = select(tag.c.name).where(tag.c.repository_id == here, tag.c.digest == digest)
    indexes = (
        _manifests()
        .join(
            reference,
            (reference.c.repository_id == manifest.c.repository_id)
            & (reference.c.manifest_digest == manifest.c.digest),
        )
        .where(reference.c.repository_id == here, reference.c.digest == digest)
        .where(reference.c.kind == "manifest")
        .order_by(manifest.c.digest)
        .limit(INDEXES if depth else 0)
    )
    subject = select(manifest.c.digest).where(
        manifest.c.repository_id == here, manifest.c.digest == row.subject
    )
    thrown = (
        select(func.max(trash.c.deleted_at))
        .join(trash_reference, trash_reference.c.trash_id == trash.c.id)
        .where(trash_reference.c.digest == digest, trash.c.repository_id == here)
    )
    about = None
    if row.subject is not None:
        about = connection.execute(subject).scalar()
    return Standing(
        repository=_name(row),
        digest=Digest.parse(digest),
        pushed_at=row.pushed_at,
        tags=tuple(sorted(connection.execute(tags).scalars())),
        indexes=tuple(
            _standing(connection, each, depth - 1) for each in connection.execute(indexes).all()
        ),
        subject=None if about is None else Digest.parse(about),
        thrown_at=connection.execute(thrown).scalar(),
    )


def _name(row: Any) -> RepositoryName:
    return RepositoryName(row.project_id, row.path)


def read_blob(row: Any) -> BlobRecord:
    """A row of the table."""
    return BlobRecord(Digest.parse(row.digest), row.object, row.size)
