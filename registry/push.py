"""Rules of writing (distribution-spec, "Push"): bytes first, names last."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

from registry import receive
from registry.describe import Describer, remember
from registry.limits import Leave
from registry.metering import Meter, end, ending_if_refused
from registry.oci import manifest as manifests
from registry.oci.chain import RecordDraft
from registry.oci.digest import Digest
from registry.oci.errors import (
    BlobUnknown,
    BlobUploadUnknown,
    DigestInvalid,
    QuotaExceeded,
    UploadBusy,
)
from registry.oci.names import Reference, RepositoryName, Tag
from registry.receive import Receiver, while_leased
from registry.storage.records import BlobRecord, ManifestPut, ManifestRecord, Upload
from registry.storage.storage import Storage

ONE_REQUEST = "-"
"""Whose a session is that lives within one request; no client knows its id."""


@dataclass(frozen=True, slots=True)
class PushRules:
    """[push]"""

    require_references: bool = True
    """Whether all that a manifest names must be in the repository before it (sparse if not)."""


# -- blobs --------------------------------------------------------------------------------------


async def put_blob(
    storage: Storage,
    repository: RepositoryName,
    digest: Digest,
    size: int | None,
    body: AsyncIterator[bytes],
    leave: Leave | None = None,
) -> BlobRecord:
    """A blob in one request (end-4b).

    Raises DigestInvalid, SizeInvalid and QuotaExceeded; then nothing is kept.
    """
    asked = leave or Leave()
    if not await storage.ledger.is_bounded(repository, asked.allowance):
        stored = await storage.blobs.put(digest, size, body)
        return await record_blob(storage, repository, None, stored, asked)
    # Only a session can keep room for what is on its way.
    session = await storage.ledger.begin_upload(repository, ONE_REQUEST, asked)
    try:
        session = await storage.ledger.lease_upload(
            repository, session.id, at=0, seconds=receive.LEASE
        )
        meter = Meter(storage, session, asked)
        await meter.announce(size)
        stored = await storage.blobs.put(digest, size, meter.metered(body))
        return await record_blob(storage, repository, session, stored, asked)
    except BaseException:
        await end(storage, session)
        raise


async def mount_blob(
    storage: Storage,
    repository: RepositoryName,
    sources: Sequence[RepositoryName],
    digest: Digest,
    leave: Leave | None = None,
) -> BlobRecord | None:
    """Link to a blob that one of *sources* has (end-11); None where none of them has it.

    Raises QuotaExceeded.
    """
    for source in sources:
        try:
            return await storage.ledger.link_blob(repository, source, digest, leave)
        except BlobUnknown:
            continue
    return None


async def begin_upload(
    storage: Storage, repository: RepositoryName, principal: str, leave: Leave | None = None
) -> Upload:
    """A new session (end-4a); raises QuotaExceeded where there is no room for a byte."""
    return await storage.ledger.begin_upload(repository, principal, leave)


async def find_upload(storage: Storage, repository: RepositoryName, upload: str) -> Upload:
    """A session that is still open (end-13); raises BlobUploadUnknown."""
    session = await storage.ledger.find_upload(repository, upload)
    if session.finished is not None:
        raise BlobUploadUnknown("the upload was finished")
    return session


async def append_chunk(
    storage: Storage,
    repository: RepositoryName,
    upload: str,
    at: int | None,
    size: int | None,
    body: AsyncIterator[bytes],
    leave: Leave | None = None,
) -> Upload:
    """Append *body* at byte *at* (None: wherever the session ends); the session as it is then.

    What arrived before *body* broke off is recorded. Raises RangeInvalid, UploadBusy,
    BlobUploadUnknown: nothing was appended then. QuotaExceeded ends the session.
    """
    session = await storage.ledger.lease_upload(repository, upload, at=at, seconds=receive.LEASE)
    receiver = Receiver(storage, session)
    async with ending_if_refused(storage, session):
        try:
            meter = Meter(storage, session, leave or Leave())
            await meter.announce(size)
            await receiver.receive(meter.metered(body), then_release=True)
        finally:
            await receiver.release()
    return receiver.session


async def finish_upload(
    storage: Storage,
    repository: RepositoryName,
    upload: str,
    at: int | None,
    digest: Digest,
    size: int | None,
    body: AsyncIterator[bytes],
    leave: Leave | None = None,
) -> BlobRecord:
    """Append *body*, then make the session a blob (end-6); *size* is the body's length if known.

    A repeat for a finished session answers the same blob. Raises DigestInvalid where the content
    is another: the session stays, with what was appended. QuotaExceeded ends the session.
    """
    session = await storage.ledger.find_upload(repository, upload)
    if session.finished is not None:
        if session.finished != digest:
            raise BlobUploadUnknown("the upload was finished with another digest")
        return (await storage.ledger.find_blob(repository, digest)).blob
    session = await storage.ledger.lease_upload(repository, upload, at=at, seconds=receive.LEASE)
    async with ending_if_refused(storage, session):
        return await _complete(storage, session, digest, size, body, leave or Leave())


async def _complete(
    storage: Storage,
    session: Upload,
    digest: Digest,
    size: int | None,
    body: AsyncIterator[bytes],
    leave: Leave,
) -> BlobRecord:
    """The rest of ``finish_upload``, for a leased session; the lease ends with it."""
    meter = Meter(storage, session, leave)
    metered = meter.metered(body)
    receiver = Receiver(storage, session)
    try:
        await meter.announce(size)
        if session.offset == 0 and size:
            put = storage.blobs.put(digest, size, metered)
            stored = await while_leased(storage, session, put)
            return await record_blob(storage, session.repository, session, stored, leave)
        await receiver.receive(metered, then_release=False)
        session = receiver.session
        await while_leased(storage, session, receiver.verify(digest))
        commit = storage.blobs.commit(session.id, session.segments, digest)
        stored = await while_leased(storage, session, commit)
        holding = await record_blob(storage, session.repository, session, stored, leave)
    except BaseException:
        await storage.ledger.release_upload(receiver.session)
        raise
    content = b"".join(each.content for each in session.segments)
    if len(content) == session.offset:
        remember(storage, digest, content)
    return holding


async def cancel_upload(storage: Storage, repository: RepositoryName, upload: str) -> None:
    """Forget a session (end-14); raises BlobUploadUnknown."""
    await storage.ledger.cancel_upload(repository, upload)
    await storage.blobs.discard(upload)


async def record_blob(
    storage: Storage,
    repository: RepositoryName,
    session: Upload | None,
    stored: BlobRecord,
    leave: Leave,
) -> BlobRecord:
    """Have the ledger take *stored*, which *session* has come to; its blob, which may be older.

    Where the ledger takes another object, or none, *stored* is dropped. Raises UploadBusy and
    QuotaExceeded.
    """
    try:
        holding = await storage.ledger.finish_upload(repository, session, stored, leave)
    except (UploadBusy, QuotaExceeded):
        # Another writer took the session over, whose object is the one that will count; or there
        # is no room for it. A segment stays with its session, which that writer may close with it.
        if session is None or all(each.name != stored.object for each in session.segments):
            await storage.blobs.delete(stored.object)
        raise
    if holding.object != stored.object:
        await storage.blobs.delete(stored.object)
    if session is not None and (session.segments or session.epoch > 1):
        # Of a first lease that recorded nothing, nothing lies there.
        await storage.blobs.discard(session.id, holding.object)
    return holding


# -- manifests ----------------------------------------------------------------------------------


async def put_manifest(
    storage: Storage,
    rules: PushRules,
    repository: RepositoryName,
    reference: Reference,
    tags: Sequence[Tag],
    media_type: str | None,
    content: bytes,
    leave: Leave | None = None,
) -> ManifestRecord:
    """A manifest under a tag, or under its digest and *tags* (end-7).

    Raises DigestInvalid, ManifestInvalid, ManifestBlobUnknown and QuotaExceeded; nothing changes
    then.
    """
    if isinstance(reference, Tag):
        digest = Digest.of(content)
        tags = [reference]
    else:
        digest = Digest.of(content, reference.algorithm)
        if digest != reference:
            raise DigestInvalid(f"the manifest's content is {digest}")
    manifest = manifests.parse(content, media_type)
    record = ManifestRecord(
        digest=digest,
        media_type=manifest.media_type,
        content=content,
        subject=manifest.subject,
        artifact_type=manifest.artifact_type,
        annotations=manifest.annotations,
    )
    drafts: tuple[RecordDraft, ...] = ()
    if tags:
        trusting = rules.require_references  # then the ledger refuses a config that is not ours
        describer = Describer(storage, repository, trusting=trusting)
        drafts = await describer.draft(tags, record, manifest)
    put = ManifestPut(
        repository=repository,
        manifest=record,
        tags=tuple(tags),
        blobs=manifest.blobs,
        manifests=manifest.children,
        drafts=drafts,
        sparse=not rules.require_references,
    )
    await storage.flusher.flush(await storage.ledger.put_manifest(put, leave))
    return record
