"""What lies in a directory of blobs and uploads, read name by name; all of it blocks."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from registry.oci.digest import Digest
from registry.storage.layout import Layout, is_object_name, is_upload_name
from registry.storage.records import StoredObject


def objects(layout: Layout, digest: Digest | None = None) -> Iterator[StoredObject]:
    """Every object, or every one of *digest*."""
    if digest is not None:
        place = layout.blobs / digest.algorithm / digest.encoded[:2] / digest.encoded
        yield from _of(place, digest.algorithm)
        return
    for algorithm in _folders(layout.blobs):
        for fan in _folders(algorithm):
            for place in _folders(fan):
                yield from _of(place, algorithm.name)


def uploads(layout: Layout) -> Iterator[StoredObject]:
    """Every upload, its bytes, and when it was last written to."""
    for folder in _folders(layout.uploads):
        if is_upload_name(folder.name):
            with contextlib.suppress(FileNotFoundError):
                inside = [each.stat() for each in os.scandir(folder)]
                last = max(folder.stat().st_ctime, *(each.st_ctime for each in inside), 0.0)
                yield StoredObject(folder.name, sum(each.st_size for each in inside), last)


def _of(place: Path, algorithm: str) -> Iterator[StoredObject]:
    with contextlib.suppress(FileNotFoundError):
        for entry in os.scandir(place):
            name = f"{algorithm}/{place.name}/{entry.name}"
            if is_object_name(name):
                with contextlib.suppress(FileNotFoundError):
                    # Not when its bytes were written, which is long ago for a slow upload.
                    found = entry.stat()
                    yield StoredObject(name, found.st_size, found.st_ctime)


def _folders(place: Path) -> Iterator[Path]:
    try:
        found = sorted(entry.name for entry in os.scandir(place) if entry.is_dir())
    except FileNotFoundError:
        return
    for name in found:
        yield place / name
