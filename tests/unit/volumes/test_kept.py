import errno
import os
import subprocess
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from support.environment import tool
from support.localdisk import MIB, fill, small_disk
from volumes.driver import DirectoryDriver
from volumes.faults import CannotHold, NoRoom, VolumeFailed, VolumeUnknown
from volumes.files import allocate
from volumes.kept import LABELLED, MADE, PURGED, Volumes, Wanted
from volumes.loop import ALLOCATED, FORMATTED, LoopDriver, _image_bytes
from volumes.mounts import devices_of, mounts, unmount
from volumes.quota import PlainQuota
from volumes.room import Room, Use

FIRST = Wanted(id="v1", name="logs", quota=32 * MIB, set="s1", project="p")


def loops(root: Path, **more: object) -> Volumes:
    return Volumes(root, LoopDriver(), [DirectoryDriver(PlainQuota())], **more)  # type: ignore[arg-type]


@pytest.fixture
def root(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path
    for each in list(mounts()):
        if each.place.startswith(f"{tmp_path}/"):
            unmount(Path(each.place))


@pytest.mark.parametrize("size", [16, 100, 1024, 20 * 1024])
def test_all_bytes_and_files_of_a_quota_are_usable_and_little_is_added(size: int) -> None:
    room = Room(size * MIB, 5000)
    assert _image_bytes(room) < room.bytes * 1.05 + 12 * MIB  # type: ignore[operator]
    if size > 1024:
        return
    with small_disk(size * MIB + size * MIB // 10 + 128 * MIB) as disk:
        volumes = loops(disk / "v")
        data = volumes.make(replace(FIRST, quota=room.bytes, inodes=room.inodes))
        found = os.statvfs(data)
        assert room.bytes <= found.f_bavail * found.f_frsize < room.bytes * 1.05 + 2 * MIB  # type: ignore[operator]
        assert 5000 <= found.f_favail < 5000 + 16 * (size // 128 + 2)
        assert os.listdir(data) == []  # noqa: PTH208
        volumes.purge("v1")


def test_a_volume_fills_up_at_its_quota_though_the_host_is_full_and_never_before(
    root: Path,
) -> None:
    _ = root
    with small_disk(160 * MIB) as disk:
        volumes = loops(disk / "v")
        data = volumes.make(FIRST)
        assert fill(disk / "rest", 200 * MIB)[1] == errno.ENOSPC
        written, number = fill(data / "all", 60 * MIB)
        assert number == errno.ENOSPC
        assert written >= 32 * MIB
        assert volumes.use("v1").bytes == pytest.approx(written, abs=MIB)
        volumes.release("v1")
        assert volumes.use("v1") == Use()
        (disk / "rest").unlink()


def test_a_volume_outlives_whoever_made_it_and_goes_only_by_purge(root: Path) -> None:
    first = loops(root)
    (first.make(FIRST) / "kept").write_text("words")
    first.release("v1")
    assert not devices_of(root / "v1" / "image")
    again = loops(root)
    assert [each.id for each in again.labels()] == ["v1"]
    assert again.of("s1") == ["v1"]
    taken = replace(FIRST, name="mine", quota=None, is_kept=True, set="s2")
    assert (again.make(taken) / "kept").read_text() == "words"
    assert (again.find("v1").set, again.find("v1").name) == ("s2", "mine")
    assert again.find("v1").quota == 32 * MIB
    assert again.of("s1") == []
    again.purge("v1")
    again.purge("v1")
    with pytest.raises(VolumeUnknown, match="volume-list"):
        again.find("v1")
    assert [path.name for path in root.iterdir()] == [".purged"]
    assert list((root / ".purged").iterdir()) == []


@pytest.mark.parametrize("wanted", [
    replace(FIRST, id="other", is_kept=True), replace(FIRST, is_kept=True, project="q"),
])  # fmt: skip
def test_a_kept_volume_of_nobody_or_of_another_project_is_not_there(
    root: Path, wanted: Wanted
) -> None:
    volumes = loops(root)
    volumes.make(FIRST)
    assert volumes.objection(wanted) == f"volume {wanted.id} is not on this host: see volume-list"
    with pytest.raises(CannotHold, match="is not on this host"):
        volumes.make(wanted)
    assert [each.id for each in volumes.labels()] == ["v1"]


def test_what_a_pool_has_not_left_is_refused_with_figures_and_leaves_nothing() -> None:
    with small_disk(160 * MIB) as disk:
        volumes = loops(disk / "v")
        before = volumes.pool()
        assert (before.name, before.driver) == ("volumes", "loop")
        assert before.capacity_bytes == pytest.approx(150 * MIB, rel=0.1)
        with pytest.raises(NoRoom, match=r"has .* bytes left to be promised, and .* are needed"):
            volumes.make(replace(FIRST, quota=200 * MIB))
        volumes.make(replace(FIRST, quota=64 * MIB))
        after = volumes.pool()
        assert after.used_bytes - before.used_bytes >= 64 * MIB
        assert after.reserved_bytes == 0  # it has them already
        assert volumes.objection(replace(FIRST, id="v2", quota=64 * MIB)) is not None
        assert sorted(each.name for each in (disk / "v").iterdir()) == [".purged", "v1"]
        volumes.purge("v1")
        assert volumes.pool().used_bytes == pytest.approx(before.used_bytes, abs=MIB)


def test_a_volume_grows_between_containers_and_never_shrinks(root: Path) -> None:
    volumes = loops(root)
    (volumes.make(FIRST) / "kept").write_text("words")
    bigger = replace(FIRST, quota=96 * MIB)
    holder = root / "holder"
    holder.mkdir()
    release = _held_in_another_namespace(root / "v1" / "data", holder)
    try:
        assert "stop the set, then update it" in (volumes.objection(bigger) or "")
        with pytest.raises(CannotHold, match="stop the set"):
            volumes.make(bigger)
        assert (root / "v1" / "data" / "kept").read_text() == "words"
    finally:
        release()
    data = volumes.make(bigger)
    assert (data / "kept").read_text() == "words"
    assert os.statvfs(data).f_bavail * os.statvfs(data).f_frsize >= 95 * MIB
    with pytest.raises(CannotHold, match="does not shrink"):
        volumes.make(FIRST)
    with pytest.raises(CannotHold, match="number of files"):
        volumes.make(replace(bigger, inodes=10))
    assert loops(root).find("v1").quota == 96 * MIB


def _held_in_another_namespace(source: Path, target: Path) -> Callable[[], None]:
    """A mount namespace of another process's, in which a volume is bound, as a container has it."""
    script = f"mount --bind {source} {target} && echo ready && read line"
    process = subprocess.Popen(
        [tool("unshare"), "--mount", "sh", "-c", script],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"

    def release() -> None:
        process.communicate(b"\n", timeout=10)

    return release


@pytest.mark.parametrize("point", [ALLOCATED, FORMATTED, MADE, LABELLED])
def test_whoever_dies_while_a_volume_is_made_makes_it_the_next_time(root: Path, point: str) -> None:
    class Death(BaseException):
        """Nothing after it is done, as far as Python lets it be so."""

    def die(reached: str) -> None:
        if reached == point:
            raise Death

    for wanted in (FIRST, replace(FIRST, quota=64 * MIB)):  # another generation may want more
        dying = Volumes(root, LoopDriver(die), reach=die)
        with pytest.raises(Death):
            dying.make(FIRST)
        again = loops(root)
        data = again.make(wanted)
        assert fill(data / "all", wanted.quota or 0) == (wanted.quota, 0)
        again.purge("v1")
    assert [path.name for path in root.iterdir()] == [".purged"]


def test_a_purge_that_was_broken_off_is_finished_at_the_next_start(root: Path) -> None:
    def die(reached: str) -> None:
        if reached == PURGED:
            raise KeyboardInterrupt

    volumes = loops(root, reach=die)
    volumes.make(FIRST)
    with pytest.raises(KeyboardInterrupt):
        volumes.purge("v1")
    assert loops(root).labels() == []
    assert list((root / ".purged").iterdir()) == []


def test_bytes_without_a_label_are_never_taken_away_nor_given_to_another_set(root: Path) -> None:
    volumes = loops(root)
    (volumes.make(FIRST) / "kept").write_text("words")
    (root / "v1" / "label.json").unlink()
    again = loops(root)
    assert again.labels() == []
    with pytest.raises(CannotHold, match="is not on this host"):
        again.make(replace(FIRST, is_kept=True, set="s2"))
    assert (again.make(FIRST) / "kept").read_text() == "words"
    (root / "v1" / "label.json").write_text("{")
    spoiled = loops(root)
    with pytest.raises(VolumeFailed, match="cannot be read"):
        spoiled.make(FIRST)
    assert (root / "v1" / "data" / "kept").read_text() == "words"


def test_directories_hold_nothing_and_refuse_a_number_of_files(root: Path) -> None:
    volumes = Volumes(root, DirectoryDriver(PlainQuota()), [LoopDriver()])
    assert volumes.make(replace(FIRST, quota=1 << 50)) == root / "v1" / "data"
    with pytest.raises(NoRoom, match="limits no number of files"):
        volumes.make(replace(FIRST, id="v2", inodes=100))
    assert volumes.objection(replace(FIRST, pool="other")) == (
        "this host has no pool 'other', but 'volumes'"
    )
    assert volumes.pool().reserved_bytes == 0
    with pytest.raises(VolumeUnknown):
        volumes.purge("../v1")
    assert (root / "v1" / "data").exists()


def test_two_at_once_are_not_promised_the_same_bytes() -> None:
    with small_disk(160 * MIB) as disk:
        volumes = loops(disk / "v")
        done: list[str] = []

        def make(name: str) -> None:
            try:
                volumes.make(replace(FIRST, id=name, quota=80 * MIB))
                done.append(name)
            except NoRoom as refusal:
                done.append(str(refusal))

        threads = [threading.Thread(target=make, args=(name,)) for name in ("a", "b", "c")]
        for each in threads:
            each.start()
        for each in threads:
            each.join()
        assert len([each for each in done if len(each) == 1]) == 1, done
        for found in volumes.labels():
            volumes.purge(found.id)


def test_a_volume_unmounted_while_a_container_has_it_is_never_on_two_devices(root: Path) -> None:
    """Two would be two file systems on the same bytes, each unaware of what the other writes."""
    volumes = loops(root)
    data = volumes.make(FIRST)
    holder = root / "holder"
    holder.mkdir()
    release = _held_in_another_namespace(data, holder)
    try:
        before = devices_of(root / "v1" / "image")
        volumes.release("v1")
        assert volumes.make(FIRST) == data
        assert devices_of(root / "v1" / "image") == before
        (data / "kept").write_text("words")
    finally:
        release()
    assert (data / "kept").read_text() == "words"
    volumes.release("v1")
    assert not devices_of(root / "v1" / "image")


def test_whoever_dies_while_a_volume_grows_grows_it_the_next_time(root: Path) -> None:
    volumes = loops(root)
    (volumes.make(FIRST) / "kept").write_text("words")
    bigger = replace(FIRST, quota=96 * MIB)
    allocate(root / "v1" / "image", _image_bytes(Room(96 * MIB)))  # and no more was done
    data = volumes.make(bigger)
    assert (data / "kept").read_text() == "words"
    assert os.statvfs(data).f_bavail * os.statvfs(data).f_frsize >= 95 * MIB


def test_a_volume_that_cannot_grow_keeps_what_it_has_and_takes_no_more_of_the_host() -> None:
    with small_disk(160 * MIB) as disk:
        volumes = loops(disk / "v")
        data = volumes.make(FIRST)
        (data / "kept").write_text("words")
        before = volumes.pool()
        bigger = replace(FIRST, quota=140 * MIB)
        assert "bytes left to be promised" in (volumes.objection(bigger) or "")
        with pytest.raises(CannotHold, match="bytes left to be promised"):
            volumes.make(bigger)
        with pytest.raises(NoRoom, match="cannot be had"):
            LoopDriver().resize(disk / "v" / "v1", Room(FIRST.quota), Room(200 * MIB))
        assert volumes.pool().used_bytes == pytest.approx(before.used_bytes, abs=64 * 1024)
        assert (data / "kept").read_text() == "words"
        assert volumes.find("v1").quota == FIRST.quota
        volumes.purge("v1")


def test_a_volume_of_a_driver_that_is_there_no_more_is_told_and_hides_no_other(root: Path) -> None:
    volumes = loops(root)
    volumes.make(FIRST)
    other = Volumes(root, DirectoryDriver(PlainQuota()))
    other.make(replace(FIRST, id="v2"))
    assert [(each["id"], each["used"]) for each in other.all()] == [("v1", None), ("v2", None)]
    assert other.pool().reserved_bytes == 0
    why = "was made by the driver 'loop', which this host has no more"
    for wanted in (FIRST, replace(FIRST, quota=64 * MIB)):
        assert why in (other.objection(wanted) or "")
        with pytest.raises(CannotHold, match=why):
            other.make(wanted)
    label = root / "v1" / "label.json"
    label.write_text(label.read_text().replace('"whole": true', '"whole": false'))
    half_made = Volumes(root, DirectoryDriver(PlainQuota()))
    with pytest.raises(CannotHold, match=why):
        half_made.make(FIRST)
    other.purge("v1")
    assert [each.id for each in other.labels()] == ["v2"]


def test_a_volume_of_another_project_is_not_there_however_it_is_asked_for(root: Path) -> None:
    volumes = loops(root)
    volumes.make(FIRST)
    foreign = replace(FIRST, project="q", set="s2")
    assert volumes.objection(foreign) == "volume v1 is not on this host: see volume-list"
    with pytest.raises(CannotHold, match="is not on this host"):
        volumes.make(foreign)
    assert volumes.find("v1").set == "s1"


def test_purged_bytes_that_cannot_be_deleted_keep_nobody_from_the_others(
    root: Path, caplog: pytest.LogCaptureFixture
) -> None:
    volumes = Volumes(root, DirectoryDriver(PlainQuota()))
    for name in ("v1", "v2"):
        (volumes.make(replace(FIRST, id=name)) / "file").write_text("words")
    stuck = root / "v1" / "data"
    subprocess.run([tool("chattr"), "+i", str(stuck)], check=True)
    volumes.retire("v1")
    [stuck] = (root / ".purged").glob("*/data")
    try:
        again = Volumes(root, DirectoryDriver(PlainQuota()))
        assert [each.id for each in again.labels()] == ["v2"]
        again.purge("v2")
        assert list((root / ".purged").glob("*/data")) == [stuck]
        assert caplog.text.count(f"{stuck.parent}, of a volume that is gone, cannot be dele") == 2
    finally:
        subprocess.run([tool("chattr"), "-i", str(stuck)], check=True)
    again.sweep()
    assert list((root / ".purged").iterdir()) == []
