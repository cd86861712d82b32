import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.localdisk import MIB, fill, small_disk
from volumes import btrfs, overlay, pool
from volumes.disks import Disks
from volumes.faults import CannotHold, NoRoom, VolumeFailed
from volumes.files import allocate
from volumes.mounts import unmount
from volumes.pool import mount_pool
from volumes.quota import PlainQuota
from volumes.room import Room

SIZE = 512 * MIB


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Path]:
    """A pool that is mounted."""
    where = tmp_path / "disks"
    mount_pool(tmp_path / "pool.img", where, SIZE)
    yield where
    unmount(where)


def test_a_pool_is_made_once_and_grows_and_has_all_its_bytes(place: Path, tmp_path: Path) -> None:
    image = tmp_path / "pool.img"
    assert pool.kind_of(image) == "btrfs"
    assert image.stat().st_blocks * 512 >= SIZE
    (place / "kept").write_text("kept")
    mount_pool(image, place, None)
    mount_pool(image, place, SIZE // 2)  # never smaller
    assert image.stat().st_size == SIZE
    mount_pool(image, place, 2 * SIZE)
    found = place.stat()
    assert (place / "kept").read_text() == "kept"
    assert image.stat().st_blocks * 512 >= 2 * SIZE
    assert os.statvfs(place).f_blocks * os.statvfs(place).f_frsize == 2 * SIZE
    assert found.st_mode & 0o777 == 0o700
    mount_pool(image, place, 2 * SIZE)


def test_a_pool_whose_growth_was_broken_off_grows_the_next_time(
    place: Path, tmp_path: Path
) -> None:
    image = tmp_path / "pool.img"
    allocate(image, 2 * SIZE)  # and no more was done
    mount_pool(image, place, 2 * SIZE)
    assert os.statvfs(place).f_blocks * os.statvfs(place).f_frsize == 2 * SIZE
    with pytest.raises(NoRoom):
        mount_pool(image, place, 1 << 60)
    assert image.stat().st_size == 2 * SIZE


def test_a_layer_takes_its_bytes_and_no_more_and_others_go_on(place: Path) -> None:
    disks = Disks(place, btrfs.BtrfsQuota())
    full, other = disks.make("full", 20 * MIB), disks.make("other", 20 * MIB)
    written, number = fill(full / "a", 30 * MIB)
    assert number == errno.EDQUOT
    assert 19 * MIB < written <= 20 * MIB
    assert fill(other / "a", 19 * MIB) == (19 * MIB, 0)
    (full / "a").unlink()
    assert fill(full / "b", 10 * MIB) == (10 * MIB, 0)
    disks.make("full", 40 * MIB)  # once more, with another limit
    assert fill(full / "b", 25 * MIB) == (25 * MIB, 0)
    for name in ("full", "other", "never"):
        disks.remove(name)
    disks.empty_trash()
    assert [path.name for path in place.iterdir()] == [".trash"]


def test_what_is_no_subvolume_is_not_limited_in_its_parents_place(place: Path) -> None:
    (place / "plain").mkdir()
    with pytest.raises(VolumeFailed, match="is no subvolume"):
        Disks(place, btrfs.BtrfsQuota()).make("plain", 20 * MIB)
    assert fill(place / "free", 30 * MIB) == (30 * MIB, 0)


def test_a_limit_of_files_is_refused_by_btrfs_and_a_limit_below_what_is_used_too(
    place: Path,
) -> None:
    quota = btrfs.BtrfsQuota()
    with pytest.raises(CannotHold, match="limits no number of files"):
        quota.make(place / "a", Room(20 * MIB, 100))
    quota.make(place / "a", Room(20 * MIB))
    fill(place / "a" / "f", 10 * MIB)
    os.sync()
    with pytest.raises(CannotHold, match="delete files first"):
        quota.limit(place / "a", Room(5 * MIB))
    assert (quota.use(place / "a").bytes or 0) >= 10 * MIB


def test_older_layers_without_a_limit_can_be_removed_from_a_pool(place: Path) -> None:
    disks = Disks(place, btrfs.BtrfsQuota())
    (place / "old" / "upper").mkdir(parents=True)
    disks.remove("old")
    disks.empty_trash()
    assert not (place / "old").exists()


def test_an_overlay_on_a_full_layer_says_so_and_keeps_what_it_has(place: Path) -> None:
    lower = place / "lower"
    (lower / "etc").mkdir(parents=True)
    (lower / "etc" / "passwd").write_text("root")
    disks = Disks(place, btrfs.BtrfsQuota())
    root = disks.prepare("d", [lower], 20 * MIB)
    assert fill(root / "a", 30 * MIB)[1] == errno.EDQUOT
    assert (root / "etc" / "passwd").read_text() == "root"
    assert disks.prepare("d", [lower], 20 * MIB) == root
    disks.release("d")
    assert (disks.prepare("d", [lower], 20 * MIB) / "a").stat().st_size > 19 * MIB
    disks.remove("d")


def test_a_root_has_its_images_attributes_whenever_whoever_made_it_died(place: Path) -> None:
    lower = place / "lower"
    lower.mkdir()
    lower.chmod(0o1777)
    os.chown(lower, 12, 34)
    disks = Disks(place, btrfs.BtrfsQuota())

    class Death(BaseException):
        """Nothing after it is done."""

    with pytest.MonkeyPatch.context() as patched:

        def die(*_: object) -> None:
            raise Death

        patched.setattr(os, "chown", die)
        with pytest.raises(Death):
            disks.prepare("d", [lower], 20 * MIB)
    about = disks.prepare("d", [lower], 20 * MIB).stat()
    assert (about.st_mode & 0o7777, about.st_uid, about.st_gid) == (0o1777, 12, 34)
    os.chown(place / "d" / "root", 56, 78)  # as the container may
    disks.release("d")
    about = disks.prepare("d", [lower], 20 * MIB).stat()
    assert (about.st_uid, about.st_gid) == (56, 78)
    disks.remove("d")


def test_a_directory_without_a_quota_is_limited_by_nothing() -> None:
    with small_disk() as disk:
        disks = Disks(disk / "disks", PlainQuota())
        path = disks.make("a", MIB)
        assert fill(path / "f", 20 * MIB) == (20 * MIB, 0)
        disks.remove("a")
        assert not path.exists()
        disks.empty_trash()


def test_a_kernel_that_takes_no_layer_by_itself_has_overlays_of_what_fits_a_page(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert overlay._takes_each()  # this one does, so the older way is asked for
    monkeypatch.setattr(overlay, "_takes_each", lambda: False)
    chain = [place / f"layer-{number}" for number in range(3)]
    for number, each in enumerate(chain):
        each.mkdir()
        (each / f"own-{number}").write_text("words")
        (each / "all").write_text(f"{number}")
    disks = Disks(place, btrfs.BtrfsQuota())
    root = disks.prepare("d", chain, 20 * MIB)
    assert sorted(path.name for path in root.iterdir()) == ["all", "own-0", "own-1", "own-2"]
    assert (root / "all").read_text() == "0"
    assert {str(each) for each in chain} <= overlay.lowers_in_use()
    os.mknod(root / "null", 0o600 | stat.S_IFCHR, os.makedev(1, 3))
    with pytest.raises(PermissionError):
        (root / "null").read_bytes()
    disks.remove("d")
    with pytest.raises(VolumeFailed, match="500 layers are too many for a kernel before"):
        disks.prepare("e", chain[:1] * 500, 20 * MIB)
    disks.remove("e")
