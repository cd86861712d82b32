"""Local disk as an operator has chosen it: what can hold limits here is found, and opened."""

import logging
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from setspec.status import Pool
from volumes import btrfs, pool, project
from volumes.disks import Disks
from volumes.driver import DirectoryDriver, Driver
from volumes.faults import CannotHold
from volumes.kept import Volumes
from volumes.loop import LoopDriver
from volumes.project import ProjectQuota
from volumes.quota import PlainQuota, Quota
from volumes.settings import StorageSettings

_DISKS: Final = "disks"
_VOLUMES: Final = "volumes"
_IMAGE: Final = "writable.img"
WRITABLE: Final = "writable"
"""The name of the pool of writable layers."""

_OLDER: Final = (
    "limits of writable layers are not held: {} has layers of a time when none was, which a pool "
    "would hide; delete their sets, and start the agent again"
)

log = logging.getLogger("volumes")


@dataclass(frozen=True, slots=True)
class Storage:
    """A host's local disk."""

    disks: Disks
    volumes: Volumes
    place: Path
    """Where the disks lie."""

    @property
    def by_project(self) -> bool:
        """Whether limits hang on files staying in their project."""
        return "project" in {self.disks.quota.name, self.volumes.driver.name}

    def pools(self) -> list[Pool]:
        """What there is, of both; limits of writable layers are limits, and promise nothing."""
        found = os.statvfs(self.place)
        size = found.f_blocks * found.f_frsize
        own = Pool(
            name=WRITABLE,
            driver=self.disks.quota.name,
            capacity_bytes=size,
            used_bytes=max(size - found.f_bavail * found.f_frsize, 0),
            capacity_inodes=found.f_files or None,
            used_inodes=found.f_files - found.f_favail if found.f_files else None,
        )
        return [own, self.volumes.pool()]


def open_storage(
    state: Path, settings: StorageSettings, reach: Callable[[str], None] = lambda _: None
) -> Storage:
    """Open what is below *state*; make what is not. Raises VolumeFailed.

    *reach* is told each point at which whoever does this might die.
    """
    places = (state / _DISKS, state / _VOLUMES)
    for place in places:
        place.mkdir(mode=0o700, parents=True, exist_ok=True)
    by_project = ProjectQuota(*places) if project.can_hold(state) else None
    quota = _quota(state, settings, by_project)
    if settings.volumes == "project" and by_project is None:
        raise CannotHold(
            f'storage.volumes is "project", and the file system of {state} has no project quotas: '
            "it must be ext4 or XFS, mounted with prjquota"
        )
    plain, loop = DirectoryDriver(PlainQuota()), LoopDriver(reach)
    known: dict[str, Driver] = {plain.name: plain, loop.name: loop}
    if by_project is not None:
        known[by_project.name] = DirectoryDriver(by_project)
    name = settings.volumes
    if name == "auto":
        name = "project" if by_project is not None else "loop"
    volumes = Volumes(places[1], known[name], known.values(), reach)
    return Storage(Disks(places[0], quota, reach), volumes, places[0])


def explain(state: Path, settings: StorageSettings) -> tuple[bool, str]:
    """Whether limits of writable layers are held, and by what; changes nothing."""
    disks = state / _DISKS
    what = "limits of writable layers are held by"
    if settings.writable == "directory":
        return False, 'limits of writable layers are not held: storage.writable is "directory"'
    there = next(each for each in (disks, *disks.absolute().parents) if each.exists())
    tight = pool.tight(state / _IMAGE, settings.pool_bytes)
    if (state / _IMAGE).exists():
        held = f"{what} a pool ({pool.kind_of(state / _IMAGE)}) in {state / _IMAGE}"
        return tight is None, tight or held
    own = _own(there) if settings.writable == "auto" else None
    if own:
        return True, f"{what} the {own} quotas of the file system of {there}"
    if _has_older(state):
        return False, _OLDER.format(disks)
    lacking = pool.lacking()
    if lacking is not None:
        return False, f"limits of writable layers cannot be held: this host has {lacking}"
    return tight is None, tight or f"{what} a pool that is to be made in {state / _IMAGE}"


def explain_volumes(state: Path, settings: StorageSettings) -> str:
    """What new volumes lie in; changes nothing."""
    there = next(each for each in (state, *state.absolute().parents) if each.exists())
    name = settings.volumes
    if name == "auto":
        name = "project" if project.can_hold(there) else "loop"
    words = {
        "project": "directories limited by project quotas, also in their number of files",
        "loop": "files of their own that have all their bytes, each an ext4",
        "directory": "directories that nothing limits",
    }
    return f"new volumes are {words[name]} ({name})"


def _quota(state: Path, settings: StorageSettings, by_project: ProjectQuota | None) -> Quota:
    disks, image = state / _DISKS, state / _IMAGE
    if not image.exists():
        if settings.writable == "directory":
            return PlainQuota()
        if settings.writable == "auto" and by_project is not None:
            return by_project
        if settings.writable == "auto" and _own(disks):
            return btrfs.BtrfsQuota()
        if _has_older(state):
            if settings.writable == "pool":
                raise CannotHold(_OLDER.format(disks))
            log.warning(_OLDER.format(disks))
            return PlainQuota()
    pool.mount_pool(image, disks, settings.pool_bytes)  # whatever is said now: layers are in it
    if settings.writable == "directory":
        return PlainQuota()
    return btrfs.BtrfsQuota() if btrfs.is_btrfs(disks) else ProjectQuota(disks)


def _has_older(state: Path) -> bool:
    """Whether writable layers are there that a pool would hide."""
    return any((state / _DISKS).glob("[!.]*"))


def _own(path: Path) -> str | None:
    """Which quotas the file system of *path* has."""
    if project.can_hold(path):
        return "project"
    return "btrfs" if btrfs.is_btrfs(path) and btrfs.counts(path) else None
