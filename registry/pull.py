"""Rules of reading (distribution-spec, "Pull")."""

import logging
import time
from collections.abc import AsyncIterator

from registry.auth.ports import WHOLE, Opening
from registry.oci.digest import Digest
from registry.oci.errors import BlobUnknown, ManifestUnknown, StorageFull, StorageUnavailable
from registry.oci.names import Reference, RepositoryName, Tag
from registry.storage.records import BlobRecord, ManifestRecord
from registry.storage.storage import Storage

_log = logging.getLogger(__name__)
SMALL = 4 * 1024 * 1024
"""Bytes up to which a blob is read whole: configs."""


async def find_manifest(
    storage: Storage,
    repository: RepositoryName,
    reference: Reference,
    opening: Opening = WHOLE,
) -> ManifestRecord:
    """The manifest under a tag or a digest; raises ManifestUnknown, also if it is not open."""
    found = await storage.ledger.find_manifest(repository, reference)
    if not opening.whole:
        named = not isinstance(reference, Tag) or reference.name in opening.tags
        if not named or found.digest not in opening.manifests:
            raise ManifestUnknown(f"{reference} is not in this repository")
    return found


async def find_blob(
    storage: Storage, repository: RepositoryName, digest: Digest, opening: Opening = WHOLE
) -> BlobRecord:
    """The blob, which this answer promises to the repository.

    Raises BlobUnknown, also if it is not open.
    """
    if not await opens(storage, opening, repository, digest):
        raise BlobUnknown(f"{digest} is not in this repository")
    link = await storage.ledger.find_blob(repository, digest)
    if time.time() - link.touched_at > storage.promise and storage.disagreement is None:
        await _promise(storage, repository, digest)
    return link.blob


async def opens(
    storage: Storage, opening: Opening, repository: RepositoryName, digest: Digest
) -> bool:
    """Whether a blob, where it is in the repository, lies within *opening*."""
    if opening.whole:
        return True
    if storage.openings is None:
        return False
    return await storage.openings.is_named(repository, opening.manifests, digest)


async def _promise(storage: Storage, repository: RepositoryName, digest: Digest) -> None:
    try:
        is_linked = await storage.ledger.touch_link(repository, digest)
    except (StorageFull, StorageUnavailable):
        return  # on a full disk, too, what is there can be read
    if not is_linked:
        raise BlobUnknown(f"{digest} is not in this repository any more")


async def read_small(storage: Storage, blob: BlobRecord) -> bytes | None:
    """All of a blob, or None if it is larger than SMALL."""
    if blob.size > SMALL:
        return None
    pieces = [piece async for piece in storage.blobs.read(blob, 0, blob.size)]
    return b"".join(pieces)


async def find_elsewhere(storage: Storage, blob: BlobRecord) -> str | None:
    """Where the caller can read *blob* without this server; None: here alone."""
    if storage.redirects is None:
        return None
    try:
        return await storage.redirects.find(blob)
    except StorageUnavailable as error:
        _log.warning("no redirect, the blob is sent from here: %s", error)
        return None


async def open_blob(
    storage: Storage, blob: BlobRecord, start: int, stop: int
) -> AsyncIterator[bytes]:
    """The bytes from *start* to *stop*; the first piece has been read when this answers.

    So a missing object is StorageUnavailable while a status can still be sent.
    """
    pieces = storage.blobs.read(blob, start, stop)
    try:
        first = await anext(pieces)
    except StopAsyncIteration:
        if stop > start:
            raise StorageUnavailable("the blob's object is shorter than its record") from None
        first = b""

    async def rest() -> AsyncIterator[bytes]:
        yield first
        async for piece in pieces:
            yield piece

    return rest()
