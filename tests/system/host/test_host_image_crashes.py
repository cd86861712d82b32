"""An agent killed at every point of bringing and collecting images: what the next one finds."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from hostimages.images import Images
from hostimages.shelf import Shelf
from registry.oci.digest import Digest
from support.environment import ROOT, wait_until
from support.faultregistry import FaultRegistry, fault_registry
from support.hostcrash import all_points
from support.hostimages import Handmade, content_of, files, left_over, opened

BASE = files({"etc/issue": b"base\n", "srv/big": os.urandom(100_000)})
OPAQUE = files({"srv/.wh..wh..opq": b"", "srv/new": b"1"})
FIRST = Handmade.of([BASE, OPAQUE])
SECOND = Handmade.of([BASE, files({"srv/other": b"2"})])


class Crasher:
    """A process that forks agents and tells how they ended."""

    def __init__(self, first: FaultRegistry, second: FaultRegistry) -> None:
        self._references = [first.reference, second.reference]
        self._process = subprocess.Popen(
            [sys.executable, "-m", "support.hostcrash"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT / "tests",
        )

    def run(self, directory: Path, point: str | None, planted: str | None = None) -> int:
        """Tell the story to its end, or to *point*; answer the status."""
        order = {
            "references": self._references,
            "cache": str(directory / "cache"),
            "log": str(directory / "log"),
            "output": str(directory / "output"),
            "point": point,
            "planted": planted,
        }
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline())

    def close(self) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(30)
        self._process.stdout.close()


@pytest.fixture(scope="module")
def registries() -> Iterator[tuple[FaultRegistry, FaultRegistry]]:
    with fault_registry(FIRST) as first, fault_registry(SECOND) as second:
        yield first, second


@pytest.fixture(scope="module")
def crasher(registries: tuple[FaultRegistry, FaultRegistry]) -> Iterator[Crasher]:
    made = Crasher(*registries)
    yield made
    made.close()


def told(directory: Path) -> set[str]:
    """What the agent had said before it died."""
    return set((directory / "log").read_text().splitlines())


async def hold_sound(
    directory: Path, registries: tuple[FaultRegistry, FaultRegistry], said: set[str]
) -> None:
    """Open what a dead agent left, and hold that nothing is lost, half done or left over."""
    cache = directory / "cache"
    wait_until(lambda: not unpackers(cache), "the end of its unpackers")
    async with opened(cache) as images:
        assert [each for each in left_over(cache) if "staging" in each] == []
        rows = {each.diff_id.encoded for each in (await images.cache()).layers if each.inodes}
        assert rows == {each.name for each in (cache / "layers").iterdir()}
        assert await images.check() == []
        first = images.held(Digest.parse(FIRST.digest))
        if "told: first" in said:
            assert first is not None
        if "told: second" in said and "told: unpinned" not in said:
            assert images.held(Digest.parse(SECOND.digest)) is not None or died_unpinning(said)
        await bring(images, registries)
        await images.unpin("kept")
        await images.unpin("gone")
        await images.unpin("after")
        await images.collect(everything=True)
        await images.empty_trash()
        assert (await images.cache()).layers == ()
    for part in ("layers", "staging", "trash", "partial"):
        assert list((cache / part).iterdir()) == [], part


def died_unpinning(said: set[str]) -> bool:
    return "Cache.unpin:before" in said


async def bring(images: Images, registries: tuple[FaultRegistry, FaultRegistry]) -> None:
    """Both images can be had, whole."""
    for registry, file, content in zip(
        registries, ("srv/new", "srv/other"), (b"1", b"2"), strict=True
    ):
        image = await images.ensure(registry.reference, set_id="after", generation=1)
        assert content_of(image.chain, file) == content
        assert content_of(image.chain, "etc/issue") == b"base\n"
        if file == "srv/new":
            assert os.getxattr(image.chain[0] / "srv", "trusted.overlay.opaque") == b"y"


def unpackers(cache: Path) -> list[str]:
    """Unpackers that work below *cache*."""
    found = []
    for each in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            command = each.read_bytes()
        except OSError:
            continue
        if b"unpacker" in command and os.fsencode(cache) in command:
            found.append(each.parent.name)
    return found


def test_the_story_reaches_every_point(crasher: Crasher, tmp_path: Path) -> None:
    assert crasher.run(tmp_path, None) == 0, (tmp_path / "output").read_text()
    assert [each for each in all_points() if each not in told(tmp_path)] == []
    assert len(all_points()) >= 30


@pytest.mark.parametrize("point", all_points())
async def test_an_agent_killed_at_any_point_leaves_what_the_next_can_use(
    point: str,
    crasher: Crasher,
    registries: tuple[FaultRegistry, FaultRegistry],
    tmp_path: Path,
) -> None:
    assert crasher.run(tmp_path, point) == -signal.SIGKILL, (tmp_path / "output").read_text()
    await hold_sound(tmp_path, registries, told(tmp_path))


async def test_pins_that_are_not_kept_are_found(
    crasher: Crasher, registries: tuple[FaultRegistry, FaultRegistry], tmp_path: Path
) -> None:
    crasher.run(tmp_path, "Cache.condemn:before", "pins are not kept")
    with pytest.raises(AssertionError):
        await hold_sound(tmp_path, registries, told(tmp_path))


async def test_an_agent_that_recovers_nothing_is_found(
    crasher: Crasher,
    registries: tuple[FaultRegistry, FaultRegistry],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    crasher.run(tmp_path, "Shelf.place:before")
    monkeypatch.setattr(Shelf, "recover", lambda *_: None)
    with pytest.raises(AssertionError):
        await hold_sound(tmp_path, registries, told(tmp_path))
