"""Where runtimes make containers: what they need is seen there, and what else is mounted is not."""

import contextlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from hostbase.mountspace import MountSpaces
from support.environment import wait_until
from support.localdisk import small_disk
from volumes.mounts import NODEV, devices_of, mount, mounts, unmount

KERNEL = ("/proc", "/sys", "/dev")


@contextlib.contextmanager
def tmpfs(place: Path) -> Iterator[Path]:
    """A file system of its own at *place*, with a file in it that says where it is."""
    place.mkdir(exist_ok=True)
    mount("tmpfs", place, "tmpfs", NODEV, "size=64k")
    (place / "here").write_text(place.name)
    try:
        yield place
    finally:
        unmount(place)


@pytest.fixture
def spaces(tmp_path: Path) -> Iterator[MountSpaces]:
    made = MountSpaces([tmp_path])
    yield made
    made.close()


def inside(space: str, *words: str) -> str:
    """What a program says in there."""
    command = ["nsenter", f"--mount={space}", *words]
    return subprocess.run(command, check=True, capture_output=True, encoding="utf-8").stdout


def seen(space: str) -> list[str]:
    """Where something is mounted, in there."""
    return [line.split()[4] for line in inside(space, "cat", "/proc/self/mountinfo").splitlines()]


def test_only_what_is_needed_is_seen(spaces: MountSpaces, tmp_path: Path) -> None:
    with contextlib.ExitStack() as stack:
        many = [stack.enter_context(tmpfs(tmp_path / str(n))) for n in range(30)]
        with spaces.showing([many[7], many[8]]) as space:
            assert inside(space, "cat", str(many[7] / "here")) == "7"
            places = seen(space)
            assert str(many[8]) in places
            assert [each.name for each in many if str(each) in places] == ["7", "8"]
            kept = {each.place for each in mounts() if each.place.startswith(KERNEL)}
            assert kept <= set(places)
        later = stack.enter_context(tmpfs(tmp_path / "later"))
        with spaces.showing([later]) as space:
            assert str(many[7]) not in seen(space)
            assert inside(space, "cat", str(later / "here")) == "later"


def test_what_is_mounted_later_is_seen_with_all_that_is_in_it(spaces: MountSpaces) -> None:
    with small_disk() as disk:
        place = disk.parent / "a place of\tspaces"
        place.mkdir()
        with spaces.showing([place]):
            pass  # it is known by now what is mounted
        with tmpfs(place):
            deep = place / "deep"
            with tmpfs(deep), spaces.showing([place, deep]) as space:
                assert inside(space, "cat", str(deep / "here")) == "deep"
            (place / "only here").mkdir()
            with spaces.showing([place / "only here"]) as space:
                assert inside(space, "ls", str(place)) == "deep\nhere\nonly here\n"


def test_a_link_leads_to_where_it_leads(spaces: MountSpaces, tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to("place")
    with tmpfs(tmp_path / "place"), spaces.showing([link]) as space:
        assert inside(space, "cat", str(link / "here")) == "place"


def test_nobody_else_is_kept_from_unmounting(tmp_path: Path) -> None:
    with contextlib.ExitStack() as stack:
        disk = stack.enter_context(small_disk())
        image = disk.parent / "image"
        spaces = MountSpaces([tmp_path])
        stack.callback(spaces.close)
        with spaces.showing([disk]):
            pass
        assert devices_of(image)
        unmount(disk)
        wait_until(lambda: not devices_of(image), "the end of the device", 5)


def test_it_is_gone_at_the_end_and_this_process_is_where_it_was(
    spaces: MountSpaces, tmp_path: Path
) -> None:
    def own() -> set[str]:
        return {os.readlink(each) for each in Path("/proc/self/task").glob("*/ns/mnt")}  # noqa: PTH115

    before = own()
    with spaces.showing([tmp_path]) as space:
        wait_until(lambda: len(own()) == 2, "the end of what it is made of", 5)
    wait_until(lambda: own() == before, "its end", 5)
    assert not Path(space).exists()


def test_a_mount_that_is_not_wanted_is_an_empty_place_of_the_moment(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    with tmpfs(tmp_path / "unwanted") as place:
        spaces = MountSpaces([tmp_path, place], [str(place)])
        for _ in range(2):
            with spaces.showing([source]) as space:
                inside(space, "mkdir", f"{place}/mine")
                assert inside(space, "ls", str(place)) == "mine\n"
        spaces.close()
        assert [each.name for each in place.iterdir()] == ["here"]
    assert not list(place.iterdir())


def test_what_is_not_there_is_named(spaces: MountSpaces, tmp_path: Path) -> None:
    absent = spaces.showing([tmp_path, tmp_path / "absent"])
    before = sorted(os.listdir("/proc/self/fd"))  # noqa: PTH208 - numbers
    with pytest.raises(OSError, match="No such file or directory") as raised, absent:
        pass
    assert raised.value.filename == str(tmp_path / "absent")
    assert sorted(os.listdir("/proc/self/fd")) == before  # noqa: PTH208
