"""Root filesystems mounted by overlay: what is seen in them, what is kept, and what is refused."""

import os
import stat
from pathlib import Path

import pytest

from hostagent.errors import StepFailed
from hostagent.host_images import HostImages
from hostimages.settings import ImageSettings
from support.environment import unmount_below
from support.hostimages import Handmade, files, member, tar_of
from support.roundtrip import new_repository
from support.server import Server
from volumes.disks import Disks
from volumes.faults import VolumeFailed
from volumes.overlay import lowers_in_use
from volumes.quota import PlainQuota

MOST = 1 << 30


@pytest.fixture
def roots(tmp_path: Path) -> Disks:
    return Disks(tmp_path, PlainQuota())


def lower(place: Path, name: str, **content: str) -> Path:
    made = place / name
    made.mkdir()
    for each, text in content.items():
        (made / each).write_text(text)
    return made


def names(directory: Path) -> list[str]:
    return sorted(each.name for each in directory.iterdir())


def test_a_set_runs_on_what_its_image_says(server: Server, tmp_path: Path) -> None:
    base = files({"etc/gone": b"1", "etc/kept": b"1", "opt/old": b"1", "srv/x": b"1"})
    upper = tar_of(
        member("etc/.wh.gone"),
        member("opt", b"5"),
        member("opt/.wh..wh..opq"),
        (member("opt/new"), b"2"),
        member("dev", b"5"),
        member("dev/null", b"3", devmajor=1, devminor=3, mode=0o666),
    )
    reference = Handmade.of([base, upper, bytes(1024)]).push(server, new_repository())
    images = HostImages(
        ImageSettings(directory=tmp_path / "cache"), Disks(tmp_path / "disks", PlainQuota())
    )
    try:
        ready = images.ensure("web", 1, reference, None)
        root = images.prepare("disk-1", ready.digest, MOST)
        assert images.prepare("disk-1", ready.digest, MOST) == root
        assert names(root) == ["dev", "etc", "opt", "srv"]
        assert names(root / "etc") == ["kept"]
        assert names(root / "opt") == ["new"]
        with pytest.raises(PermissionError):  # an image's devices open nothing
            (root / "dev" / "null").open()
        (root / "etc" / "kept").write_text("written")
        images.release("disk-1")
        assert not os.path.ismount(root)
        assert images.prepare("disk-1", ready.digest, MOST) == root
        assert (root / "etc" / "kept").read_text() == "written"
        images.remove("disk-1")
        images.remove("disk-1")
        assert not root.exists()
        fresh = images.prepare("disk-1", ready.digest, MOST)
        assert (fresh / "etc" / "kept").read_text() == "1"
        images.remove("disk-1")
        images.unpin("web", None)
        with pytest.raises(StepFailed, match="pulled again"):
            images.prepare("disk-1", ready.digest, MOST)
        assert images.report().hits == 0
    finally:
        images.close()
        unmount_below(tmp_path)


def test_five_hundred_layers_are_stacked_and_no_more(roots: Disks, tmp_path: Path) -> None:
    chain = [lower(tmp_path, f"a-name-that-fills-two-pages-{n}", same=str(n)) for n in range(501)]
    try:
        root = roots.prepare("disk", chain[:500], MOST)
        assert (root / "same").read_text() == "0"
        assert {str(each) for each in chain[:500]} <= lowers_in_use()
        roots.remove("disk")
        with pytest.raises(VolumeFailed, match="500"):
            roots.prepare("other", chain, MOST)
    finally:
        unmount_below(tmp_path)


def test_an_image_without_content_is_an_empty_root(roots: Disks, tmp_path: Path) -> None:
    try:
        root = roots.prepare("disk", [], MOST)
        (root / "written").write_text("1")
        roots.remove("disk")
        assert not (tmp_path / "disk").exists()
    finally:
        unmount_below(tmp_path)


def test_a_root_is_owned_as_its_image_says(roots: Disks, tmp_path: Path) -> None:
    top = lower(tmp_path, "top", x="1")
    os.chown(top, 7, 8)
    top.chmod(0o1771)
    try:
        found = roots.prepare("disk", [top], MOST).stat()
        assert (found.st_uid, found.st_gid, stat.S_IMODE(found.st_mode)) == (7, 8, 0o1771)
        roots.remove("disk")
    finally:
        unmount_below(tmp_path)


def test_a_busy_root_is_removed_all_the_same(roots: Disks, tmp_path: Path) -> None:
    try:
        root = roots.prepare("disk", [lower(tmp_path, "base", x="1")], MOST)
        with (root / "x").open() as held:
            roots.remove("disk")
            assert not (tmp_path / "disk").exists()
            assert held.read() == "1"
        assert str(tmp_path / "base") not in lowers_in_use()
    finally:
        unmount_below(tmp_path)
