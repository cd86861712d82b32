import json
import os
import stat
from pathlib import Path

import pytest

from hostbase import private


class Disk:
    """What a power cut leaves: the names and bytes that were synced before it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.synced: list[str] = []
        self._fsync = os.fsync
        monkeypatch.setattr(os, "fsync", self._note)

    def _note(self, handle: int) -> None:
        self.synced.append(str(Path(f"/proc/self/fd/{handle}").readlink()))
        self._fsync(handle)


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    return Disk(monkeypatch)


def test_a_file_and_all_names_on_its_way_outlive_a_power_cut(tmp_path: Path, disk: Disk) -> None:
    path = tmp_path / "sets" / "s1" / "label.json"
    private.write(path, {"set": "s1"})
    assert json.loads(path.read_text()) == {"set": "s1"}
    fresh = path.with_name(".label.json.new")
    assert disk.synced == [str(each) for each in (fresh, path.parent, path.parents[1], tmp_path)]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert list(path.parent.iterdir()) == [path]


def test_where_directories_are_there_only_the_names_own_is_synced(
    tmp_path: Path, disk: Disk
) -> None:
    for value in ({"n": 1}, {"n": 2}):
        disk.synced.clear()
        private.write(tmp_path / "label.json", value)
        assert disk.synced == [str(tmp_path / ".label.json.new"), str(tmp_path)]
    assert json.loads((tmp_path / "label.json").read_text()) == {"n": 2}


def test_what_need_not_last_waits_for_no_disk(tmp_path: Path, disk: Disk) -> None:
    private.write(tmp_path / "run" / "secrets.json", {"a": "b"}, durably=False)
    assert json.loads((tmp_path / "run" / "secrets.json").read_text()) == {"a": "b"}
    assert disk.synced == []


def test_a_link_in_a_directorys_place_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / "file").touch()
    (tmp_path / "set").symlink_to("kept")
    with pytest.raises(NotADirectoryError, match="is a link"):
        private.remove_tree(tmp_path / "set")
    private.remove_tree(tmp_path / "kept")
    private.remove_tree(tmp_path / "kept")
    assert not (tmp_path / "kept").exists()
