"""Names in dicts: the model that every other ledger is compared with."""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace

from registry.limits import Allowance, Leave
from registry.oci.digest import Digest
from registry.oci.errors import (
    BlobUnknown,
    ManifestBlobUnknown,
    ManifestUnknown,
    NameUnknown,
    StorageUnavailable,
)
from registry.oci.names import Reference, RepositoryName, Tag
from registry.storage.changes import Change, RecordState
from registry.storage.memory import records
from registry.storage.memory.lines import Lines
from registry.storage.memory.names import Names
from registry.storage.memory.uploads import Sessions
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
from registry.storage.sharing import SharingChange, share


class MemoryLedger:
    """The Ledger of one process; it is gone with it."""

    def __init__(
        self, *, new_id: Callable[[], str] = new_uuid, clock: Callable[[], float] = time.time
    ) -> None:
        self._names = Names()
        self._new_id = new_id
        self._clock = clock
        self._sessions = Sessions(clock)
        self._lines = Lines(clock)
        self._identity: tuple[StoreIdentity, bool] | None = None
        self.interruptions = 0
        """Of a process's own memory there are none; tests count some."""
        self._keys: dict[str, tuple[bytes, float]] = {}
        self._revoked: dict[str, float] = {}

    # -- reading --------------------------------------------------------------------------------

    async def find_blob(self, repository: RepositoryName, digest: Digest) -> Link:
        touched_at = self._names.links.get((repository, digest))
        if touched_at is None:
            raise BlobUnknown(f"{digest} is not in this repository")
        return Link(self._names.blobs[digest], touched_at)

    async def find_manifest(
        self, repository: RepositoryName, reference: Reference
    ) -> ManifestRecord:
        if isinstance(reference, Tag):
            digest = self._names.tags.get((repository, reference.name))
        else:
            digest = reference
        found = None if digest is None else self._names.manifests.get((repository, digest))
        if found is None:
            raise ManifestUnknown(f"{reference} is not in this repository")
        return found

    async def list_tags(
        self, repository: RepositoryName, *, after: str = "", limit: int | None = None
    ) -> list[str]:
        if repository not in self._names.repositories:
            raise NameUnknown(f"there is no repository {repository}")
        here = (tag for where, tag in self._names.tags if where == repository)
        return sorted(tag for tag in here if tag > after)[:limit]

    async def list_referrers(
        self,
        repository: RepositoryName,
        subject: Digest,
        *,
        artifact_type: str | None = None,
        after: Digest | None = None,
        limit: int | None = None,
    ) -> list[ManifestRecord]:
        found = [
            manifest
            for (where, digest), manifest in self._names.manifests.items()
            if where == repository
            and manifest.subject == subject
            and artifact_type in {None, manifest.artifact_type}
            and (after is None or digest > after)
        ]
        return sorted(found, key=lambda manifest: manifest.digest)[:limit]

    async def list_repositories(
        self, *, projects: Iterable[str] | None, after: str = "", limit: int | None = None
    ) -> list[RepositoryName]:
        seen = None if projects is None else set(projects)
        holding = {where for where, _ in self._names.manifests}
        found = (name for name in holding if seen is None or name.project in seen)
        return sorted((name for name in found if str(name) > after), key=str)[:limit]

    async def list_links(self, digest: Digest, *, limit: int) -> list[RepositoryName]:
        linked = (name for name, held in self._names.links if held == digest)
        return sorted(linked, key=str)[:limit]

    # -- uploads --------------------------------------------------------------------------------

    async def begin_upload(
        self, repository: RepositoryName, principal: str, leave: Leave | None = None
    ) -> Upload:
        del leave  # it has no limits
        upload = Upload(self._new_id(), repository, principal, 0, 0)
        self._names.repositories.add(repository)
        self._sessions.begin(upload)
        return upload

    async def is_bounded(self, repository: RepositoryName, allowance: Allowance) -> bool:
        del repository, allowance
        return False

    async def find_upload(self, repository: RepositoryName, upload: str) -> Upload:
        return self._sessions.find(repository, upload)

    async def lease_upload(
        self, repository: RepositoryName, upload: str, *, at: int | None, seconds: float
    ) -> Upload:
        return self._sessions.lease(repository, upload, at, seconds)

    async def record_segment(self, upload: Upload, segment: Segment, *, seconds: float) -> Upload:
        return self._sessions.record(upload, segment, seconds)

    async def reserve_upload(
        self, upload: Upload, total: int, leave: Leave, *, seconds: float, ahead: bool = False
    ) -> int | None:
        del upload, total, leave, seconds, ahead
        return None

    async def release_upload(self, upload: Upload) -> None:
        self._sessions.release(upload)

    async def cancel_upload(self, repository: RepositoryName, upload: str) -> None:
        self._sessions.cancel(repository, upload)

    async def finish_upload(
        self,
        repository: RepositoryName,
        upload: Upload | None,
        blob: BlobRecord,
        leave: Leave | None = None,
    ) -> BlobRecord:
        del leave
        if upload is not None:
            self._sessions.finish(upload, blob.digest)
        holding = self._names.blobs.setdefault(blob.digest, blob)
        self._link(repository, holding)
        return holding

    # -- names ----------------------------------------------------------------------------------

    async def link_blob(
        self,
        repository: RepositoryName,
        source: RepositoryName,
        digest: Digest,
        leave: Leave | None = None,
    ) -> BlobRecord:
        del leave
        if (source, digest) not in self._names.links:
            raise BlobUnknown(f"{digest} is not in {source}")
        holding = self._names.blobs[digest]
        self._link(repository, holding)
        return holding

    async def touch_link(self, repository: RepositoryName, digest: Digest) -> bool:
        if (repository, digest) not in self._names.links:
            return False
        self._names.links[repository, digest] = self._clock()
        return True

    async def put_manifest(self, put: ManifestPut, leave: Leave | None = None) -> Position:
        del leave
        name = put.repository
        missing = [each for each in put.blobs if (name, each) not in self._names.links]
        missing += [each for each in put.manifests if (name, each) not in self._names.manifests]
        if missing and not put.sparse:
            raise ManifestBlobUnknown({"missing": [str(each) for each in missing]})
        here = sorted(each for each in put.blobs if (name, each) in self._names.links)
        now = self._clock()
        return self._change(
            Change(
                op="put",
                repository=name,
                at=now,
                manifest=put.manifest,
                references=put.references,
                blobs=tuple(self._names.blobs[each] for each in here),
                tags=tuple(tag.name for tag in put.tags),
                records=tuple(self._names.resolve(name.project, put.drafts, now, self._new_id)),
            )
        )

    async def delete_manifest(self, repository: RepositoryName, digest: Digest) -> Position:
        await self.find_manifest(repository, digest)
        tagged = {
            name: held for (where, name), held in self._names.tags.items() if where == repository
        }
        tags = sorted(name for name, held in tagged.items() if held == digest)
        change = Change("delete-manifest", repository, self._clock(), digest=digest)
        return self._change(replace(change, tags=tuple(tags)))

    async def delete_tag(self, repository: RepositoryName, tag: Tag) -> Position:
        await self.find_manifest(repository, tag)
        return self._change(Change("delete-tag", repository, self._clock(), tags=(tag.name,)))

    async def unlink_blob(self, repository: RepositoryName, digest: Digest) -> Position:
        await self.find_blob(repository, digest)
        return self._change(Change("unlink", repository, self._clock(), digest=digest))

    # -- image records --------------------------------------------------------------------------

    async def find_record(self, record: str) -> ImageRecord:
        return self._find_record(record).record

    async def list_records(
        self,
        *,
        projects: Iterable[str] | None,
        filters: Mapping[str, str],
        after: str | None = None,
        limit: int,
        descending: bool = True,
    ) -> list[ImageRecord]:
        states = records.list_seen(
            self._names.records.values(),
            projects=projects,
            filters=filters,
            after=None if after is None else self._find_record(after),
            descending=descending,
        )
        return [state.record for state in states[:limit]]

    async def share_record(self, record: str, how: SharingChange) -> Shared:
        change = share(self._find_record(record), self._clock(), how)
        return Shared(change.records[0].record, self._change(change))

    async def list_members(self, record: str) -> list[Member]:
        return [Member(*each) for each in self._find_record(record).members]

    # -- journal and identity -------------------------------------------------------------------

    async def pending_lines(self, after: Mapping[str, int] | None = None) -> list[JournalLine]:
        return self._lines.list_pending(after or {})

    async def claim_lines(
        self, holder: str, after: Mapping[str, int], *, seconds: float
    ) -> list[JournalLine]:
        return self._lines.claim(holder, after, seconds)

    async def is_pending(self, position: Position) -> bool:
        return self._lines.is_pending(position)

    async def settle(
        self, heads: Mapping[str, int], *, seen: int | None = None, holder: str | None = None
    ) -> None:
        if seen is not None and seen != self.interruptions:
            raise StorageUnavailable("the ledger was out of reach meanwhile")
        self._lines.settle(heads, holder)

    async def replay(self, lines: Sequence[JournalLine]) -> None:
        for change in self._lines.take(lines):
            self._names.apply(change)

    async def restart(self, project: str, sequence: int) -> None:
        self._names.forget(project)
        self._lines.restart(project, sequence)

    async def heads(self) -> Mapping[str, int]:
        return {project: head for project, head in self._lines.heads.items() if head}

    async def count_lines(self) -> int:
        return sum(self._lines.heads.values())

    async def identity(self) -> tuple[StoreIdentity, bool] | None:
        return self._identity

    async def found(self, identity: StoreIdentity, *, whole: bool) -> None:
        if self._identity is not None and self._identity[0] != identity:
            raise StorageUnavailable("the ledger belongs to another store already")
        self._identity = identity, whole
        if whole:
            self._names.forget_unlinked()

    # -- secrets of the server ------------------------------------------------------------------

    async def load_keys(self) -> list[tuple[str, bytes, float]]:
        keys = sorted((-created_at, kid, pem) for kid, (pem, created_at) in self._keys.items())
        return [(kid, pem, -older) for older, kid, pem in keys]

    async def store_key(self, kid: str, pem: bytes) -> None:
        self._keys.setdefault(kid, (pem, self._clock()))

    async def drop_key(self, kid: str) -> None:
        self._keys.pop(kid, None)

    async def revoke(self, token: str, expires_at: float) -> None:
        self._revoked[token] = expires_at

    async def is_revoked(self, token: str) -> bool:
        return self._revoked.get(token, 0.0) > self._clock()

    # -- within ---------------------------------------------------------------------------------

    def _change(self, change: Change) -> Position:
        """Carry *change* out, with the records that end by it, and write its line."""
        if self._identity is not None and not self._identity[1]:
            raise StorageUnavailable("the ledger is being rebuilt: nothing is changed meanwhile")
        change = replace(change, gone=self._names.ended(change))
        self._names.apply(change)
        return self._lines.draw(change)

    def _link(self, repository: RepositoryName, blob: BlobRecord) -> None:
        is_new = (repository, blob.digest) not in self._names.links
        self._names.repositories.add(repository)
        self._names.links[repository, blob.digest] = self._clock()
        if is_new and self._names.is_named(repository, blob.digest):
            self._change(Change("link", repository, self._clock(), blobs=(blob,)))

    def _find_record(self, record: str) -> RecordState:
        found = self._names.records.get(record)
        if found is None:
            raise ManifestUnknown("there is no such image record")
        return found
