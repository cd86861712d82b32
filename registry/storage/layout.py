"""Where things lie in a directory, and which names may become a path."""

import re
import uuid
from pathlib import Path
from typing import Final

from registry.oci.digest import Digest
from registry.oci.errors import StorageUnavailable

RESTORING: Final = "restoring"
"""A file of this name in a directory: what is there was begun to be restored, and is not whole."""
_UUID: Final = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
_UPLOAD: Final = re.compile(_UUID, re.ASCII)
_SEGMENT: Final = re.compile(rf"{_UUID}/[0-9]+-[0-9]+", re.ASCII)
_OBJECT: Final = re.compile(
    rf"(?P<algorithm>sha256|sha512)/(?P<hex>[0-9a-f]{{64}}|[0-9a-f]{{128}})/(?P<uuid>{_UUID})",
    re.ASCII,
)


def new_object_name(digest: Digest) -> str:
    """A name for one object of *digest*'s content, never used before."""
    return f"{digest.algorithm}/{digest.encoded}/{uuid.uuid4()}"


def is_object_name(name: str) -> bool:
    """Whether a store can have given *name* to an object."""
    return _OBJECT.fullmatch(name) is not None


def first_segment(upload: str) -> str:
    """The first segment of *upload* where Swift keeps it: as it is, it may become an object."""
    return f"{upload}/1/0"


def is_upload_name(name: str) -> bool:
    """Whether *name* is spelt as an upload's id is."""
    return _UPLOAD.fullmatch(name) is not None


class Layout:
    """Names to paths; a name that this store cannot have given raises StorageUnavailable."""

    def __init__(self, directory: Path) -> None:
        self.blobs = directory / "blobs"
        self.uploads = directory / "uploads"

    def object(self, name: str) -> Path:
        """``sha256/<hex>/<uuid>`` to its file."""
        match = _OBJECT.fullmatch(name)
        if match is None:
            raise StorageUnavailable("no name of an object of this store")
        return self.blobs / match["algorithm"] / match["hex"][:2] / match["hex"] / match["uuid"]

    def upload(self, upload: str) -> Path:
        """An upload's id to the directory of its segments."""
        if _UPLOAD.fullmatch(upload) is None:
            raise StorageUnavailable("no name of an upload of this store")
        return self.uploads / upload

    def segment(self, name: str) -> Path:
        """``<upload>/<epoch>-<offset>`` to its file."""
        if _SEGMENT.fullmatch(name) is None:
            raise StorageUnavailable("no name of a segment of this store")
        return self.uploads / name

    def aside(self) -> Path:
        """A file for an object on its way, never used before."""
        return self.uploads / f"put-{uuid.uuid4()}"
