"""Where things lie in an account of Swift, and which names may be asked for (pure)."""

import re
from dataclasses import dataclass
from typing import Final

from registry.oci.errors import StorageUnavailable
from registry.storage.records import Position

_UUID: Final = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
_UPLOAD: Final = re.compile(_UUID, re.ASCII)
_SEGMENT: Final = re.compile(rf"{_UUID}/(?:[0-9]+|{_UUID})/[0-9]+", re.ASCII)
_FIRST: Final = re.compile(rf"{_UUID}/1/0", re.ASCII)
_OBJECT: Final = re.compile(
    rf"(?:sha256|sha512)/(?P<hex>[0-9a-f]{{64}}|[0-9a-f]{{128}})/(?P<uuid>{_UUID})", re.ASCII
)
_DIGITS: Final = 16
"""Of a line's number in the journal, and of a project's, so that names sort as numbers do."""

STORE: Final = "store.json"


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """An object's container and name."""

    container: str
    name: str

    @property
    def path(self) -> str:
        """As a large object's manifest names its segments."""
        return f"/{self.container}/{self.name}"


@dataclass(frozen=True, slots=True)
class Names:
    """Names to places; one that this store cannot have given raises StorageUnavailable."""

    prefix: str

    @property
    def uploads(self) -> str:
        """The container of segments."""
        return f"{self.prefix}-uploads"

    @property
    def journal(self) -> str:
        """The container of lines."""
        return f"{self.prefix}-journal"

    @property
    def meta(self) -> str:
        """The container of what is said about the store, its projects, and the journal's folds."""
        return f"{self.prefix}-meta"

    @property
    def containers(self) -> list[str]:
        """All containers of a store."""
        blobs = [self.blobs(digit) for digit in "0123456789abcdef"]
        return [*blobs, self.uploads, self.journal, self.meta]

    @property
    def store(self) -> Place:
        """What the store says it is."""
        return Place(self.meta, STORE)

    def project(self, number: int) -> Place:
        """A project's name, which was the *number*-th to have a journal."""
        return Place(self.meta, f"projects/{number:0{_DIGITS}}")

    def object(self, name: str) -> Place:
        """``sha256/<hex>/<uuid>``: one of sixteen containers, by the digest's first digit.

        Or an upload's first segment, which has become an object where it lies.
        """
        if is_first_segment(name):
            return Place(self.uploads, name)
        match = _OBJECT.fullmatch(name)
        if match is None:
            raise StorageUnavailable("no name of an object of this store")
        return Place(self.blobs(match["hex"][0]), name)

    def blobs(self, digit: str) -> str:
        """The container of the blobs whose digests begin with *digit*."""
        return f"{self.prefix}-blobs-{digit}"

    def segment(self, name: str) -> Place:
        """``<upload>/<epoch>/<offset>``, or what ``own_part`` names."""
        if _SEGMENT.fullmatch(name) is None:
            raise StorageUnavailable("no name of a segment of this store")
        return Place(self.uploads, name)

    def used(self, upload: str) -> Place:
        """Present once a large object may use the segments of *upload*."""
        return Place(self.uploads, f"{_checked(upload)}/used")

    def own_part(self, upload: str, object_name: str, number: int) -> Place:
        """A part of one large object that no other can share: it bears the object's uuid."""
        return Place(self.uploads, f"{_checked(upload)}/{own_name(object_name)}/{number}")

    def upload(self, upload: str) -> str:
        """What the names of all of an upload's objects begin with."""
        return f"{_checked(upload)}/"

    def line(self, position: Position) -> Place:
        """A line of the journal; raises ValueError if its project cannot be part of a name."""
        if "/" in position.project:
            raise ValueError(f"{position.project!r} cannot be a project of the journal")
        return Place(self.journal, f"{position.project}/{position.sequence:0{_DIGITS}}")


def is_first_segment(name: str) -> bool:
    """Whether an object of this *name* was an upload's first segment: see `layout`."""
    return _FIRST.fullmatch(name) is not None


def own_name(object_name: str) -> str:
    """The uuid in an object's name: what only this object bears."""
    return object_name.rpartition("/")[2]


def _checked(upload: str) -> str:
    if _UPLOAD.fullmatch(upload) is None:
        raise StorageUnavailable("no name of an upload of this store")
    return upload
