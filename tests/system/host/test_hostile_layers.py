"""Layers made to do harm: refused with the reason, and nothing outside or behind."""

import gzip
import os
import stat
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
import zstandard

from hostimages.errors import CacheUnusable, LayerRefused
from hostimages.settings import LayerLimits
from hostimages.unpack import Unpacked, make_opaque, unpacking
from support.disk import small_disk
from support.environment import wait_until
from support.hostiletars import (
    DIR,
    END,
    LNK,
    REFUSED,
    REG,
    SYM,
    header,
    map_sparse,
    odd,
    old_sparse,
    padded,
    pax,
    record,
)
from support.hostimages import digest_of, files, member, tar_of

LIMITS = LayerLimits(bytes=100 << 20, entries=1000, depth=100, time=timedelta(seconds=60))


def unpack(directory: Path, content: bytes, limits: LayerLimits = LIMITS) -> Unpacked:
    """Unpack a layer into *directory*, which is made."""
    directory.mkdir()
    with unpacking(directory, limits) as unpacker:
        unpacker.feed(content)
        return unpacker.finish()


@pytest.fixture
def outside(tmp_path: Path) -> Iterator[Path]:
    """A directory with the target in it; around the target nothing may change."""
    (tmp_path / "outside").write_text("untouched")
    before = {each: each.stat().st_mtime_ns for each in tmp_path.iterdir()}
    shadow = Path("/etc/passwd").stat().st_mtime_ns
    yield tmp_path / "layer"
    after = {each: each.stat().st_mtime_ns for each in tmp_path.iterdir()}
    after.pop(tmp_path / "layer", None)
    assert after == before
    assert Path("/etc/passwd").stat().st_mtime_ns == shadow


@pytest.mark.parametrize("name", REFUSED)
def test_a_hostile_layer_is_refused_with_the_reason(name: str, outside: Path) -> None:
    content, reason = REFUSED[name]
    with pytest.raises(LayerRefused, match=reason):
        unpack(outside, content)


def test_what_is_odd_but_right_is_taken(outside: Path) -> None:
    tar = odd()
    assert unpack(outside, tar).encoded == digest_of(tar).removeprefix("sha256:")
    root = outside.stat()
    assert (root.st_uid, root.st_gid, root.st_mtime) == (3, 4, 1_000_000_000)
    assert stat.S_IMODE(root.st_mode) == 0o750
    long = outside / ("n" * 150) / ("m" * 120)
    assert stat.S_IMODE(long.stat().st_mode) == 0o4755
    assert (outside / "long-link").readlink() == Path("t" * 300)
    assert (outside / "absolute").stat().st_uid == 2**21
    assert stat.S_ISFIFO((outside / "pipe").stat().st_mode)
    disk = (outside / "disk").stat()
    assert stat.S_ISBLK(disk.st_mode)
    assert disk.st_rdev == os.makedev(8, 1)
    assert stat.S_IMODE((outside / "sticky").stat().st_mode) == 0o1777
    assert (outside / "sticky" / "through").is_file()
    assert (outside / "twice").read_text() == "two"
    assert (outside / "hard").samefile(outside / "twice")
    assert (outside / "was-a-directory").is_file()


def test_whiteouts_hide_what_lies_below_in_any_order(outside: Path) -> None:
    told = unpack(
        outside,
        tar_of(
            member("a", DIR),
            member("a/.wh.gone"),
            member("a/.wh.both"),
            member("a/both", DIR),
            member("b/both", DIR),
            member("b/.wh.both"),
            member("c/.wh..wh..opq"),
            member("d/both"),
            member("d/.wh.both"),
            member(".wh..wh.plnk", DIR),
        ),
    )
    gone = (outside / "a" / "gone").lstat()
    assert stat.S_ISCHR(gone.st_mode)
    assert gone.st_rdev == 0
    assert sorted(told.opaque) == ["a/both", "b/both", "c"]
    assert (outside / "d" / "both").is_file()
    assert not list(outside.rglob(".wh*"))
    make_opaque(outside, told.opaque)
    assert os.getxattr(outside / "c", "trusted.overlay.opaque") == b"y"


def test_a_mark_set_by_root_does_not_follow_a_link_out(outside: Path, tmp_path: Path) -> None:
    """The unpacker tells where to set it; were it taken over, it could tell anything."""
    (tmp_path / "victim").mkdir()
    unpack(outside, tar_of(member("link", SYM, linkname=str(tmp_path / "victim"))))
    for told in ("link", "../victim", str(tmp_path / "victim")):
        with pytest.raises(FileNotFoundError):
            make_opaque(outside, [told])
    assert os.listxattr(tmp_path / "victim") == []
    (tmp_path / "victim").rmdir()


def test_xattrs_and_capabilities_are_kept(outside: Path) -> None:
    capability = bytes.fromhex("0100000200200000000000000000000000000000")
    unpack(
        outside,
        pax(
            record(b"SCHILY.xattr.security.capability", capability),
            record(b"SCHILY.xattr.user.note", b"a=b\0c"),
            record(b"SCHILY.xattr.security.selinux", b"system_u:object_r:x"),
        )
        + header(b"ping", uid=b"0000007")
        + END,
    )
    assert os.getxattr(outside / "ping", "security.capability") == capability
    assert os.getxattr(outside / "ping", "user.note") == b"a=b\0c"
    assert sorted(os.listxattr(outside / "ping")) == ["security.capability", "user.note"]


@pytest.mark.parametrize(
    "tar",
    [
        old_sparse([(0, 3), (1 << 20, 2)], 2 << 20, b"abcde"),
        map_sparse(b"2\n0\n3\n1048576\n2\n", 2 << 20, b"abcde"),
        pax(
            record(b"GNU.sparse.size", b"%d" % (2 << 20)),
            record(b"GNU.sparse.name", b"sparse"),
            record(b"GNU.sparse.map", b"0,3,1048576,2"),
        )
        + header(b"x", REG, b"5")
        + padded(b"abcde")
        + END,
    ],
    ids=["old", "1.0", "0.1"],
)
def test_sparse_files_keep_their_holes(tar: bytes, outside: Path) -> None:
    unpack(outside, tar)
    found = outside / "sparse"
    expected = b"abc" + bytes((1 << 20) - 3) + b"de"
    assert found.read_bytes() == expected + bytes((2 << 20) - len(expected))
    assert found.stat().st_blocks * 512 < 100_000


def test_gzip_in_pieces_and_zstd_in_frames_are_one_tar(tmp_path: Path) -> None:
    tar = files({f"f{n}": os.urandom(40_000) for n in range(60)})
    half = len(tar) // 2
    packed = {
        "gzip": gzip.compress(tar[:half]) + gzip.compress(b"") + gzip.compress(tar[half:]),
        "zstd": zstandard.compress(tar[:half]) + zstandard.compress(tar[half:]),
        "plain": tar,
    }
    for name, content in packed.items():
        assert unpack(tmp_path / name, content).encoded == digest_of(tar).removeprefix("sha256:")


def test_a_bomb_stops_while_it_is_written(outside: Path) -> None:
    """The limit holds for what comes out, whatever headers say."""
    big = b"".join(header(b"f%d" % n, REG, b"%o" % (1 << 20)) + bytes(1 << 20) for n in range(30))
    with pytest.raises(LayerRefused, match="more than 10485760 bytes"):
        unpack(outside, gzip.compress(big + END, 1), LayerLimits(bytes=10 << 20))
    assert sum(each.stat().st_size for each in outside.iterdir()) <= 11 << 20


def test_a_layer_that_takes_too_long_is_given_up(outside: Path) -> None:
    outside.mkdir()
    with unpacking(outside, LayerLimits(time=timedelta(seconds=2))) as unpacker:
        unpacker.feed(header(b"x", REG, b"40000000"))
        state = Path(f"/proc/{unpacker.pid}/stat")
        wait_until(lambda: ") Z " in state.read_text(), "its end")
        with pytest.raises(LayerRefused, match="0:00:02"):
            unpacker.finish()


def test_a_tar_without_its_end_is_taken_as_others_do(outside: Path) -> None:
    tar = header(b"x", REG, b"5") + padded(b"abcde")
    unpack(outside, tar)
    assert (outside / "x").read_bytes() == b"abcde"


def test_a_full_disk_is_said_to_be_full(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 4 << 20) as disk:
        content = files({"big": bytes(8 << 20)})
        with pytest.raises(CacheUnusable, match="No space left"):
            unpack(disk / "layer", content)


def test_the_unpacker_has_no_network_no_devices_and_six_capabilities(outside: Path) -> None:
    outside.mkdir()
    with unpacking(outside, LIMITS) as unpacker:
        unpacker.feed(header(b"made") + header(b"x", REG, b"40000000") + bytes(3 << 20))
        wait_until((outside / "x").exists, "the file that it writes to")
        seen = Path(f"/proc/{unpacker.pid}")
        status = dict(line.split(":\t", 1) for line in (seen / "status").read_text().splitlines())
        kept = f"{sum(1 << bit for bit in (0, 1, 3, 4, 27, 31)):016x}"
        assert {status[each] for each in ("CapEff", "CapPrm", "CapBnd")} == {kept}
        assert status["NoNewPrivs"] == "1"
        for kind in ("net", "mnt", "ipc", "uts"):
            assert (seen / "ns" / kind).readlink() != Path(f"/proc/self/ns/{kind}").readlink()
        mounts = [line.split() for line in (seen / "mountinfo").read_text().splitlines()]
        assert [each[4] for each in mounts] == ["/"]
        assert {"nodev", "nosuid", "noexec"} <= set(mounts[0][5].split(","))
        assert sorted(each.name for each in (seen / "fd").iterdir()) == ["0", "1", "2", "3"]
        assert (seen / "fd" / "3").readlink().name == "x"


def test_hard_links_are_one_file_and_count_once(outside: Path) -> None:
    told = unpack(
        outside,
        tar_of(
            (member("one"), b"x" * 100_000),
            *(member(f"link{n}", LNK, linkname="one") for n in range(50)),
        ),
    )
    assert (outside / "link7").stat().st_nlink == 51
    assert told.inodes == 2
    assert told.bytes < 200_000
