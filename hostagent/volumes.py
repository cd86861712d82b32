"""Volumes as plain directories: kept beyond their sets, but bounded by their filesystem alone."""

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from hostagent.errors import StepFailed
from setspec.desired import PlacedVolume
from setspec.normal import Volume
from setspec.status import VolumeStatus


class DirectoryVolumes:
    """Volumes below *root*. A quota is written down and not held: other drivers hold it."""

    def __init__(self, root: Path) -> None:
        self._root = root
        root.mkdir(mode=0o700, parents=True, exist_ok=True)

    def make(self, placed: PlacedVolume, volume: Volume, owner: Mapping[str, str]) -> Path:
        home = self._root / placed.id
        data = home / "data"
        label = home / "label.json"
        if not label.exists():
            if volume.source is not None and not data.exists():
                raise StepFailed(f"volume {volume.source} is not on this host")
            data.mkdir(mode=0o755, parents=True, exist_ok=True)
            home.chmod(0o700)
            fresh = home / ".label"
            text = {**owner, "name": placed.name, "quota": volume.quota}
            fresh.write_text(json.dumps(text))
            fresh.rename(label)
        return data

    def release(self, volume_id: str) -> None:
        """Nothing is mounted."""

    def purge(self, volume_id: str) -> None:
        home = self._root / volume_id
        (home / "label.json").unlink(missing_ok=True)
        if home.exists():
            shutil.rmtree(home)

    def status(self, placed: Sequence[PlacedVolume]) -> tuple[VolumeStatus, ...]:
        return tuple(
            VolumeStatus(
                name=each.name, id=each.id, driver="directory", quota_bytes=self._quota(each.id)
            )
            for each in placed
            if (self._root / each.id / "label.json").exists()
        )

    def _quota(self, volume_id: str) -> int | None:
        text = json.loads((self._root / volume_id / "label.json").read_text())
        quota = text.get("quota")
        return quota if isinstance(quota, int) else None
