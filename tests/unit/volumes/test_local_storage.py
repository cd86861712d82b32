from collections.abc import Iterator
from pathlib import Path

import pytest

from support.environment import unmount_below
from support.localdisk import MIB, small_disk
from volumes import btrfs
from volumes.faults import CannotHold, NoRoom
from volumes.opening import explain, explain_volumes, open_storage
from volumes.settings import StorageSettings

SMALL = StorageSettings(pool="256Mi")


@pytest.fixture
def state(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path
    unmount_below(tmp_path)


def test_without_quotas_a_pool_is_made_and_found_again(state: Path) -> None:
    assert explain(state, SMALL) == (
        True,
        f"limits of writable layers are held by a pool that is to be made in {state}/writable.img",
    )
    first = open_storage(state, SMALL)
    assert (first.disks.quota.name, first.volumes.driver.name) == ("btrfs", "loop")
    (first.disks.make("a", 20 * MIB) / "kept").write_text("words")
    assert [each.name for each in first.pools()] == ["writable", "volumes"]
    assert not first.by_project
    again = open_storage(state, SMALL)
    assert again.disks.quota.holds
    assert "a pool (btrfs)" in explain(state, SMALL)[1]
    unmount_below(state)  # as a reboot does
    for how in ("auto", "directory", "pool"):
        booted = open_storage(state, StorageSettings(writable=how, pool="256Mi"))
        assert (booted.disks.make("a", 20 * MIB) / "kept").read_text() == "words"
        assert booted.disks.quota.holds == (how != "directory")
        unmount_below(state)


def test_layers_of_before_are_not_hidden_by_a_pool(state: Path) -> None:
    older = state / "disks" / "a"
    older.mkdir(parents=True)
    held, why = explain(state, SMALL)
    assert not held
    assert "which a pool would hide" in why
    assert open_storage(state, SMALL).disks.quota.name == "directory"
    assert older.exists()
    with pytest.raises(CannotHold, match="delete their sets"):
        open_storage(state, StorageSettings(writable="pool", pool="256Mi"))


def test_a_btrfs_that_counts_needs_no_pool_and_one_that_does_not_is_left_alone() -> None:
    with small_disk(256 * MIB, "btrfs") as disk:
        held, why = explain(disk, StorageSettings())
        assert (held, "of which a fifth would be a pool" in why) == (False, True)
        held, why = explain(disk, SMALL)
        assert (held, f"are free at {disk}: say less" in why) == (False, True)
        btrfs.enable(disk)
        assert explain(disk, StorageSettings())[1].startswith(
            "limits of writable layers are held by the btrfs quotas"
        )
        storage = open_storage(disk, StorageSettings())
        assert (storage.disks.quota.name, storage.volumes.driver.name) == ("btrfs", "loop")
        assert not (disk / "writable.img").exists()


def test_what_cannot_be_had_is_said_with_what_to_do(state: Path) -> None:
    with small_disk(128 * MIB) as disk:
        with pytest.raises(NoRoom, match=r"set storage\.pool"):
            open_storage(disk, StorageSettings())
        with pytest.raises(NoRoom, match="cannot be had"):
            open_storage(disk, SMALL)
        assert sorted(path.name for path in disk.iterdir()) == ["disks", "volumes"]
    with pytest.raises(CannotHold, match="mounted with prjquota"):
        open_storage(state, StorageSettings(writable="directory", volumes="project"))
    assert "nothing limits" in explain_volumes(state, StorageSettings(volumes="directory"))
    assert "each an ext4 (loop)" in explain_volumes(state, StorageSettings())
    assert explain(state, StorageSettings(writable="directory"))[0] is False


@pytest.mark.parametrize("wrong", [
    {"writable": "zfs"}, {"volumes": "tmpfs"}, {"pool": "much"}, {"pool": "1Mi"},
])  # fmt: skip
def test_settings_that_make_no_sense_are_refused(wrong: dict[str, str]) -> None:
    with pytest.raises(ValueError, match=r"storage\."):
        StorageSettings(**wrong)
