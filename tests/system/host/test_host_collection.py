"""What goes from a host's cache when space runs short, what stays, and what is found spoiled."""

import os
import time
from pathlib import Path

import pytest

from hostimages.image import Image
from hostimages.images import Images
from hostimages.settings import Watermarks
from support.environment import unmount_below
from support.hostimages import Handmade, content_of, ensure, files, left_over, opened
from support.roundtrip import new_repository
from support.server import Server
from volumes.disks import Disks
from volumes.quota import PlainQuota

MIB = 1 << 20


def marks(**limits: int) -> Watermarks:
    """No mark but those that are given."""
    return Watermarks(free_bytes=0, free_inodes=0, **limits)


@pytest.fixture
def references(server: Server) -> list[str]:
    """Four images of one layer of a MiB each."""
    return [
        Handmade.of([files({f"srv/{n}": os.urandom(MIB)})]).push(server, new_repository())
        for n in range(4)
    ]


async def here(images: Images) -> set[str]:
    return {str(each.diff_id) for each in (await images.cache()).layers}


def diff_id(image: Image) -> str:
    return str(image.chain_id)


async def test_the_longest_unused_go_first_until_the_low_mark(
    references: list[str], tmp_path: Path
) -> None:
    low = marks(bytes=5 * MIB)
    async with opened(tmp_path / "cache", watermarks=low) as images:
        brought = [await ensure(images, each, set_id=each) for each in references]
        for each in references:
            await images.unpin(each)
        await ensure(images, references[0], set_id="again")
        await images.unpin("again")
        done = await images.collect()
        assert done.gone == []  # four of five MiB are under the high mark
    async with opened(tmp_path / "cache", watermarks=marks(bytes=3 * MIB)) as images:
        await images.collect()
        assert await here(images) == {diff_id(brought[n]) for n in (0, 3)}
        await images.empty_trash()
        assert list((tmp_path / "cache" / "trash").iterdir()) == []
        await ensure(images, references[1])
        assert (await images.cache()).fetched_layers == 1


async def test_what_is_pinned_stays_and_who_holds_it_is_said(
    references: list[str], tmp_path: Path
) -> None:
    async with opened(tmp_path / "cache", watermarks=marks(bytes=MIB)) as images:
        kept = await ensure(images, references[0], set_id="web")
        loose = await ensure(images, references[1], set_id="job")
        await images.unpin("job")
        done = await images.collect()
        assert [str(each) for each in done.gone] == [diff_id(loose)]
        assert done.bytes > MIB
        assert done.short
        [(layer, (size, holders))] = done.held.items()
        assert (str(layer), holders) == (diff_id(kept), [("web", 1)])
        assert size > MIB
        assert content_of(kept.chain, "srv/0")


async def test_inodes_have_marks_of_their_own(server: Server, tmp_path: Path) -> None:
    many = Handmade.of([files({f"srv/{n}": b"" for n in range(300)})])
    async with opened(tmp_path / "cache", watermarks=marks(inodes=200)) as images:
        await ensure(images, many.push(server, new_repository()), set_id="job")
        assert (await images.collect()).short
        await images.unpin("job")
        done = await images.collect()
        assert (len(done.gone), done.inodes, done.short) == (1, 302, False)


async def test_a_layer_that_a_root_stands_on_stays_though_nobody_pinned_it(
    references: list[str], tmp_path: Path
) -> None:
    roots = Disks(tmp_path / "disks", PlainQuota())
    async with opened(tmp_path / "cache") as images:
        image = await ensure(images, references[0], set_id="web")
        root = roots.prepare("disk", image.chain, MIB)
        try:
            await images.unpin("web")
            assert (await images.collect(everything=True)).gone == []
            assert len((root / "srv" / "0").read_bytes()) == MIB
            roots.remove("disk")
            assert len((await images.collect(everything=True)).gone) == 1
        finally:
            unmount_below(tmp_path)


async def test_layers_that_several_images_share_stay_for_the_last(
    server: Server, tmp_path: Path
) -> None:
    base, one, two = (files({f"srv/{n}": os.urandom(1000)}) for n in range(3))
    first = Handmade.of([base, one]).push(server, new_repository())
    second = Handmade.of([base, two]).push(server, new_repository())
    async with opened(tmp_path / "cache") as images:
        await ensure(images, first, set_id="a")
        image = await ensure(images, second, set_id="b")
        await images.unpin("a")
        assert len((await images.collect(everything=True)).gone) == 1
        assert content_of(image.chain, "srv/0")
        assert content_of(image.chain, "srv/2")


async def test_a_blob_that_nobody_went_on_with_is_given_up_after_a_day(tmp_path: Path) -> None:
    async with opened(tmp_path / "cache") as images:
        for name, age in (("old", 25), ("young", 1)):
            path = tmp_path / "cache" / "partial" / name
            path.write_bytes(b"half")
            then = time.time() - age * 3600
            os.utime(path, (then, then))
        await images.collect()
        assert left_over(tmp_path / "cache") == ["partial/young"]


@pytest.mark.parametrize("spoil", ["cut", "gone", "added", "owner", "directory"])
async def test_a_spoiled_layer_is_found_and_pulled_anew(
    spoil: str, references: list[str], tmp_path: Path
) -> None:
    async with opened(tmp_path / "cache") as images:
        image = await ensure(images, references[0], set_id="web")
        whole = await ensure(images, references[1], set_id="web")
        assert await images.check() == []
        file = image.chain[0] / "srv" / "0"
        if spoil == "cut":
            os.truncate(file, 0)
        elif spoil == "gone":
            file.unlink()
        elif spoil == "added":
            (image.chain[0] / "more").touch()
        elif spoil == "owner":
            os.chown(file, 1, 1)
        else:
            image.chain[0].rename(tmp_path / "away")
        [found] = await images.check()
        assert (str(found.diff_id), found.gone) == (diff_id(image), True)
        assert images.held(image.digest) is None
        assert images.held(whole.digest) == whole
        again = await ensure(images, references[0], set_id="web")
        assert len(content_of(again.chain, "srv/0")) == MIB
        assert await images.check() == []


async def test_a_spoiled_layer_with_a_root_on_it_is_told_and_left(
    references: list[str], tmp_path: Path
) -> None:
    roots = Disks(tmp_path / "disks", PlainQuota())
    async with opened(tmp_path / "cache") as images:
        image = await ensure(images, references[0], set_id="web")
        roots.prepare("disk", image.chain, MIB)
        try:
            (image.chain[0] / "more").touch()
            [found] = await images.check()
            assert not found.gone
            assert images.held(image.digest) == image
        finally:
            unmount_below(tmp_path)
