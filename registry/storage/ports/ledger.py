"""Names: the port of a ledger."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final, Protocol

from registry.limits import Allowance, Leave
from registry.oci.digest import Digest
from registry.oci.names import Reference, RepositoryName, Tag
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
)
from registry.storage.sharing import SharingChange

DOUBT: Final = "the ledger was out of reach: whether it is as it was is being looked at"
"""What is said between an interruption of the ledger and the next comparison with the store."""


class Ledger(Protocol):
    """Names, links, references, sessions and records: exact, fast, and made again from the journal.

    Every method is one transaction. Those that change names answer the Position of the journal
    line that the same transaction wrote; the change may be acknowledged once that is flushed.
    ``find_`` raises when absent. Any method may raise StorageUnavailable.
    """

    @property
    def interruptions(self) -> int:
        """How often it was out of reach so far, and so may have come back as an earlier one.

        Counted before anything is read from, or written to, what came back.
        """
        ...

    # -- reading --------------------------------------------------------------------------------

    async def find_blob(self, repository: RepositoryName, digest: Digest) -> Link:
        """The blob, if this repository is linked to it; raises BlobUnknown."""
        ...

    async def find_manifest(
        self, repository: RepositoryName, reference: Reference
    ) -> ManifestRecord:
        """The manifest under a tag or digest. Raises ManifestUnknown, also for no repository."""
        ...

    async def list_tags(
        self, repository: RepositoryName, *, after: str = "", limit: int | None = None
    ) -> list[str]:
        """Tags greater than *after* in byte order. Raises NameUnknown if no such repository.

        A repository is there once a blob was linked or an upload begun in it.
        """
        ...

    async def list_referrers(
        self,
        repository: RepositoryName,
        subject: Digest,
        *,
        artifact_type: str | None = None,
        after: Digest | None = None,
        limit: int | None = None,
    ) -> list[ManifestRecord]:
        """Manifests whose subject is *subject*, by digest, each once; content may be left empty.

        ``size`` of the descriptor must be right all the same, so content is not left empty.
        Empty where the repository or subject is unknown.
        """
        ...

    async def list_repositories(
        self, *, projects: Iterable[str] | None, after: str = "", limit: int | None = None
    ) -> list[RepositoryName]:
        """Repositories that hold a manifest, by ``<project>/<path>`` in byte order.

        Of *projects* only, or of all (None).
        """
        ...

    async def list_links(self, digest: Digest, *, limit: int) -> list[RepositoryName]:
        """Repositories that are linked to *digest*: where an anonymous mount may look."""
        ...

    # -- uploads --------------------------------------------------------------------------------

    async def begin_upload(
        self, repository: RepositoryName, principal: str, leave: Leave | None = None
    ) -> Upload:
        """A new session; makes the repository where there is none (not a change of names).

        Raises QuotaExceeded where nothing at all could be pushed with *leave*.
        """
        ...

    async def is_bounded(self, repository: RepositoryName, allowance: Allowance) -> bool:
        """Whether any limit holds for what is pushed there: the ledger's own, or *allowance*'s."""
        ...

    async def find_upload(self, repository: RepositoryName, upload: str) -> Upload:
        """Raises BlobUploadUnknown. A finished session is found for an hour."""
        ...

    async def lease_upload(
        self, repository: RepositoryName, upload: str, *, at: int | None, seconds: float
    ) -> Upload:
        """Become the only writer: a new epoch, for *seconds* by the database's clock.

        Raises BlobUploadUnknown (also if finished), UploadBusy if another's lease runs, and
        RangeInvalid if *at* is given and not the offset; the session stays as it was then.
        """
        ...

    async def record_segment(self, upload: Upload, segment: Segment, *, seconds: float) -> Upload:
        """Count *segment*: it replaces the last one if of the same name, else comes after it.

        *upload* is the session as the writer knows it: its epoch and offset must still be the
        ledger's, else UploadBusy is raised and nothing is recorded. The lease runs anew.
        """
        ...

    async def reserve_upload(
        self, upload: Upload, total: int, leave: Leave, *, seconds: float, ahead: bool = False
    ) -> int | None:
        """Keep room for *total* bytes of a leased session, whose lease runs anew for *seconds*.

        Answers for how many room is kept now, some more if *ahead*; None where no limit of bytes
        holds. Raises QuotaExceeded, and UploadBusy where the epoch is not the ledger's.
        """
        ...

    async def release_upload(self, upload: Upload) -> None:
        """End the lease of this epoch. Idempotent; an older epoch releases nothing."""
        ...

    async def cancel_upload(self, repository: RepositoryName, upload: str) -> None:
        """Forget the session. Raises BlobUploadUnknown, also if finished."""
        ...

    async def finish_upload(
        self,
        repository: RepositoryName,
        upload: Upload | None,
        blob: BlobRecord,
        leave: Leave | None = None,
    ) -> BlobRecord:
        """Blob row, link and the session's end. *upload* None: content came in one request.

        Answers the row that holds: where the digest was there already, the earlier one, and the
        caller deletes its own object. Raises UploadBusy if *upload*'s epoch is not the ledger's,
        and QuotaExceeded.
        """
        ...

    # -- names ----------------------------------------------------------------------------------

    async def link_blob(
        self,
        repository: RepositoryName,
        source: RepositoryName,
        digest: Digest,
        leave: Leave | None = None,
    ) -> BlobRecord:
        """Mount: link *repository* to a blob that *source* is linked to.

        Raises BlobUnknown and QuotaExceeded.
        """
        ...

    async def touch_link(self, repository: RepositoryName, digest: Digest) -> bool:
        """Promise the blob anew: raise ``touched_at`` to now. False where there is no link."""
        ...

    async def put_manifest(self, put: ManifestPut, leave: Leave | None = None) -> Position:
        """Manifest, references, tags, records and the journal's line, all or nothing.

        Locks the rows of all blobs named, in digest order. Raises ManifestBlobUnknown with the
        digests that are missing, unless the put is sparse, and QuotaExceeded.
        """
        ...

    async def delete_manifest(self, repository: RepositoryName, digest: Digest) -> Position:
        """Remove a manifest and every tag on it; raises ManifestUnknown."""
        ...

    async def delete_tag(self, repository: RepositoryName, tag: Tag) -> Position:
        """Remove a tag, and nothing else; raises ManifestUnknown."""
        ...

    async def unlink_blob(self, repository: RepositoryName, digest: Digest) -> Position:
        """Take the repository's right to a blob; raises BlobUnknown. The bytes stay."""
        ...

    # -- image records --------------------------------------------------------------------------

    async def find_record(self, record: str) -> ImageRecord:
        """By id; raises ManifestUnknown."""
        ...

    async def list_records(
        self,
        *,
        projects: Iterable[str] | None,
        filters: Mapping[str, str],
        after: str | None = None,
        limit: int,
        descending: bool = True,
    ) -> list[ImageRecord]:
        """Records by (created_at, id), newest first unless told, after the record of id *after*.

        Seen are those of *projects* (None: all), public ones, and those shared with one of them
        and accepted. *filters*: ``name``, ``visibility``, ``owner``, ``os_hidden`` ("true" or
        "false"; default "false"), else a property's name, by equality. ManifestUnknown: *after*.
        """
        ...

    async def share_record(self, record: str, how: SharingChange) -> Shared:
        """Change who may see a record; raises ManifestUnknown.

        An Invitation raises MemberTaken where the project is a member already, which stays as it
        is, and Denied where the record is not shared or has too many. An Answer raises
        ManifestUnknown where it is of no member, or of one no more. An Agreement raises Changed
        where it is about another version of the record.
        """
        ...

    async def list_members(self, record: str) -> list[Member]:
        """By project; raises ManifestUnknown."""
        ...

    # -- journal and identity -------------------------------------------------------------------

    async def pending_lines(self, after: Mapping[str, int] | None = None) -> list[JournalLine]:
        """Lines not yet settled, of each project in order; 1,000 at most a call.

        Left out are those up to *after*'s sequence of their project.
        """
        ...

    async def claim_lines(
        self, holder: str, after: Mapping[str, int], *, seconds: float
    ) -> list[JournalLine]:
        """Pending lines as above, of those projects only whose lines no other holder has claimed.

        *holder* has claimed them then, until it settles or *seconds* have passed.
        """
        ...

    async def is_pending(self, position: Position) -> bool:
        """Whether the line is not settled yet.

        Raises StorageUnavailable if this ledger never drew it.
        """
        ...

    async def settle(
        self, heads: Mapping[str, int], *, seen: int | None = None, holder: str | None = None
    ) -> None:
        """Forget pending lines up to each project's head: they lie in the journal.

        The claims of *holder* end, those of all its projects.
        Raises StorageUnavailable if there were more than *seen* interruptions: then this ledger
        may not be the one whose lines those were.
        """
        ...

    async def replay(self, lines: Sequence[JournalLine]) -> None:
        """Apply lines that the journal holds: those after this ledger's own heads, in order.

        What was applied already is passed over; the records keep the ids and times of the lines.
        Raises StorageUnavailable at a gap.
        """
        ...

    async def restart(self, project: str, sequence: int) -> None:
        """Forget all names and records of *project*, so that lines after *sequence* are replayed.

        Its links stay, which no line may bring back.
        """
        ...

    async def heads(self) -> Mapping[str, int]:
        """Each project's last sequence."""
        ...

    async def count_lines(self) -> int:
        """How many lines were ever drawn: fewer than before are an earlier state's, put back."""
        ...

    async def identity(self) -> tuple[StoreIdentity, bool] | None:
        """Whose ledger this is, and whether it is whole (False: a rebuild is under way).

        None while it is empty.
        """
        ...

    async def found(self, identity: StoreIdentity, *, whole: bool) -> None:
        """Say whose ledger this is. Raises StorageUnavailable if it is another store's.

        Once it is said that it is not *whole*, no change of names is under way, and each one is
        refused with StorageUnavailable until it is whole again. One that is whole has forgotten
        the blobs that a replay left without a link: their objects may have been collected.
        """
        ...

    # -- secrets of the server ------------------------------------------------------------------

    async def load_keys(self) -> list[tuple[str, bytes, float]]:
        """Signing keys: (kid, sealed or plain private key in PEM, created_at), newest first."""
        ...

    async def store_key(self, kid: str, pem: bytes) -> None:
        """Keep a signing key; one that is there under *kid* stays as it is."""
        ...

    async def drop_key(self, kid: str) -> None:
        """Forget a signing key. Idempotent."""
        ...

    async def revoke(self, token: str, expires_at: float) -> None:
        """Remember until *expires_at* (seconds, UTC) that the token of this id is void."""
        ...

    async def is_revoked(self, token: str) -> bool:
        """Whether ``revoke`` said so."""
        ...
