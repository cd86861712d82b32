"""The volumes of a host: made once, found by their labels, kept until they are purged."""

import logging
import os
import shutil
import threading
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from setspec.status import Pool
from volumes import label as labels
from volumes.driver import DATA, Driver
from volumes.faults import CannotHold, NoRoom, VolumeFailed, VolumeUnknown
from volumes.files import flush
from volumes.label import Label
from volumes.mounts import unmount
from volumes.room import Room, Use

POOL: Final = "volumes"
"""The name of the pool."""
LABELLED: Final = "volume:labelled"
MADE: Final = "volume:made"
PURGED: Final = "volume:purged"
"""Points: its label is there, its bytes too; it is out of the way, and not deleted yet."""
_SPARE: Final = 20
_MOST_SPARE: Final = 10 << 30
"""A twentieth of the pool's file system, at most so many bytes, is never promised: the agent's."""

log = logging.getLogger("volumes")


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A volume as a set's document has it."""

    id: str
    name: str
    quota: int | None
    """Usable bytes; None: as large as it is."""
    inodes: int | None = None
    is_kept: bool = False
    """It is there already, from another set."""
    set: str
    project: str
    pool: str | None = None
    owner: Mapping[str, str] = field(default_factory=dict)


class Volumes:
    """Volumes below *root*, new ones made by *driver*, each opened by the one that made it.

    Any method may raise VolumeFailed.
    """

    def __init__(
        self,
        root: Path,
        driver: Driver,
        others: Iterable[Driver] = (),
        reach: Callable[[str], None] = lambda _: None,
    ) -> None:
        """*reach* is told each point at which whoever does this might die."""
        self._root = root
        self._driver = driver
        self._drivers = {each.name: each for each in (*others, driver)}
        self._reach = reach
        self._lock, self._sweeping = threading.Lock(), threading.Lock()
        self._promised: dict[str, int] = {}
        """What is being made just now."""
        self._purged = root / ".purged"
        with _told(f"{root} cannot be used"):
            root.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._purged.mkdir(mode=0o700, exist_ok=True)
            self._labels = dict(_read_labels(root))
            self.sweep()

    @property
    def driver(self) -> Driver:
        """What makes new ones."""
        return self._driver

    def make(self, wanted: Wanted) -> Path:
        """Make a volume, or find it; answer the directory to mount."""
        with _told(f"volume {wanted.name}"):
            known = self._labels.get(wanted.id)
            if known is None:
                self._make(wanted)
            else:
                if not known.whole:  # as large as it was to be; then it changes like any other
                    self._refuse(wanted, CannotHold)
                    self._fill(known)
                self._change(self._labels[wanted.id], wanted)
            found = self._labels[wanted.id]
            return self._drivers[found.driver].open(self._home(found.id))

    def is_open(self, volume_id: str) -> bool:
        """Whether a volume was made, and can be mounted into containers as it is."""
        label = self._labels.get(volume_id)
        driver = self._drivers.get(label.driver) if label is not None else None
        return driver is not None and driver.is_open(self._home(volume_id))

    def objection(self, wanted: Wanted) -> str | None:
        """Why a volume cannot be made or changed so, and what to do; None: it can."""
        if wanted.pool not in {None, POOL}:
            return f"this host has no pool {wanted.pool!r}, but {POOL!r}"
        known = self._labels.get(wanted.id)
        if wanted.is_kept if known is None else known.project != wanted.project:
            return f"volume {wanted.id} is not on this host: see volume-list"
        driver = self._driver if known is None else self._drivers.get(known.driver)
        if driver is None:
            assert known is not None
            return (
                f"volume {wanted.id} was made by the driver {known.driver!r}, which this host has "
                "no more: have its file system as it was, and start the agent again"
            )
        if wanted.inodes is not None and not driver.limits_inodes:
            return f"the driver {driver.name} limits no number of files: leave inodes out"
        if known is None:
            return self._without_room(driver.needed(Room(wanted.quota, wanted.inodes)))
        room = _room(known, wanted)
        if room == Room(known.quota, known.inodes) or not known.whole:
            return None
        with _told(f"volume {wanted.name}"):
            former = Room(known.quota, known.inodes)
            more = driver.needed(room) - driver.needed(former)
            return driver.objection(self._home(known.id), former, room) or self._without_room(more)

    def release(self, volume_id: str) -> None:
        """Leave nothing mounted of a volume; its bytes stay."""
        with _told(f"volume {volume_id} cannot be unmounted"):
            unmount(self._home(volume_id) / DATA)

    def purge(self, volume_id: str) -> None:
        """Remove a volume and its bytes; nothing where it is not."""
        self.retire(volume_id)
        self._reach(PURGED)
        self.sweep()

    def retire(self, volume_id: str) -> None:
        """Have a volume be gone, for good, at once; its bytes go with the next sweep."""
        self.release(volume_id)
        with _told(f"volume {volume_id} cannot be removed"):
            home = self._home(volume_id)
            if home.exists():
                home.rename(self._purged / uuid.uuid4().hex)
                flush(self._root)
            self._labels.pop(volume_id, None)

    def sweep(self) -> None:
        """Delete the bytes of volumes that are gone; what will not go now, the next time."""
        with self._sweeping, _told("volumes that are gone cannot be seen"):
            for each in list(self._purged.iterdir()):
                try:
                    unmount(each / DATA)
                    shutil.rmtree(each)
                except OSError as error:
                    log.warning("%s, of a volume that is gone, cannot be deleted: %s", each, error)

    def labels(self) -> list[Label]:
        """All volumes, the oldest first."""
        return sorted(self._labels.copy().values(), key=lambda each: (each.made, each.id))

    def find(self, volume_id: str) -> Label:
        """One volume. Raises VolumeUnknown."""
        found = self._labels.get(volume_id)
        if found is None:
            raise VolumeUnknown(f"there is no volume {volume_id!r} on this host: see volume-list")
        return found

    def of(self, set_id: str) -> list[str]:
        """The volumes that a set has, or was the last to have."""
        return [each.id for each in self.labels() if each.set == set_id]

    def use(self, volume_id: str) -> Use:
        """What is in a volume, as far as that can be seen now."""
        return self._use(self.find(volume_id))

    def all(self) -> list[dict[str, Any]]:
        """All labels, each with what is in the volume as far as that can be seen now."""
        found = []
        for each in self.labels():
            used = self._use(each)
            found.append({**asdict(each), "used": used.bytes, "used_inodes": used.inodes})
        return found

    def pool(self) -> Pool:
        """What there is for volumes."""
        with _told(f"{self._root} cannot be looked at"):
            found = os.statvfs(self._root)
        size = found.f_blocks * found.f_frsize
        capacity = size - min(size // _SPARE, _MOST_SPARE)
        reserved_bytes, reserved_inodes = self._reserved()
        return Pool(
            name=POOL,
            driver=self._driver.name,
            capacity_bytes=capacity,
            used_bytes=min(max(size - found.f_bavail * found.f_frsize, 0), capacity),
            reserved_bytes=reserved_bytes,
            capacity_inodes=found.f_files or None,
            used_inodes=found.f_files - found.f_favail if found.f_files else None,
            reserved_inodes=reserved_inodes,
        )

    def _reserved(self) -> tuple[int, int]:
        """What was promised and is not taken: bytes, and files where they were limited."""
        size, count = sum(self._promised.values()), 0
        for each in self.labels():
            driver = self._drivers.get(each.driver)
            if driver is None or driver.allocates:
                continue
            if not driver.needed(Room(each.quota, each.inodes)):
                continue
            used = self._use(each)
            size += max((each.quota or 0) - (used.bytes or 0), 0)
            count += max((each.inodes or 0) - (used.inodes or 0), 0)
        return size, count

    def _use(self, label: Label) -> Use:
        """What is seen of one; nothing, if it is gone meanwhile or cannot be read: others are."""
        driver = self._drivers.get(label.driver)
        if driver is not None:
            with suppress(VolumeFailed, OSError):
                return driver.use(self._home(label.id))
        return Use()

    def _without_room(self, needed: int) -> str | None:
        if needed <= 0 or needed <= (free := self.pool().free_bytes):
            return None
        return (
            f"the pool {POOL} has {free} bytes left to be promised, and {needed} are needed: "
            "ask for less, or purge volumes that nobody needs (volume-list)"
        )

    def _make(self, wanted: Wanted) -> None:
        """The label first, as not whole, then the bytes: without its label nothing is half made."""
        home = self._home(wanted.id)
        if (home / labels.NAME).exists():
            labels.read(home / labels.NAME)  # which says what is wrong with it
        kind = CannotHold if wanted.is_kept else NoRoom
        with self._promise(wanted, self._driver.needed(Room(wanted.quota, wanted.inodes)), kind):
            self._make_promised(home, wanted)

    @contextmanager
    def _promise(self, wanted: Wanted, needed: int, kind: type[VolumeFailed]) -> Iterator[None]:
        """Nobody else is promised the same bytes meanwhile. Raises *kind* with the objection."""
        with self._lock:
            self._refuse(wanted, kind)
            self._promised[wanted.id] = max(needed, 0)
        try:
            yield
        finally:
            del self._promised[wanted.id]

    def _refuse(self, wanted: Wanted, kind: type[VolumeFailed]) -> None:
        refusal = self.objection(wanted)
        if refusal is not None:
            raise kind(refusal)

    def _make_promised(self, home: Path, wanted: Wanted) -> None:
        try:
            home.mkdir(mode=0o700, exist_ok=True)
            self._write(
                Label(
                    id=wanted.id,
                    name=wanted.name,
                    driver=self._driver.name,
                    quota=wanted.quota,
                    inodes=wanted.inodes,
                    set=wanted.set,
                    project=wanted.project,
                    made=datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
                    owner=dict(wanted.owner),
                )
            )
            self._reach(LABELLED)
            self._fill(self._labels[wanted.id])
        except (VolumeFailed, OSError):  # refused: nothing half made is left
            self._labels.pop(wanted.id, None)
            (home / labels.NAME).unlink(missing_ok=True)
            with suppress(OSError):
                home.rmdir()
            raise

    def _fill(self, label: Label) -> None:
        """Give a volume its bytes; then it is whole, and never made again."""
        room = Room(label.quota, label.inodes)
        self._drivers[label.driver].make(self._home(label.id), room)
        self._reach(MADE)
        self._write(replace(label, whole=True))

    def _change(self, known: Label, wanted: Wanted) -> None:
        room, former = _room(known, wanted), Room(known.quota, known.inodes)
        driver = self._drivers.get(known.driver)
        more = driver.needed(room) - driver.needed(former) if driver is not None else 0
        with self._promise(wanted, more, CannotHold):
            if driver is not None and room != former:
                driver.resize(self._home(known.id), former, room)
            fresh = replace(
                known, name=wanted.name, set=wanted.set, quota=room.bytes, inodes=room.inodes
            )
            if fresh != known:
                self._write(fresh)

    def _write(self, label: Label) -> None:
        labels.write(self._home(label.id) / labels.NAME, label)
        self._labels[label.id] = label

    def _home(self, volume_id: str) -> Path:
        if not volume_id or "/" in volume_id or volume_id.startswith("."):
            raise VolumeUnknown(f"{volume_id!r} is no volume's id")
        return self._root / volume_id


def _room(known: Label, wanted: Wanted) -> Room:
    """What is wanted of a volume that is there: what is not said stays."""
    return Room(wanted.quota or known.quota, wanted.inodes or known.inodes)


def _read_labels(root: Path) -> Iterator[tuple[str, Label]]:
    for path in sorted(root.glob(f"[!.]*/{labels.NAME}")):
        try:
            yield path.parent.name, labels.read(path)
        except (VolumeFailed, OSError) as error:
            log.warning("%s; the volume is left alone", error)


@contextmanager
def _told(what: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise VolumeFailed(f"{what}: {error}") from error
