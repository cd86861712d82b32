"""A container's root here, and what podman makes of the same image, are the same tree."""

import hashlib
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hostagent.host_images import HostImages
from hostimages.settings import ImageSettings
from support.clients import Podman
from support.environment import temporary_directory, unmount_below
from support.hostiletars import BLK, CHR, DIR, FIFO, LNK, SYM
from support.hostimages import Handmade, member, tar_of
from support.roundtrip import new_repository
from support.server import Server
from volumes.disks import Disks
from volumes.quota import PlainQuota

CAPABILITY = bytes.fromhex("0100000200200000000000000000000000000000")

LOWER = tar_of(
    member("usr", DIR, uid=1, gid=2, mtime=1_000_000_000),
    (member("usr/tool", mode=0o4755, mtime=1_000_000_001), b"tool"),
    # A link says of its file what that says of itself, as tars do; else podman takes its word.
    member("usr/same", LNK, linkname="usr/tool", mode=0o4755, mtime=1_000_000_001),
    member("usr/link", SYM, linkname="tool"),
    member("gone", DIR),
    (member("gone/x"), b"x"),
    member("hidden", DIR, mode=0o700),
    (member("hidden/below"), b"below"),
    member("kept", DIR),
    (member("kept/a"), b"a"),
    (member("kept/b"), b"b"),
)
UPPER = tar_of(
    member(".wh.gone"),
    member("hidden", DIR, mode=0o711),
    member("hidden/.wh..wh..opq"),
    (member("hidden/new", uid=7), b"new"),
    member("kept", DIR, mode=0o2775, gid=9),
    member("kept/.wh.a"),
    member("pipe", FIFO, mode=0o620),
    member("null", CHR, devmajor=1, devminor=3, mode=0o666),
    member("disk", BLK, devmajor=8, devminor=0, gid=6, mode=0o660),
    (
        member(
            "ping",
            pax_headers={
                "SCHILY.xattr.user.note": "noted",
                "SCHILY.xattr.security.capability": CAPABILITY.decode("utf-8", "surrogateescape"),
            },
        ),
        b"ping",
    ),
    member("long", DIR),
    (member("long/" + "n" * 200), b"n"),
)


def tree(root: Path) -> dict[str, object]:
    """Every name below *root*, with all that may differ."""
    found: dict[str, object] = {}
    links: dict[int, str] = {}
    for place, directories, names in os.walk(root):
        for name in sorted(
            [*directories, *names, "."] if place == str(root) else directories + names
        ):
            path = Path(place, name)
            status = path.lstat()
            first = links.setdefault(status.st_ino, str(path.relative_to(root)))
            is_directory = stat.S_ISDIR(status.st_mode)
            found[str(path.relative_to(root))] = (
                oct(status.st_mode),
                (status.st_uid, status.st_gid),
                status.st_rdev,
                None if is_directory else (status.st_size, status.st_nlink, first),
                int(status.st_mtime),
                {each: value(path, each) for each in os.listxattr(path, follow_symlinks=False)},
                held(path, status.st_mode),
            )
        directories.sort()
    return found


def value(path: Path, name: str) -> bytes:
    return os.getxattr(path, name, follow_symlinks=False)


def held(path: Path, mode: int) -> str | None:
    if stat.S_ISLNK(mode):
        return str(path.readlink())
    if stat.S_ISREG(mode):
        with path.open("rb") as content:
            return hashlib.file_digest(content, "sha256").hexdigest()
    return None


@contextmanager
def ours(reference: str, place: Path) -> Iterator[Path]:
    images = HostImages(
        ImageSettings(directory=place / "cache"), Disks(place / "disks", PlainQuota())
    )
    try:
        ready = images.ensure("set", 1, reference, None)
        yield images.prepare("disk", ready.digest, 1 << 30)
    finally:
        images.close()
        unmount_below(place)


@contextmanager
def podmans(reference: str, place: Path) -> Iterator[Path]:
    podman = Podman(place)
    podman.pull(reference)
    try:
        yield Path(podman.run("image", "mount", reference).strip())
    finally:
        podman.run("image", "unmount", "--all")
        unmount_below(place)


def hold_same(reference: str, *, uncertain: tuple[str, ...] = ()) -> None:
    """Both trees are one, but for *uncertain* directories, which no entry of a layer describes."""
    with (
        temporary_directory("ours") as here,
        temporary_directory("podmans") as there,
        ours(reference, here) as mine,
        podmans(reference, there) as other,
    ):
        left, right = tree(mine), tree(other)
        assert left.keys() == right.keys()
        differing = {name: (left[name], right[name]) for name in left if left[name] != right[name]}
        for name in uncertain:
            differing.pop(name, None)
        assert differing == {}
        assert len(left) > 10


def test_an_image_with_all_that_a_layer_can_hold(server: Server) -> None:
    reference = Handmade.of([LOWER, UPPER]).push(server, new_repository())
    hold_same(reference, uncertain=(".",))


def test_a_real_debian(server: Server, published: str) -> None:
    hold_same(f"{server.address}/{published}:1", uncertain=(".", "etc", "srv"))
