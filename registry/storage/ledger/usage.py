"""What is used, out of the counters that triggers keep, and out of the rows that they count."""

from collections.abc import Iterator
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Select,
    Subquery,
    and_,
    delete,
    exists,
    func,
    literal,
    select,
    union,
    union_all,
)

from registry.oci.names import RepositoryName
from registry.storage.ledger.prepared import upsert
from registry.storage.ledger.schema import (
    blob,
    holding,
    link,
    manifest,
    project,
    reference,
    repository,
    tag,
    trash,
    trash_reference,
    upload,
)
from registry.storage.ledger.schema import usage as counters
from registry.storage.ports.quota import Difference, Usage

_ADD_HOLDING = upsert(holding)
_ADD_COUNTERS = upsert(counters)
IN_USE = (
    exists().where(link.c.repository_id == repository.c.id)
    | exists().where(manifest.c.repository_id == repository.c.id)
    | exists().where(trash.c.repository_id == repository.c.id)
)
"""A repository that holds anything."""


def find(connection: Connection, name: RepositoryName, here: int) -> Usage:
    """What a repository has, whose row is *here*; or a project, where *name* has no path."""
    whole = not name.path
    mine = repository.c.project_id == name.project if whole else repository.c.id == here
    counted = select(
        func.coalesce(func.sum(counters.c.bytes), 0),
        func.coalesce(func.sum(counters.c.reserved), 0),
    ).where(
        counters.c.project_id == name.project,
        counters.c.repository_id == (0 if whole else here),
    )
    row = connection.execute(counted).one()
    in_use = select(func.count()).select_from(repository).where(mine, IN_USE)
    tags = select(func.count()).join(repository, repository.c.id == tag.c.repository_id).where(mine)
    return Usage(
        bytes=int(row[0]),
        reserved=int(row[1]),
        trash=_trash(connection, mine),
        repositories=connection.execute(in_use).scalar_one(),
        tags=connection.execute(tags.select_from(tag)).scalar_one(),
    )


def _trash(connection: Connection, mine: ColumnElement[bool]) -> int:
    """Bytes that are there for the trash's sake alone: nothing else names or holds them."""
    theirs = repository.alias("theirs")
    same = theirs.c.project_id == repository.c.project_id
    named = exists().where(
        reference.c.digest == trash_reference.c.digest,
        reference.c.kind == "blob",
        theirs.c.id == reference.c.repository_id,
        same,
    )
    live = exists().where(
        manifest.c.digest == trash.c.digest, theirs.c.id == manifest.c.repository_id, same
    )
    linked = and_(
        link.c.digest == trash_reference.c.digest, link.c.repository_id == repository.c.id
    )
    blobs = (
        select(repository.c.project_id, trash_reference.c.digest, blob.c.size)
        .join(trash, trash.c.id == trash_reference.c.trash_id)
        .join(repository, repository.c.id == trash.c.repository_id)
        .join(link, linked)
        .join(blob, blob.c.digest == link.c.digest)
        .where(mine, trash_reference.c.kind == "blob", ~named)
    )
    manifests = (
        select(repository.c.project_id, trash.c.digest, func.length(trash.c.content).label("size"))
        .join(repository, repository.c.id == trash.c.repository_id)
        .where(mine, ~live)
    )
    distinct = union(blobs, manifests).subquery()
    total = select(func.coalesce(func.sum(distinct.c.size), 0))
    return int(connection.execute(total).scalar_one())


def list_projects(connection: Connection) -> list[str]:
    """As in Quotas.list_projects."""
    limited = select(project.c.id).where(project.c.limits.is_not(None))
    query = union(select(repository.c.project_id), limited)
    return sorted(connection.execute(query).scalars())


def differences(connection: Connection) -> list[Difference]:
    """As in Quotas.differences."""
    return [
        *_compare(connection, _held(), _counted_holdings(), "holding"),
        *_compare(connection, _sums("bytes"), _counters("bytes"), "bytes"),
        *_compare(connection, _sums("reserved"), _counters("reserved"), "reserved"),
    ]


def mend(connection: Connection) -> None:
    """Count anew, from the rows; nobody else may write meanwhile."""
    # Triggers count what is put into holding; so its sums are made last.
    connection.execute(delete(holding))
    for row in connection.execute(_held()).all():
        _ADD_HOLDING(
            connection, project_id=row.project_id, digest=row.key, size=row.size, uses=row.found
        )
    connection.execute(delete(counters))
    sums: dict[tuple[str, int], dict[str, int]] = {}
    for counter in ("bytes", "reserved"):
        for row in connection.execute(_sums(counter)):
            both = sums.setdefault((row.project_id, row.key), {"bytes": 0, "reserved": 0})
            both[counter] = int(row.found)
    for (name, here), found in sums.items():
        _ADD_COUNTERS(connection, project_id=name, repository_id=here, shard=0, **found)


def _rows() -> Subquery:
    """Every row that is paid for, and whether its repository counts it too."""
    links = select(link.c.repository_id, link.c.digest, blob.c.size, literal(1).label("own")).join(
        blob, blob.c.digest == link.c.digest
    )
    kept = [
        select(
            table.c.repository_id,
            table.c.digest,
            func.length(table.c.content).label("size"),
            literal(own).label("own"),
        )
        for table, own in ((manifest, 1), (trash, 0))
    ]
    return union_all(links, *kept).subquery()


def _held() -> Select[Any]:
    rows = _rows()
    return (
        select(
            repository.c.project_id,
            rows.c.digest.label("key"),
            func.max(rows.c.size).label("size"),
            func.count().label("found"),
        )
        .join(repository, repository.c.id == rows.c.repository_id)
        .group_by(repository.c.project_id, rows.c.digest)
    )


def _sums(counter: str) -> Select[Any]:
    """What the counters should be: of each repository, and (0) of each project."""
    if counter == "reserved":
        value = upload.c.reserved
        own = select(repository.c.project_id, repository.c.id.label("key"), value.label("found"))
        own = own.join(upload, upload.c.repository_id == repository.c.id)
        whole = select(repository.c.project_id, literal(0), upload.c.reserved)
        whole = whole.join(upload, upload.c.repository_id == repository.c.id)
    else:
        rows = _rows()
        own = select(
            repository.c.project_id, repository.c.id.label("key"), rows.c.size.label("found")
        )
        own = own.join(rows, rows.c.repository_id == repository.c.id).where(rows.c.own == 1)
        held = _held().subquery()
        whole = select(held.c.project_id, literal(0), held.c.size)
    both = union_all(own, whole).subquery()
    return select(both.c.project_id, both.c.key, func.sum(both.c.found).label("found")).group_by(
        both.c.project_id, both.c.key
    )


def _counted_holdings() -> Select[Any]:
    return select(
        holding.c.project_id, holding.c.digest.label("key"), holding.c.uses.label("found")
    )


def _counters(counter: str) -> Select[Any]:
    return select(
        counters.c.project_id,
        counters.c.repository_id.label("key"),
        func.sum(counters.c[counter]).label("found"),
    ).group_by(counters.c.project_id, counters.c.repository_id)


def _compare(
    connection: Connection, rows: Select[Any], counted: Select[Any], counter: str
) -> Iterator[Difference]:
    found = {(row.project_id, row.key): int(row.found) for row in connection.execute(rows)}
    told = {(row.project_id, row.key): int(row.found) for row in connection.execute(counted)}
    paths = {0: ""}
    paths |= {
        row.id: row.path for row in connection.execute(select(repository.c.id, repository.c.path))
    }
    for name, key in sorted(found.keys() | told.keys(), key=str):
        here, there = told.get((name, key), 0), found.get((name, key), 0)
        if here != there:
            where = f"{counter} of {key}" if isinstance(key, str) else counter
            yield Difference(
                project=name,
                repository="" if isinstance(key, str) else paths.get(key, f"#{key}"),
                counter=where,
                counted=here,
                found=there,
            )
