"""A backup held against what it says of itself, and made a store again."""

import hashlib
import os
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import BinaryIO

from registry.backup.faults import BackupFailed, told
from registry.backup.place import LEDGER, Place, State, digest_of, sync_file
from registry.oci.digest import Digest
from registry.storage.durable import make_directory, sync_directory, write_aside
from registry.storage.layout import RESTORING, Layout

_PIECE = 1024 * 1024
Progress = Callable[[str, int, int], None]
"""Gets a step, how much of it is done, and how much there is."""


def find_state(place: Place) -> State:
    """The state that counts, its names held against their digests; raises BackupFailed."""
    state = place.state()
    if state is None:
        raise BackupFailed(f"there is no whole backup in {place.directory}")
    names = place.names(state.number)
    for name, said in state.files.items():
        with told(names):
            if digest_of(names / name) != said:
                raise BackupFailed(f"{names / name} is damaged: it is not what was backed up")
    return state


def verify(place: Place, progress: Progress) -> tuple[State, list[str]]:
    """Read all of a backup; the objects that are damaged or gone. Raises BackupFailed."""
    state = find_state(place)
    bad = []
    for count, (name, size) in enumerate(place.objects(state.number), 1):
        if not _is_good(place.layout.object(name), None, name, size):
            bad.append(name)
        progress("verified", count, state.blobs)
    return state, bad


def restore(
    place: Place, directory: Path, ledger: Path, progress: Progress
) -> tuple[State, list[str]]:
    """Make a store in *directory*, with its ledger in *ledger*; objects that are damaged or gone.

    Those are absent in the store, and the next push heals them. Raises BackupFailed where something
    is there already.
    """
    state = find_state(place)
    names = place.names(state.number)
    with told(directory, "then empty it and restore again"):
        for path in (directory, ledger.parent):
            make_directory(path)
        made = [directory / each for each in (RESTORING, "journal", "blobs", "meta")]
        for path in (*made, ledger):
            if path.exists() and not (path.is_dir() and not any(path.iterdir())):
                raise BackupFailed(f"{path} is there already: restore into an empty directory")
        # Without it a server would take the half for a new store, and found one on it.
        write_aside(directory / RESTORING, b"")
        sync_directory(directory)
        bad = _restore_objects(place, state, Layout(directory), progress)
        shutil.copytree(names / "journal", directory / "journal", dirs_exist_ok=True)
        (directory / "meta").mkdir(mode=0o700, exist_ok=True)
        # The ledger comes before what says whose store this is: without that nothing is served.
        shutil.copyfile(names / LEDGER, ledger)
        ledger.chmod(0o600)
        _mark_bad(ledger, [*bad, *state.missing])
        shutil.copyfile(names / "meta" / "store.json", directory / "meta" / "store.json")
        (directory / "journal").chmod(0o700)
        for path in [ledger, *(directory / "journal").iterdir(), *(directory / "meta").iterdir()]:
            sync_file(path)
        for path in (directory / "journal", directory / "meta", directory, ledger.parent):
            sync_directory(path)
        (directory / RESTORING).unlink()
        sync_directory(directory)
    return state, bad


def _restore_objects(place: Place, state: State, layout: Layout, progress: Progress) -> list[str]:
    bad = []
    folders: set[Path] = {layout.blobs}
    for count, (name, size) in enumerate(place.objects(state.number), 1):
        target = layout.object(name)
        folders.update(list(target.parents)[:3])
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not _is_good(place.layout.object(name), target, name, size):
            target.unlink(missing_ok=True)
            bad.append(name)
        progress("blobs", count, state.blobs)
    for folder in sorted(folders, reverse=True):
        make_directory(folder)
        folder.chmod(0o700)
        sync_directory(folder)
    return bad


def _is_good(source: Path, target: Path | None, name: str, size: int) -> bool:
    """Whether an object is its digest's content; it is copied to *target* on the way."""
    algorithm, encoded, _ = name.split("/")
    digest = Digest.parse(f"{algorithm}:{encoded}")
    hasher = hashlib.new(digest.algorithm)
    read = 0
    try:
        file = source.open("rb")
    except OSError:
        return False
    with file:
        out = None if target is None else target.open("xb")
        try:
            while piece := _read(file):
                hasher.update(piece)
                read += len(piece)
                if out is not None:
                    out.write(piece)
            if out is not None and target is not None:
                out.flush()
                os.fsync(out.fileno())
                target.chmod(0o600)
        finally:
            if out is not None:
                out.close()
    return read == size and hasher.hexdigest() == digest.encoded


def _read(file: BinaryIO) -> bytes:
    """The next piece; nothing where the disk cannot read it, and the object is too short then."""
    try:
        return file.read(_PIECE)
    except OSError:
        return b""


def _mark_bad(ledger: Path, names: list[str]) -> None:
    with closing(sqlite3.connect(ledger)) as connection, connection:
        rows = [(name,) for name in names]
        connection.executemany("UPDATE blob SET bad = 1 WHERE object = ?", rows)
