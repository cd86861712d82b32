"""SqlLedger: the port, method by method, over the modules beside it."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Self

from sqlalchemy import Connection

from registry.limits import Allowance, Leave
from registry.oci.digest import Digest
from registry.oci.errors import StorageUnavailable
from registry.oci.names import Reference, RepositoryName, Tag
from registry.storage.ledger import (
    claims,
    founding,
    lines,
    links,
    marks,
    migrate,
    reads,
    records,
    replays,
    room,
    secrets,
    uploads,
    writes,
)
from registry.storage.ledger.database import Database, open_database
from registry.storage.ledger.outbox import SqlOutbox
from registry.storage.ledger.postgresql import POOL, settings
from registry.storage.ledger.quotas import SqlQuotas
from registry.storage.ledger.sightings import SqlSightings
from registry.storage.ledger.undelete import SqlTrash
from registry.storage.records import (
    BlobRecord,
    ImageRecord,
    JournalLine,
    Link,
    ManifestPut,
    ManifestRecord,
    Member,
    Position,
    Segment,
    Shared,
    StoreIdentity,
    Upload,
    new_uuid,
)
from registry.storage.sharing import SharingChange


class SqlLedger:
    """The Ledger on SQLite (one machine, any number of processes) or PostgreSQL."""

    def __init__(
        self,
        url: str,
        *,
        new_id: Callable[[], str] = new_uuid,
        clock: Callable[[], float] | None = None,
        projecting: bool = False,
    ) -> None:
        """*projecting*: changed records go into the outbox. *clock*: for the database's, in tests.

        Raises StorageUnavailable.
        """
        options = {marks.CLOCK: self._now} if projecting else None
        self._database: Database = open_database(url, options)
        self._reads = reads.Reads(self._database)
        self._new_id = new_id
        self._clock = clock
        self.outbox = SqlOutbox(self._database, self._now, new_id)
        self.sightings = SqlSightings(self._database, self._now)
        self.quotas = SqlQuotas(self._database, self._now)
        self.trash = SqlTrash(self._database, self._now, new_id)

    @classmethod
    async def open(cls, url: str, *, projecting: bool = False) -> Self:
        """A ledger whose tables are there, made or migrated now; raises StorageUnavailable."""
        ledger = cls(url, projecting=projecting)
        await ledger.migrate()
        return ledger

    async def migrate(self) -> None:
        """Bring the tables to this version; several processes may do so at once."""
        await self._database.write(migrate.upgrade)

    async def versions(self) -> tuple[str | None, str | None]:
        """Of the tables that are there, and of those that this release makes."""
        return await self._database.read(migrate.versions)

    async def clock(self) -> float:
        """The database's time."""
        return await self._database.read(self._database.now)

    async def settings(self, names: Sequence[str]) -> Mapping[str, str]:
        """PostgreSQL's settings of these names; none of SQLite."""
        return await self._database.read(lambda c: settings(c, names))

    @property
    def connections(self) -> int:
        """How many a worker may open at most, with its collector's."""
        return 2 * POOL

    async def close(self) -> None:
        """Let go of the connections."""
        await self._database.close()

    @property
    def interruptions(self) -> int:
        return self._database.interruptions

    def _now(self, connection: Connection) -> float:
        return self._database.now(connection) if self._clock is None else self._clock()

    # -- reading --------------------------------------------------------------------------------

    async def find_blob(self, repository: RepositoryName, digest: Digest) -> Link:
        return await self._reads.find_blob(repository, digest)

    async def find_manifest(
        self, repository: RepositoryName, reference: Reference
    ) -> ManifestRecord:
        return await self._reads.find_manifest(repository, reference)

    async def list_tags(
        self, repository: RepositoryName, *, after: str = "", limit: int | None = None
    ) -> list[str]:
        return await self._reads.list_tags(repository, after, limit)

    async def list_referrers(
        self,
        repository: RepositoryName,
        subject: Digest,
        *,
        artifact_type: str | None = None,
        after: Digest | None = None,
        limit: int | None = None,
    ) -> list[ManifestRecord]:
        return await self._database.read(
            lambda c: reads.list_referrers(c, repository, subject, artifact_type, after, limit)
        )

    async def list_repositories(
        self, *, projects: Iterable[str] | None, after: str = "", limit: int | None = None
    ) -> list[RepositoryName]:
        return await self._database.read(
            lambda c: reads.list_repositories(c, projects, after, limit)
        )

    async def list_links(self, digest: Digest, *, limit: int) -> list[RepositoryName]:
        return await self._database.read(lambda c: reads.list_links(c, digest, limit))

    # -- uploads --------------------------------------------------------------------------------

    async def begin_upload(
        self, repository: RepositoryName, principal: str, leave: Leave | None = None
    ) -> Upload:
        asked = leave or Leave()
        return await self._database.write(
            lambda c: uploads.begin(c, self._now(c), repository, principal, self._new_id(), asked),
            durable=False,
        )

    async def is_bounded(self, repository: RepositoryName, allowance: Allowance) -> bool:
        return await self._database.read(
            lambda c: room.find_bounds(c, repository, allowance) is not None
        )

    async def find_upload(self, repository: RepositoryName, upload: str) -> Upload:
        return await self._database.read(
            lambda c: uploads.find(c, self._now(c), repository, upload)
        )

    async def lease_upload(
        self, repository: RepositoryName, upload: str, *, at: int | None, seconds: float
    ) -> Upload:
        return await self._database.write(
            lambda c: uploads.lease(c, self._now(c), repository, upload, at, seconds),
            durable=False,
        )

    async def record_segment(self, upload: Upload, segment: Segment, *, seconds: float) -> Upload:
        return await self._database.write(
            lambda c: uploads.record(c, self._now(c), upload, segment, seconds), durable=False
        )

    async def reserve_upload(
        self, upload: Upload, total: int, leave: Leave, *, seconds: float, ahead: bool = False
    ) -> int | None:
        return await self._database.write(
            lambda c: uploads.reserve(c, self._now(c), upload, total, seconds, leave, ahead=ahead),
            durable=False,
        )

    async def release_upload(self, upload: Upload) -> None:
        await self._database.write(lambda c: uploads.release(c, upload), durable=False)

    async def cancel_upload(self, repository: RepositoryName, upload: str) -> None:
        await self._database.write(
            lambda c: uploads.cancel(c, self._now(c), repository, upload), durable=False
        )

    async def finish_upload(
        self,
        repository: RepositoryName,
        upload: Upload | None,
        blob: BlobRecord,
        leave: Leave | None = None,
    ) -> BlobRecord:
        asked = leave or Leave()
        return await self._database.write(
            lambda c: uploads.finish(c, self._now(c), repository, upload, blob, asked)
        )

    # -- names ----------------------------------------------------------------------------------

    async def link_blob(
        self,
        repository: RepositoryName,
        source: RepositoryName,
        digest: Digest,
        leave: Leave | None = None,
    ) -> BlobRecord:
        asked = leave or Leave()
        return await self._database.write(
            lambda c: links.mount(c, self._now(c), repository, source, digest, asked)
        )

    async def touch_link(self, repository: RepositoryName, digest: Digest) -> bool:
        return await self._database.write(
            lambda c: links.touch(c, self._now(c), repository, digest), durable=False
        )

    async def put_manifest(self, put: ManifestPut, leave: Leave | None = None) -> Position:
        return await self._database.write(
            lambda c: writes.put_manifest(c, self._now(c), put, self._new_id, leave)
        )

    async def delete_manifest(self, repository: RepositoryName, digest: Digest) -> Position:
        return await self._database.write(
            lambda c: writes.delete_manifest(c, self._now(c), repository, digest)
        )

    async def delete_tag(self, repository: RepositoryName, tag: Tag) -> Position:
        return await self._database.write(
            lambda c: writes.delete_tag(c, self._now(c), repository, tag)
        )

    async def unlink_blob(self, repository: RepositoryName, digest: Digest) -> Position:
        return await self._database.write(
            lambda c: writes.unlink_blob(c, self._now(c), repository, digest)
        )

    # -- image records --------------------------------------------------------------------------

    async def find_record(self, record: str) -> ImageRecord:
        return await self._database.read(lambda c: records.find(c, record))

    async def list_records(
        self,
        *,
        projects: Iterable[str] | None,
        filters: Mapping[str, str],
        after: str | None = None,
        limit: int,
        descending: bool = True,
    ) -> list[ImageRecord]:
        return await self._database.read(
            lambda c: records.listed(c, projects, filters, after, limit, descending=descending)
        )

    async def share_record(self, record: str, how: SharingChange) -> Shared:
        return await self._database.write(
            lambda c: writes.share_record(c, self._now(c), record, how)
        )

    async def list_members(self, record: str) -> list[Member]:
        def work(connection: Connection) -> list[Member]:
            records.find(connection, record)
            return records.members(connection, record)

        return await self._database.read(work)

    # -- journal and identity -------------------------------------------------------------------

    async def pending_lines(self, after: Mapping[str, int] | None = None) -> list[JournalLine]:
        return await self._database.read(lambda c: lines.pending_lines(c, after or {}))

    async def claim_lines(
        self, holder: str, after: Mapping[str, int], *, seconds: float
    ) -> list[JournalLine]:
        if not await self._database.read(lambda c: claims.can_claim(c, self._now(c), holder)):
            return []  # who waits for another holder looks again and again
        return await self._database.write(
            lambda c: claims.claim(c, self._now(c), holder, after, seconds), durable=False
        )

    async def is_pending(self, position: Position) -> bool:
        return await self._database.read(lambda c: claims.is_pending(c, position))

    async def settle(
        self, heads: Mapping[str, int], *, seen: int | None = None, holder: str | None = None
    ) -> None:
        def work(connection: Connection) -> None:
            # The connection is there by now, so its server was counted if it is another one.
            if seen is not None and self._database.interruptions != seen:
                raise StorageUnavailable("the ledger was out of reach meanwhile")
            lines.settle(connection, heads)
            if holder is not None:
                claims.release(connection, holder)

        await self._database.write(work, durable=False)

    async def replay(self, lines: Sequence[JournalLine]) -> None:
        await self._database.write(lambda c: replays.replay(c, lines))

    async def restart(self, project: str, sequence: int) -> None:
        await self._database.write(lambda c: replays.restart(c, project, sequence))

    async def heads(self) -> Mapping[str, int]:
        return await self._database.read(lines.heads)

    async def count_lines(self) -> int:
        self._database.check()
        return await self._database.read(lines.count_lines)

    async def identity(self) -> tuple[StoreIdentity, bool] | None:
        return await self._database.read(founding.find)

    async def found(self, identity: StoreIdentity, *, whole: bool) -> None:
        await self._database.write(lambda c: founding.found(c, identity, whole=whole))

    # -- secrets of the server ------------------------------------------------------------------

    async def load_keys(self) -> list[tuple[str, bytes, float]]:
        return await self._database.read(secrets.load_keys)

    async def store_key(self, kid: str, pem: bytes) -> None:
        await self._database.write(lambda c: secrets.store_key(c, self._now(c), kid, pem))

    async def drop_key(self, kid: str) -> None:
        await self._database.write(lambda c: secrets.drop_key(c, kid))

    async def revoke(self, token: str, expires_at: float) -> None:
        await self._database.write(lambda c: secrets.revoke(c, self._now(c), token, expires_at))

    async def is_revoked(self, token: str) -> bool:
        return await self._database.read(lambda c: secrets.is_revoked(c, token))
