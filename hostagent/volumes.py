"""The port Volumes, over local disk as it was opened."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict

from hostagent.ports import Json
from hostagent.told import told
from setspec.desired import DesiredSet, PlacedVolume
from setspec.status import VolumeStatus
from volumes.kept import Wanted
from volumes.opening import Storage


class HostVolumes:
    """Volumes of sets; any method may raise StepFailed, and NotHere for one that is not there."""

    def __init__(self, storage: Storage, owner: Mapping[str, str]) -> None:
        """*owner* goes on every label."""
        self._storage = storage
        self._volumes = storage.volumes
        self._owner = owner

    def make(self, desired: DesiredSet) -> dict[str, str]:
        with told():
            return {each.name: str(self._volumes.make(each)) for each in self._wanted(desired)}

    def are_open(self, desired: DesiredSet) -> bool:
        return all(self._volumes.is_open(each.id) for each in desired.allocation.volumes)

    def objections(self, desired: DesiredSet) -> Iterator[tuple[int, str]]:
        names = [volume.name for volume in desired.spec.volumes]
        with told():
            for each in self._wanted(desired):
                refusal = self._volumes.objection(each)
                if refusal is not None:
                    yield names.index(each.name), refusal

    def dismantle(self, desired: DesiredSet, *, purge: bool) -> list[str]:
        own = {placed.id for placed in desired.allocation.volumes}
        with told():
            found = sorted(own | set(self._volumes.of(desired.set)))
            for each in found:
                self._volumes.purge(each) if purge else self._volumes.release(each)
        return [] if purge else found

    def sets(self) -> dict[str, str]:
        return {each.id: each.set for each in self._volumes.labels()}

    def retire(self, volume_id: str) -> None:
        with told():
            self._volumes.retire(self._volumes.find(volume_id).id)

    def sweep(self) -> None:
        with told():
            self._volumes.sweep()

    def status(self, placed: Sequence[PlacedVolume]) -> tuple[VolumeStatus, ...]:
        ids = {each.id for each in placed}
        with told():
            return tuple(
                VolumeStatus(
                    name=each.name,
                    id=each.id,
                    driver=each.driver,
                    quota_bytes=each.quota,
                    used_bytes=(used := self._volumes.use(each.id)).bytes,
                    used_inodes=used.inodes,
                )
                for each in self._volumes.labels()
                if each.id in ids
            )

    def all(self) -> list[Json]:
        with told():
            return self._volumes.all()

    def pools(self) -> list[Json]:
        with told():
            return [asdict(each) for each in self._storage.pools()]

    def _wanted(self, desired: DesiredSet) -> Iterator[Wanted]:
        declared = {volume.name: volume for volume in desired.spec.volumes}
        for placed in desired.allocation.volumes:
            volume = declared[placed.name]
            yield Wanted(
                id=placed.id,
                name=placed.name,
                quota=volume.quota,
                inodes=volume.inodes,
                is_kept=volume.source is not None,
                set=desired.set,
                project=desired.project,
                pool=placed.storage,
                owner=self._owner,
            )
