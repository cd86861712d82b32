"""Rules of deleting (distribution-spec, "Content Management")."""

from registry.oci.digest import Digest
from registry.oci.names import Reference, RepositoryName, Tag
from registry.storage.storage import Storage


async def delete_manifest(
    storage: Storage, repository: RepositoryName, reference: Reference
) -> None:
    """Remove a tag, or a manifest with all its tags; raises ManifestUnknown."""
    if isinstance(reference, Tag):
        await delete_tag(storage, repository, reference)
        return
    position = await storage.ledger.delete_manifest(repository, reference)
    await storage.flusher.flush(position)


async def delete_tag(storage: Storage, repository: RepositoryName, tag: Tag) -> None:
    """Remove a tag; its manifest and its other tags stay. Raises ManifestUnknown."""
    await storage.flusher.flush(await storage.ledger.delete_tag(repository, tag))


async def delete_blob(storage: Storage, repository: RepositoryName, digest: Digest) -> None:
    """Take a blob out of this repository; others keep theirs. Raises BlobUnknown."""
    await storage.flusher.flush(await storage.ledger.unlink_blob(repository, digest))
