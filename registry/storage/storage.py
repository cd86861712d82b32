"""The stores of one registry, together: what the rules are given."""

from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final, Generic, Protocol, TypeVar

from registry.limits import UNBOUNDED, Allowances, FixedAllowances
from registry.oci.digest import Digest, Hasher
from registry.oci.errors import (
    BlobUnknown,
    BlobUploadUnknown,
    ManifestUnknown,
    NameUnknown,
    RegistryError,
    StorageUnavailable,
)
from registry.oci.image import ImageConfig
from registry.storage.layout import new_object_name
from registry.storage.ports.blobs import BlobStore
from registry.storage.ports.journal import Journal
from registry.storage.ports.ledger import DOUBT, Ledger
from registry.storage.ports.projection import Openings
from registry.storage.records import BlobRecord, Position, Upload

Value = TypeVar("Value")
ABSENCES: Final = (BlobUnknown, BlobUploadUnknown, ManifestUnknown, NameUnknown)


class Flush(Protocol):
    """Whatever brings a ledger's pending lines into the journal."""

    async def flush(self, position: Position) -> None:
        """Answer once the journal holds *position*; raises StorageUnavailable or StorageFull."""
        ...

    async def flush_pending(self) -> None:
        """Bring every line into the journal that is pending now; raises as ``flush``."""
        ...

    async def flush_all(self) -> None:
        """Bring every pending line into the journal."""
        ...

    def trust(self, seen: int) -> None:
        """Take the ledger, after *seen* interruptions, for the store's own."""
        ...

    async def close(self) -> None:
        """Settle what was flushed, and let go."""
        ...


@dataclass(frozen=True, slots=True)
class Redirects:
    """Addresses at which anybody may read a blob for a while."""

    sign: Callable[[BlobRecord, int], Awaitable[str]]
    """Where a blob is for so many seconds; StorageUnavailable where nothing can be signed."""
    seconds: int

    async def find(self, blob: BlobRecord) -> str:
        """Where *blob* is."""
        return await self.sign(blob, self.seconds)

    async def check(self) -> None:
        """Raise StorageUnavailable where nothing can be signed."""
        digest = Digest.of(b"")
        await self.find(BlobRecord(digest, new_object_name(digest), 0))


class Hashers:
    """SHA-256 of the uploads that this process wrote last, so that closing one reads nothing again.

    A hasher fits only where nobody else wrote in between: same epoch chain, same offset. One that
    was lost (another replica, a restart, too many uploads) costs one reading of the bytes.
    """

    def __init__(self, limit: int = 4096) -> None:
        self._limit = limit
        self._kept: OrderedDict[str, tuple[int, int, Hasher]] = OrderedDict()

    def take(self, upload: Upload) -> Hasher | None:
        """The hasher of all of *upload*'s recorded bytes, if it is here; it is not kept on."""
        kept = self._kept.pop(upload.id, None)
        if kept is None or kept[:2] != (upload.epoch - 1, upload.offset):
            return None
        return kept[2]

    def keep(self, upload: Upload, hasher: Hasher | None) -> None:
        """Remember *hasher* as that of all of *upload*'s bytes, until its next lease."""
        if hasher is not None:
            self._kept[upload.id] = (upload.epoch, upload.offset, hasher)
            if len(self._kept) > self._limit:
                self._kept.popitem(last=False)


class Remembered(Generic[Value]):
    """What was made of content lately, by its digest; content never changes, so neither does it."""

    def __init__(self, limit: int = 256) -> None:
        self._limit = limit
        self._kept: OrderedDict[Digest, Value] = OrderedDict()

    def get(self, digest: Digest) -> Value | None:
        """What was made of it, if that is remembered."""
        found = self._kept.get(digest)
        if found is not None:
            self._kept.move_to_end(digest)
        return found

    def keep(self, digest: Digest, value: Value) -> None:
        """Remember *value*."""
        self._kept[digest] = value
        if len(self._kept) > self._limit:
            self._kept.popitem(last=False)


@dataclass(slots=True)
class Storage:
    """Bytes, lines and names, and whether they belong together."""

    blobs: BlobStore
    journal: Journal
    ledger: Ledger
    flusher: Flush
    hashers: Hashers = field(default_factory=Hashers)
    configs: Remembered[ImageConfig] = field(default_factory=Remembered)
    """Bytes, never rights: who may read them is asked each time."""
    promise: float = 6 * 3600.0
    """Seconds after which a look at a blob promises it anew: a quarter of the collector's grace."""
    openings: Openings | None = None
    """What records open to those of other projects; None: nothing."""
    allowances: Allowances = field(default_factory=lambda: FixedAllowances(UNBOUNDED, {}))
    """Limits that are kept elsewhere than in the ledger."""
    redirects: Redirects | None = None
    """Where blobs can be read without this server; None: here alone."""
    verdict: str | None = None
    """What the last comparison of ledger and store came to; see ``disagreement``."""
    seen: int = 0
    """The ledger's interruptions at that time."""

    @property
    def disagreement(self) -> str | None:
        """Why ledger and store do not fit together; unless it is None nothing is changed or denied.

        After an interruption the ledger may be an earlier one, so it is not believed until they
        have been compared again.
        """
        return self.verdict if self.ledger.interruptions == self.seen else DOUBT

    @disagreement.setter
    def disagreement(self, verdict: str | None) -> None:
        self.conclude(verdict, self.ledger.interruptions)

    def believed(self, error: RegistryError) -> RegistryError:
        """What is told of *error*: that something is absent only while ledger and store agree."""
        if isinstance(error, ABSENCES) and self.disagreement is not None:
            return StorageUnavailable(self.disagreement)
        return error

    def conclude(self, verdict: str | None, seen: int) -> None:
        """Note what a comparison came to that began after *seen* interruptions."""
        self.verdict, self.seen = verdict, seen
        if verdict is None:
            self.flusher.trust(seen)
