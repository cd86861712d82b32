import os
from pathlib import Path

import pytest

from inside import root as inroot


def put(root: Path, path: str, data: bytes = b"new") -> None:
    inroot.write(root, path, data, mode=0o640, uid=0, gid=0)


def test_a_file_is_written_with_its_directories_owner_and_mode(tmp_path: Path) -> None:
    inroot.write(tmp_path, "/a/b/c", b"data", mode=0o4750, uid=12, gid=34)
    about = (tmp_path / "a/b/c").stat()
    assert (tmp_path / "a/b/c").read_bytes() == b"data"
    assert (about.st_mode & 0o7777, about.st_uid, about.st_gid) == (0o4750, 12, 34)
    assert [path.name for path in (tmp_path / "a/b").iterdir()] == ["c"]


def test_links_in_an_image_lead_nowhere_outside_it(tmp_path: Path) -> None:
    root = tmp_path / "root"
    outside = tmp_path / "outside"
    (root / "etc").mkdir(parents=True)
    outside.mkdir()
    (outside / "secret").write_text("host's")
    (root / "up").symlink_to("../../../../outside")
    (root / "absolute").symlink_to(outside)
    (root / "etc" / "passwd").symlink_to(outside / "secret")
    assert inroot.read(root, "/etc/passwd") == b""
    for path in ("/up/file", "/absolute/file"):
        with pytest.raises(inroot.CannotReach):
            put(root, path)
    put(root, "/etc/passwd")
    assert (root / "etc" / "passwd").read_bytes() == b"new"
    assert (outside / "secret").read_text() == "host's"
    assert [path.name for path in outside.iterdir()] == ["secret"]


def test_a_link_within_the_image_is_followed_within_it(tmp_path: Path) -> None:
    (tmp_path / "usr" / "lib").mkdir(parents=True)
    (tmp_path / "lib").symlink_to("/usr/lib")
    put(tmp_path, "/lib/module")
    assert (tmp_path / "usr" / "lib" / "module").read_bytes() == b"new"
    assert inroot.read(tmp_path, "/lib/module") == b"new"


def test_what_is_no_regular_file_is_not_opened_for_long(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(inroot.CannotReach, match="no regular file"):
        inroot.read(tmp_path, "/pipe")
    (tmp_path / "large").write_bytes(b"x" * (inroot.LIMIT + 1))
    with pytest.raises(inroot.CannotReach, match="1 MiB"):
        inroot.read(tmp_path, "/large")
    put(tmp_path, "/pipe")
    assert (tmp_path / "pipe").read_bytes() == b"new"


def test_a_directory_in_a_files_place_is_told_and_nothing_is_left(tmp_path: Path) -> None:
    (tmp_path / "etc" / "name").mkdir(parents=True)
    with pytest.raises(inroot.CannotReach, match="/etc/name cannot be written"):
        put(tmp_path, "/etc/name")
    assert [path.name for path in (tmp_path / "etc").iterdir()] == ["name"]


def test_a_file_in_a_directorys_place_is_told(tmp_path: Path) -> None:
    (tmp_path / "etc").write_text("")
    with pytest.raises(inroot.CannotReach, match="Not a directory"):
        put(tmp_path, "/etc/name")


def test_no_handle_is_left_of_what_could_not_be_written(tmp_path: Path) -> None:
    (tmp_path / "etc").write_text("")
    (tmp_path / "nowhere").symlink_to("/nothing")
    before = sorted(os.listdir("/proc/self/fd"))  # noqa: PTH208
    for path in ("/etc/a/name", "/nowhere/name", "/made/" + "x" * 256 + "/name"):
        with pytest.raises(inroot.CannotReach):
            put(tmp_path, path)
    assert sorted(os.listdir("/proc/self/fd")) == before  # noqa: PTH208
