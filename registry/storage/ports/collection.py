"""What a collector asks of a ledger: the port beside Ledger, and its records."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from registry.oci.digest import Digest
from registry.oci.names import RepositoryName
from registry.storage.records import BlobRecord, Position


@dataclass(frozen=True, slots=True)
class UnneededLink:
    """A repository's right to a blob that nothing in it names."""

    repository: RepositoryName
    digest: Digest
    size: int
    touched_at: float
    key: tuple[int, str]
    """Its place in the order in which they are listed."""


@dataclass(frozen=True, slots=True)
class Condemned:
    """What a condemnation took away, for good."""

    links: int
    bytes: int
    """Of the blobs of these links."""
    objects: tuple[BlobRecord, ...]
    """Blobs that no repository is linked to any more; their objects can leave the store."""
    position: Position | None
    """The journal line that says so; None where nothing was taken."""


@dataclass(frozen=True, slots=True)
class Untagged:
    """A manifest that no tag, index, subject or trash holds."""

    repository: RepositoryName
    digest: Digest
    size: int
    pushed_at: float
    key: tuple[int, str]


@dataclass(frozen=True, slots=True)
class StaleUpload:
    """A session that nobody wrote to for long."""

    repository: RepositoryName
    id: str
    offset: int
    touched_at: float


@dataclass(frozen=True, slots=True)
class Standing:
    """A manifest in a repository, and what holds it there."""

    repository: RepositoryName
    digest: Digest
    pushed_at: float
    tags: tuple[str, ...]
    indexes: "tuple[Standing, ...]"
    """Some of those that name it, each with what holds it in turn."""
    subject: Digest | None
    """What it is about, where that is here too."""
    thrown_at: float | None
    """When it lost tags that the trash keeps it for."""


@dataclass(frozen=True, slots=True)
class Holder:
    """A manifest that names something."""

    kind: str
    """``blob``, ``manifest`` or ``subject``: how it names it."""
    by: Standing


@dataclass(frozen=True, slots=True)
class Facts:
    """All that a ledger knows of one digest."""

    digest: Digest
    blob: BlobRecord | None
    bad: bool
    came_at: float
    """When the blob came, if there is one."""
    links: tuple[tuple[RepositoryName, float], ...]
    """Repository, and when the blob was last promised to it."""
    manifests: tuple[Standing, ...]
    """Where it is a manifest."""
    holders: tuple[Holder, ...]
    """Some of what names it."""
    more_holders: int
    """How many others name it too."""
    trash: tuple[tuple[RepositoryName, float, str], ...]
    """Trash entries that keep it: repository, when it was deleted, how it is named there."""
    leaving: bool
    """Whether an object of it is on its way out of the store."""


@dataclass(frozen=True, slots=True)
class Totals:
    """How much there is: of blobs, or of whatever else is counted."""

    blobs: int
    bytes: int


class Collection(Protocol):
    """Garbage in a ledger: found by pages, and condemned under the locks that pushes take.

    Times are seconds, UTC. Every method is one transaction and may raise StorageUnavailable.
    """

    async def lease(self, job: str, holder: str, seconds: float) -> bool:
        """Be the only one to do *job* for *seconds*, or go on being it; False: another is."""
        ...

    async def release(self, job: str, holder: str) -> None:
        """End that. Idempotent."""
        ...

    async def totals(self) -> Totals:
        """Blobs and bytes in all."""
        ...

    async def unneeded_links(
        self,
        before: float,
        *,
        trash_since: float | None = None,
        after: tuple[int, str] | None = None,
        limit: int = 1000,
    ) -> list[UnneededLink]:
        """Links last promised before *before*, which no manifest and no trash of theirs names.

        Trash of before *trash_since* does not count.
        """
        ...

    async def unlinked_blobs(self, before: float, *, limit: int = 1000) -> list[BlobRecord]:
        """Blobs that came before *before* and that no repository is linked to."""
        ...

    async def condemn(
        self, repository: RepositoryName, digests: Sequence[Digest], before: float
    ) -> Condemned:
        """Take the links that are still unneeded, and the blobs that have none left then.

        Looks again under the rows' locks: whatever was named or promised meanwhile stays.
        """
        ...

    async def condemn_unlinked(self, digests: Sequence[Digest], before: float) -> Condemned:
        """The same for blobs that no repository is linked to."""
        ...

    async def removals(self, *, limit: int = 1000) -> list[str]:
        """Objects on their way out, the longest waiting first."""
        ...

    async def removed(self, objects: Sequence[str]) -> None:
        """These are out."""
        ...

    async def unknown_objects(self, objects: Sequence[str]) -> list[str]:
        """Those of *objects* that no blob has and that are not on their way out."""
        ...

    async def unknown_uploads(self, uploads: Sequence[str]) -> list[str]:
        """Those of *uploads* that are no sessions, neither open nor finished of late."""
        ...

    async def stale_uploads(self, before: float, *, limit: int = 1000) -> list[StaleUpload]:
        """Open sessions that nobody wrote to since *before*, and whose lease has ended."""
        ...

    async def forget_upload(self, upload: str, before: float) -> bool:
        """End such a session; False where somebody wrote to it meanwhile."""
        ...

    async def untagged(
        self,
        before: float,
        *,
        trash_since: float | None = None,
        after: tuple[int, str] | None = None,
        limit: int = 1000,
    ) -> list[Untagged]:
        """Manifests pushed before *before* that nothing holds; of trash as in unneeded_links."""
        ...

    async def collect_manifests(
        self, repository: RepositoryName, digests: Sequence[Digest], before: float
    ) -> tuple[list[Digest], Position | None]:
        """Delete such manifests, into the trash, and answer which; what something holds now stays.

        The position is that of the last line, None where all stay.
        """
        ...

    async def old_trash(self, before: float) -> Totals:
        """What was deleted before *before*: how many entries, with how many bytes."""
        ...

    async def purge_trash(self, before: float, *, limit: int = 1000) -> Totals:
        """Forget what was deleted before *before*; how many entries, with how many bytes."""
        ...

    async def facts(self, digest: Digest) -> Facts:
        """All that is known of *digest*."""
        ...

    async def unverified(self, before: float, *, limit: int = 100) -> list[BlobRecord]:
        """Blobs not hashed anew since *before*, the oldest first; bad ones are left out."""
        ...

    async def verified(self, blob: BlobRecord, *, good: bool) -> None:
        """*blob*'s object was hashed just now. One that is not good is absent from then on."""
        ...

    async def missed(self, blob: BlobRecord, *, again: float) -> bool:
        """*blob*'s object is not there just now; whether it counts as bad from now on.

        So it does if it was missed before already, *again* seconds ago or longer.
        """
        ...

    async def adopt(self, bad: BlobRecord, fresh: BlobRecord) -> bool:
        """Let a bad blob have the object *fresh*, whose bytes were hashed just now.

        False where the blob is not bad any more, or has another object by now.
        """
        ...

    async def bad_blobs(self) -> list[Facts]:
        """Of each bad blob what names it: the tags that break."""
        ...

    async def count_bad(self) -> int:
        """How many bad blobs there are."""
        ...

    async def oldest_verified(self) -> float | None:
        """When the blob whose turn is next was hashed last, or came; None without blobs."""
        ...
