"""SqlCollection: the port Collection, over the tables of a ledger."""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from sqlalchemy import Connection, Select, delete, func, literal, select, tuple_, update

from registry.oci.digest import Digest
from registry.oci.names import RepositoryName
from registry.storage.ledger import condemning, marks, mending
from registry.storage.ledger.condemning import UNLINKED, is_unheld, is_unneeded
from registry.storage.ledger.database import Database, open_database
from registry.storage.ledger.facts import facts, read_blob
from registry.storage.ledger.prepared import chunks
from registry.storage.ledger.schema import blob, link, manifest, removal, repository, trash, upload
from registry.storage.ledger.trash import drop_trash
from registry.storage.ports.collection import (
    Condemned,
    Facts,
    StaleUpload,
    Totals,
    UnneededLink,
    Untagged,
)
from registry.storage.records import BlobRecord, Position

Answer = TypeVar("Answer")


class SqlCollection:
    """The port Collection, over the tables of a SqlLedger."""

    def __init__(
        self,
        url: str,
        *,
        projecting: bool = False,
        clock: Callable[[], float] | None = None,
    ) -> None:
        """*projecting*: a repository's record that ends with its last manifest goes to the outbox.

        *clock* stands in for the database's own, in tests. Raises StorageUnavailable.

        It has connections of its own: its long reads must not hold up the registry's short ones.
        """
        self._clock = clock
        options = {marks.CLOCK: self._now} if projecting else None
        self._database: Database = open_database(url, options)

    async def close(self) -> None:
        """Let go of the connections."""
        await self._database.close()

    def _now(self, connection: Connection) -> float:
        return self._database.now(connection) if self._clock is None else self._clock()

    async def lease(self, job: str, holder: str, seconds: float) -> bool:
        return await self._database.write(
            lambda c: condemning.lease(c, self._now(c), job, holder, seconds), durable=False
        )

    async def release(self, job: str, holder: str) -> None:
        await self._write(condemning.release(job, holder), durable=False)

    async def totals(self) -> Totals:
        row = await self._one(select(func.count(), func.coalesce(func.sum(blob.c.size), 0)))
        return Totals(row[0], int(row[1]))

    async def unneeded_links(
        self,
        before: float,
        *,
        trash_since: float | None = None,
        after: tuple[int, str] | None = None,
        limit: int = 1000,
    ) -> list[UnneededLink]:
        key = tuple_(link.c.repository_id, link.c.digest)
        query = (
            select(link, blob.c.size, repository.c.project_id, repository.c.path)
            .join(blob, blob.c.digest == link.c.digest)
            .join(repository, repository.c.id == link.c.repository_id)
            .where(
                is_unneeded(before, trash_since),
                *([] if after is None else [key > tuple_(*map(literal, after))]),
            )
            .order_by(link.c.repository_id, link.c.digest)
            .limit(limit)
        )
        return [
            UnneededLink(
                RepositoryName(row.project_id, row.path),
                Digest.parse(row.digest),
                row.size,
                row.touched_at,
                (row.repository_id, row.digest),
            )
            for row in await self._all(query)
        ]

    async def unlinked_blobs(self, before: float, *, limit: int = 1000) -> list[BlobRecord]:
        query = select(blob).where(blob.c.created_at < before, UNLINKED)
        return list(map(read_blob, await self._all(query.order_by(blob.c.digest).limit(limit))))

    async def condemn(
        self, repository: RepositoryName, digests: Sequence[Digest], before: float
    ) -> Condemned:
        return await self._database.write(
            lambda c: condemning.condemn(c, self._now(c), repository, digests, before)
        )

    async def condemn_unlinked(self, digests: Sequence[Digest], before: float) -> Condemned:
        def work(connection: Connection) -> Condemned:
            young = blob.c.created_at < before
            objects = condemning.drop_unlinked(connection, self._now(connection), digests, young)
            return Condemned(0, 0, tuple(objects), None)

        return await self._database.write(work)

    async def removals(self, *, limit: int = 1000) -> list[str]:
        query = select(removal.c.object).order_by(removal.c.since, removal.c.object).limit(limit)
        return [row.object for row in await self._all(query)]

    async def removed(self, objects: Sequence[str]) -> None:
        await self._write(
            *(delete(removal).where(removal.c.object.in_(some)) for some in chunks(objects)),
            durable=False,
        )

    async def unknown_objects(self, objects: Sequence[str]) -> list[str]:
        def work(connection: Connection) -> list[str]:
            known: set[str] = set()
            for some in chunks(objects):
                for table in (blob, removal):
                    query = select(table.c.object).where(table.c.object.in_(some))
                    known.update(connection.execute(query).scalars())
            return [each for each in objects if each not in known]

        return await self._read(work)

    async def unknown_uploads(self, uploads: Sequence[str]) -> list[str]:
        def work(connection: Connection) -> list[str]:
            known: set[str] = set()
            for some in chunks(uploads):
                query = select(upload.c.id).where(upload.c.id.in_(some))
                known.update(connection.execute(query).scalars())
            return [each for each in uploads if each not in known]

        return await self._read(work)

    async def stale_uploads(self, before: float, *, limit: int = 1000) -> list[StaleUpload]:
        def work(connection: Connection) -> list[StaleUpload]:
            query = (
                select(upload, repository.c.project_id, repository.c.path)
                .join(repository, repository.c.id == upload.c.repository_id)
                .where(condemning.is_stale(before, self._now(connection)))
                .order_by(upload.c.touched_at)
                .limit(limit)
            )
            return [
                StaleUpload(
                    RepositoryName(row.project_id, row.path), row.id, row.position, row.touched_at
                )
                for row in connection.execute(query)
            ]

        return await self._read(work)

    async def forget_upload(self, upload_id: str, before: float) -> bool:
        def work(connection: Connection) -> bool:
            stale = condemning.is_stale(before, self._now(connection))
            mine = delete(upload).where(upload.c.id == upload_id, stale)
            return connection.execute(mine).rowcount > 0

        return await self._database.write(work)

    async def untagged(
        self,
        before: float,
        *,
        trash_since: float | None = None,
        after: tuple[int, str] | None = None,
        limit: int = 1000,
    ) -> list[Untagged]:
        key = tuple_(manifest.c.repository_id, manifest.c.digest)
        query = (
            select(
                manifest.c.repository_id,
                manifest.c.digest,
                manifest.c.pushed_at,
                func.length(manifest.c.content).label("size"),
                repository.c.project_id,
                repository.c.path,
            )
            .join(repository, repository.c.id == manifest.c.repository_id)
            .where(
                manifest.c.pushed_at < before,
                is_unheld(trash_since),
                *([] if after is None else [key > tuple_(*map(literal, after))]),
            )
            .order_by(manifest.c.repository_id, manifest.c.digest)
            .limit(limit)
        )
        return [
            Untagged(
                RepositoryName(row.project_id, row.path),
                Digest.parse(row.digest),
                row.size,
                row.pushed_at,
                (row.repository_id, row.digest),
            )
            for row in await self._all(query)
        ]

    async def collect_manifests(
        self, repository: RepositoryName, digests: Sequence[Digest], before: float
    ) -> tuple[list[Digest], Position | None]:
        return await self._database.write(
            lambda c: condemning.collect_manifests(c, self._now(c), repository, digests, before)
        )

    async def old_trash(self, before: float) -> Totals:
        size = func.coalesce(func.sum(func.length(trash.c.content)), 0)
        row = await self._one(select(func.count(), size).where(trash.c.deleted_at < before))
        return Totals(row[0], int(row[1]))

    async def purge_trash(self, before: float, *, limit: int = 1000) -> Totals:
        def work(connection: Connection) -> Totals:
            query = (
                select(trash.c.id, func.length(trash.c.content).label("size"))
                .where(trash.c.deleted_at < before)
                .order_by(trash.c.deleted_at)
                .limit(limit)
            )
            rows = connection.execute(query).all()
            drop_trash(connection, [row.id for row in rows])
            return Totals(len(rows), sum(row.size for row in rows))

        return await self._database.write(work)

    async def facts(self, digest: Digest) -> Facts:
        return await self._read(lambda c: facts(c, str(digest)))

    async def unverified(self, before: float, *, limit: int = 100) -> list[BlobRecord]:
        query = (
            select(blob)
            .where(blob.c.verified_at < before, ~blob.c.bad)
            .order_by(blob.c.verified_at, blob.c.digest)
            .limit(limit)
        )
        return list(map(read_blob, await self._all(query)))

    async def verified(self, held: BlobRecord, *, good: bool) -> None:
        def work(connection: Connection) -> None:
            mine = (blob.c.digest == str(held.digest), blob.c.object == held.object)
            now = self._now(connection)
            found = {"verified_at": now, "bad": not good, "missed_at": None}
            connection.execute(update(blob).where(*mine).values(**found))

        await self._database.write(work)

    async def missed(self, held: BlobRecord, *, again: float) -> bool:
        return await self._database.write(lambda c: mending.miss(c, self._now(c), held, again))

    async def adopt(self, bad: BlobRecord, fresh: BlobRecord) -> bool:
        return await self._database.write(lambda c: mending.adopt(c, self._now(c), bad, fresh))

    async def bad_blobs(self) -> list[Facts]:
        def work(connection: Connection) -> list[Facts]:
            query = select(blob.c.digest).where(blob.c.bad).order_by(blob.c.digest)
            return [facts(connection, each) for each in connection.execute(query).scalars()]

        return await self._read(work)

    async def count_bad(self) -> int:
        row = await self._one(select(func.count()).select_from(blob).where(blob.c.bad))
        return int(row[0])

    async def oldest_verified(self) -> float | None:
        query = select(blob.c.verified_at).where(~blob.c.bad).order_by(blob.c.verified_at).limit(1)
        rows = await self._all(query)
        return float(rows[0].verified_at) if rows else None

    async def _read(self, work: Callable[[Connection], Answer]) -> Answer:
        return await self._database.read_aside(work)

    async def _all(self, query: Select[Any]) -> Sequence[Any]:
        return await self._read(lambda c: c.execute(query).all())

    async def _one(self, query: Select[Any]) -> Any:
        return await self._read(lambda c: c.execute(query).one())

    async def _write(self, *statements: Any, durable: bool = True) -> None:
        def work(connection: Connection) -> None:
            for statement in statements:
                connection.execute(statement)

        await self._database.write(work, durable=durable)
