"""What was deleted and can be taken back: the port beside Ledger, and its records."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from registry.limits import Leave
from registry.oci.digest import Digest
from registry.oci.names import RepositoryName
from registry.storage.records import ManifestPut, Position


@dataclass(frozen=True, slots=True)
class TrashEntry:
    """A manifest that was deleted, or lost tags; it can be put again under them."""

    id: str
    repository: RepositoryName
    digest: Digest
    media_type: str
    size: int
    """Bytes of the manifest itself."""
    tags: tuple[str, ...]
    deleted_at: float
    """Seconds, UTC."""
    whole: bool
    """Whether it went with its whole repository."""

    @property
    def key(self) -> tuple[float, str]:
        """Its place in the order in which they are listed."""
        return self.deleted_at, self.id


@dataclass(frozen=True, slots=True)
class Emptied:
    """A step of the deletion of a whole repository."""

    manifests: int
    tags: int
    position: Position | None
    """The last line of the journal that says so; None where nothing was there."""
    more: bool
    """Whether manifests are left."""


class Trash(Protocol):
    """Deleted tags, manifests and repositories, for as long as they are kept.

    Every method is one transaction and may raise StorageUnavailable.
    """

    async def list(
        self,
        *,
        projects: Iterable[str] | None = None,
        repository: RepositoryName | None = None,
        after: tuple[float, str] | None = None,
        limit: int,
    ) -> list[TrashEntry]:
        """The newest first, of *projects* (None: all) or of *repository*, behind *after*."""
        ...

    async def content(self, entry: str) -> bytes:
        """The manifest's bytes; raises ManifestUnknown where the entry is not there any more."""
        ...

    async def put_back(self, put: ManifestPut, leave: Leave | None = None) -> Position:
        """Put a manifest that is in the trash once more, and take it out there.

        As Ledger.put_manifest; its blobs are promised anew. What of its entries has other tags
        than those of *put* stays, with these. Raises ManifestUnknown where the trash of the
        repository does not have it, TagTaken where a tag is on another manifest by now,
        ManifestBlobUnknown, and QuotaExceeded.
        """
        ...

    async def empty(self, repository: RepositoryName, *, limit: int) -> Emptied:
        """Delete *limit* manifests at most with their tags, indexes before what they name.

        They are in the trash then, as ``whole``.
        """
        ...
