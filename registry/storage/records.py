"""What the stores keep and answer with: frozen, and valid by construction."""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Self

from registry.oci.chain import RecordDraft
from registry.oci.descriptor import Descriptor
from registry.oci.digest import Digest
from registry.oci.names import RepositoryName, Tag


def new_uuid() -> str:
    """A fresh id of an image record or an upload."""
    return str(uuid.uuid4())


@dataclass(frozen=True, slots=True)
class BlobRecord:
    """Bytes that lie in the store: *object* is their name there, never used twice."""

    digest: Digest
    object: str
    size: int
    """Bytes."""


@dataclass(frozen=True, slots=True)
class StoredObject:
    """An object as the store itself lists it."""

    name: str
    size: int
    """Bytes."""
    made_at: float
    """Seconds, UTC."""


@dataclass(frozen=True, slots=True)
class Link:
    """A repository's right to serve a blob."""

    blob: BlobRecord
    touched_at: float
    """When the blob was last promised to this repository (seconds since the epoch, UTC)."""


@dataclass(frozen=True, slots=True)
class Segment:
    """Bytes of an upload that a store holds and that the ledger has recorded, or is about to.

    The same *name* with a larger *size* is the same segment, grown; a name belongs to one epoch.
    """

    name: str
    size: int
    """Bytes."""
    etag: str = ""
    """The store's own word for the content, where it has one (Swift: MD5 in hex)."""
    content: bytes = b""
    """The bytes themselves, where the store leaves them to the ledger because they are few."""


@dataclass(frozen=True, slots=True)
class Upload:
    """An upload session, as the ledger has it."""

    id: str
    """A UUID."""
    repository: RepositoryName
    principal: str
    """Who began it; nobody else may go on with it."""
    epoch: int
    """Raised by every lease; a writer of an older epoch can record nothing."""
    offset: int
    """Bytes recorded: the sum of the segments' sizes."""
    segments: tuple[Segment, ...] = ()
    finished: Digest | None = None
    """The blob that came of it: the session is over, and remembered for an hour."""
    bounded: bool = False
    """Whether the ledger has limits for its repository or project."""


@dataclass(frozen=True, slots=True)
class ManifestRecord:
    """A manifest in a repository: the very bytes that were pushed, and what they say."""

    digest: Digest
    media_type: str
    content: bytes
    subject: Digest | None = None
    artifact_type: str | None = None
    """As the referrers API answers it: the manifest's own, else its config's media type."""
    annotations: Mapping[str, str] = field(default_factory=dict)

    @property
    def descriptor(self) -> Descriptor:
        """The manifest as a referrers list names it."""
        return Descriptor(
            self.media_type,
            self.digest,
            len(self.content),
            artifact_type=self.artifact_type,
            annotations=self.annotations,
        )


@dataclass(frozen=True, slots=True)
class ImageRecord:
    """An image record as the cloud shows it (Image API v2). Times are seconds, UTC."""

    id: str
    """A UUID, the same in the ledger and in Glance."""
    project: str
    key: str
    kind: str
    name: str | None
    parent_id: str | None
    size: int
    properties: Mapping[str, str]
    visibility: str
    """``private``, ``shared``, ``community`` or ``public``."""
    created_at: float
    updated_at: float
    version: int
    """Raised by every change."""

    @classmethod
    def begin(
        cls, draft: RecordDraft, project: str, parent_id: str | None, now: float, fresh: str
    ) -> Self:
        """The record that *draft* becomes at first, under the id *fresh*: nobody else sees it."""
        return cls(
            id=fresh,
            project=project,
            key=draft.key,
            kind=draft.kind,
            name=draft.name,
            parent_id=parent_id,
            size=draft.size,
            properties=dict(draft.properties),
            visibility="private",
            created_at=now,
            updated_at=now,
            version=1,
        )

    @property
    def hidden(self) -> bool:
        """Listed only when hidden ones are asked for. Layers are not: histories show them."""
        return self.kind in {"repository", "manifest"}

    @property
    def protected(self) -> bool:
        """Not to be deleted as an image; only a tag's record may."""
        return self.kind != "tag"


@dataclass(frozen=True, slots=True)
class Member:
    """A project that an image record is shared with."""

    project: str
    status: str
    """``pending``, ``accepted`` or ``rejected``."""


@dataclass(frozen=True, slots=True)
class ManifestPut:
    """All that one manifest PUT changes, for the ledger's one transaction."""

    repository: RepositoryName
    manifest: ManifestRecord
    tags: tuple[Tag, ...]
    blobs: tuple[Digest, ...]
    """Config and layers that it names and that must be linked here, unless *sparse*."""
    manifests: tuple[Digest, ...]
    """An index's children, which must be manifests here, unless *sparse*."""
    drafts: tuple[RecordDraft, ...] = ()
    sparse: bool = False
    """Whether references that are not there are accepted."""

    @property
    def references(self) -> tuple[tuple[str, str], ...]:
        """(digest, kind) of what the manifest names, each digest once."""
        named = {str(each): "blob" for each in self.blobs}
        named |= {str(each): "manifest" for each in self.manifests}
        if self.manifest.subject is not None:
            named.setdefault(str(self.manifest.subject), "subject")
        return tuple(sorted(named.items()))


@dataclass(frozen=True, slots=True, order=True)
class Position:
    """A place in the journal: the *sequence*-th line of *project*, counted from 1."""

    project: str
    sequence: int


@dataclass(frozen=True, slots=True)
class Shared:
    """An image record whose sharing was changed."""

    record: ImageRecord
    """As it is from then on."""
    position: Position


@dataclass(frozen=True, slots=True)
class JournalLine:
    """One change of names, as it lies with the bytes.

    *content* is one JSON object in UTF-8, written on one line.
    """

    position: Position
    content: bytes


@dataclass(frozen=True, slots=True)
class StoreIdentity:
    """What a store and its ledger carry alike, so that neither is taken for another's."""

    store: str
    """A UUID."""
    epoch: int
