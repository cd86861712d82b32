"""One backup: the names of one moment first, then every object that they name, then it counts."""

import contextlib
import os
import shutil
import sqlite3
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from registry.backup import source
from registry.backup.faults import BackupFailed, told
from registry.backup.place import LEDGER, OBJECTS, Place, State, digest_of, sync_file
from registry.storage.layout import Layout
from registry.storage.records import StoreIdentity

Progress = Callable[[str, int, int], None]
"""Gets a step, how much of it is done, and how much there is."""


@dataclass(frozen=True, slots=True)
class Store:
    """The embedded store that is copied."""

    directory: Path
    ledger: Path
    identity: StoreIdentity


@dataclass(slots=True)
class Tally:
    """Objects of one run."""

    blobs: int = 0
    size: int = 0
    """Bytes of them."""
    linked: int = 0
    copied: int = 0
    missing: list[str] = field(default_factory=list)
    """Those that the store itself does not have."""


@dataclass(frozen=True, slots=True)
class Taken:
    """What one run did."""

    state: State
    tally: Tally
    removed: int
    """Objects that the store has no longer."""


def run(
    store: Store,
    place: Place,
    now: float,
    progress: Progress,
    stopping: threading.Event,
    *,
    copying: bool = False,
) -> Taken:
    """Bring *place* to what *store* is now. No collection may run meanwhile: see ``collect.alone``.

    Repeated, it adds what is new; broken off, the state before counts. *copying*: also where the
    objects could be linked. Raises BackupFailed.
    """
    inside = store.directory.resolve(), place.directory.resolve()
    if inside[0].is_relative_to(inside[1]) or inside[1].is_relative_to(inside[0]):
        raise BackupFailed("a backup lies neither in its store's directory nor around it")
    with place.opened(store.identity), told(place.directory):
        before = place.state()
        number = 1 if before is None else before.number + 1
        names = place.begin(number)
        _copy_names(store, place, names, before, progress)
        tally = _copy_objects(store, place, names, progress, stopping, copying=copying)
        files = {}
        for path in sorted(path for path in names.rglob("*") if path.is_file()):
            sync_file(path)
            files[str(path.relative_to(names))] = digest_of(path)
        state = State(
            number=number,
            store=store.identity.store,
            epoch=store.identity.epoch,
            at=now,
            blobs=tally.blobs,
            size=tally.size,
            missing=tuple(tally.missing),
            files=files,
        )
        place.publish(state)
        removed = place.prune(number, (name for name, _ in place.objects(number)))
    return Taken(state, tally, removed)


def _copy_names(
    store: Store, place: Place, names: Path, before: State | None, progress: Progress
) -> None:
    with source.held(store.directory, store.ledger) as moment:
        for count, each in enumerate(moment.files, 1):
            target = names / "journal" / each.path.name
            old = None if before is None else place.names(before.number) / "journal" / target.name
            if not each.grows and old is not None and _is_whole(old, each.size):
                os.link(old, target)
            else:
                source.copy_start(each.path, target, each.size)
            progress("journal", count, len(moment.files))
        moment.copy_ledger(names / LEDGER, lambda done, total: progress("ledger", done, total))
    shutil.copyfile(store.directory / "meta" / "store.json", names / "meta" / "store.json")


def _is_whole(path: Path, size: int) -> bool:
    try:
        return path.stat().st_size == size
    except FileNotFoundError:
        return False


def _copy_objects(
    store: Store,
    place: Place,
    names: Path,
    progress: Progress,
    stopping: threading.Event,
    *,
    copying: bool,
) -> Tally:
    """Bring every object that the names know here, and list it."""
    layout = Layout(store.directory)
    tally = Tally()
    with (
        contextlib.closing(sqlite3.connect(names / LEDGER)) as ledger,
        (names / OBJECTS).open("w", encoding="ascii") as listed,
    ):
        total = ledger.execute("SELECT count(*) FROM blob WHERE NOT bad").fetchone()[0]
        for name, size in _blobs(ledger):
            if stopping.is_set():
                raise BackupFailed("it was told to stop; a repeat goes on where this ended")
            if not place.has(name, size):
                try:
                    linked = place.put(name, layout.object(name), copying=copying)
                except FileNotFoundError:
                    tally.missing.append(name)
                    continue
                tally.linked += linked
                tally.copied += not linked
            listed.write(f"{name} {size}\n")
            tally.blobs, tally.size = tally.blobs + 1, tally.size + size
            progress("blobs", tally.blobs, total)
    return tally


def _blobs(ledger: sqlite3.Connection) -> Iterator[tuple[str, int]]:
    yield from ledger.execute("SELECT object, size FROM blob WHERE NOT bad ORDER BY digest")
