"""Images of a real registry, brought to a host: what lies there, for whom, and what does not."""

import asyncio
import json
import stat
from collections import Counter
from pathlib import Path

import pytest

from hostimages.content import LayerProgress
from hostimages.errors import (
    CacheUnusable,
    ImageInvalid,
    ImageUnknown,
    LayerRefused,
    PullDenied,
    ReferenceInvalid,
    RegistryUnavailable,
)
from hostimages.reference import Credential, ImageReference
from hostimages.registry_client import Repository
from hostimages.settings import Patience, RegistrySettings
from hostimages.wire import Watch
from registry.oci.digest import Digest
from support.environment import free_port, many_files_open
from support.hostimages import Blob, Handmade, content_of, ensure, files, left_over, opened
from support.images import Images as RealImages
from support.roundtrip import new_repository
from support.server import ALICE, Server

BASE = files({"etc/issue": b"base\n", "bin/tool": b"tool" * 500})
UPPER = files({"etc/issue": b"upper\n"})
EMPTY = bytes(10240)


async def test_an_image_lies_unpacked_topmost_layer_first(server: Server, tmp_path: Path) -> None:
    image = Handmade.of([BASE, UPPER])
    reference = image.push(server, new_repository())
    async with opened(tmp_path / "cache") as images:
        brought = await ensure(images, reference)
        assert str(brought.digest) == image.digest
        assert brought.config["config"] == {"Cmd": ["/bin/sh"]}
        assert brought.config_bytes == image.config
        assert len(brought.chain) == 2
        assert content_of(brought.chain, "etc/issue") == b"upper\n"
        assert content_of(brought.chain[1:], "etc/issue") == b"base\n"
        assert left_over(tmp_path / "cache") == []
    assert stat.S_IMODE((tmp_path / "cache").stat().st_mode) == 0o700


async def test_a_layer_that_changes_nothing_has_no_directory(
    server: Server, tmp_path: Path
) -> None:
    reference = Handmade.of([BASE, EMPTY, EMPTY]).push(server, new_repository())
    async with opened(tmp_path / "cache") as images:
        brought = await ensure(images, reference)
        assert len(brought.chain) == 1
        assert len(list((tmp_path / "cache" / "layers").iterdir())) == 1
        report = await images.cache()
        assert sorted(each.inodes for each in report.layers) == [0, 5]


async def test_an_index_leads_to_this_machines_image(
    published: str, server: Server, real: RealImages, tmp_path: Path
) -> None:
    async with opened(tmp_path / "cache") as images:
        brought = await ensure(images, f"{server.address}/{published}:1")
        assert str(brought.digest) == real.index.read(real.index.digest)["manifests"][0]["digest"]
        assert str(Digest.of(brought.config_bytes)) == real.index.stored().config


async def test_a_second_set_fetches_nothing(server: Server, tmp_path: Path) -> None:
    reference = Handmade.of([BASE, UPPER]).push(server, new_repository())
    async with opened(tmp_path / "cache") as images:
        first = await ensure(images, reference)
        fetched = (await images.cache()).fetched_bytes
        assert fetched > 0
        assert await ensure(images, reference) == first
        report = await images.cache()
        assert report.fetched_bytes == fetched
        assert report.hits == 2
        assert [each.pins for each in report.layers] == [2, 2]


async def test_an_agent_with_many_containers_pulls_as_any(server: Server, tmp_path: Path) -> None:
    reference = Handmade.of([BASE, UPPER]).push(server, new_repository())
    with many_files_open():
        async with opened(tmp_path / "cache") as images:
            assert await ensure(images, reference) == await ensure(images, reference)


async def test_an_agent_that_starts_again_has_what_it_had(server: Server, tmp_path: Path) -> None:
    reference = Handmade.of([BASE, UPPER]).push(server, new_repository())
    async with opened(tmp_path / "cache") as images:
        first = await ensure(images, reference, set_id="web")
    async with opened(tmp_path / "cache") as images:
        assert images.held(first.digest) == first
        await images.unpin("web", 0)
        assert images.held(first.digest) == first
        await images.unpin("web", 1)
        assert images.held(first.digest) is None
        await ensure(images, reference)
        assert (await images.cache()).fetched_bytes == 0


async def test_a_cached_layer_gives_no_right_to_it(guarded: Server, tmp_path: Path) -> None:
    repository = f"library/{new_repository().rpartition('/')[2]}"
    reference = Handmade.of([BASE]).push(guarded, repository)
    async with opened(tmp_path / "cache") as images:
        await ensure(images, reference, Credential(*ALICE.pair))
        with pytest.raises(PullDenied, match="pull"):
            await ensure(images, reference)
        with pytest.raises(PullDenied) as refused:
            await ensure(images, reference, Credential(ALICE.name, "guess-work-9"))
        assert "guess-work-9" not in str(refused.value)


async def test_who_says_he_has_a_cached_layer_must_bring_its_bytes(
    server: Server, guarded: Server, tmp_path: Path
) -> None:
    """A registry of one's own can tell anything of blobs that it does not have."""
    secret = Blob.gzipped(files({"etc/secret": b"for members only\n"}))
    repository = f"library/{new_repository().rpartition('/')[2]}"
    reference = Handmade.of([secret]).push(guarded, repository)
    liar = Blob(Blob.gzipped(BASE).content, secret.diff_id)
    claimed = Handmade.of([liar]).push(server, new_repository())
    honest = Handmade.of([secret]).push(server, new_repository())
    async with opened(tmp_path / "cache") as images:
        await ensure(images, reference, Credential(*ALICE.pair))
        with pytest.raises(LayerRefused, match="as the image's config says"):
            await ensure(images, claimed)
        before = (await images.cache()).fetched_bytes
        await ensure(images, honest)  # it has the very bytes, so it learns nothing new
        report = await images.cache()
        assert report.fetched_bytes == before + len(secret.content)
        assert left_over(tmp_path / "cache") == []
        await ensure(images, honest)
        assert (await images.cache()).fetched_bytes == report.fetched_bytes


async def test_what_a_registry_lacks_is_said(server: Server, tmp_path: Path) -> None:
    reference = Handmade.of([BASE]).push(server, new_repository())
    async with opened(tmp_path / "cache") as images:
        with pytest.raises(ImageUnknown, match="has no manifest 2"):
            await ensure(images, f"{reference[:-1]}2")
        with pytest.raises(ImageUnknown):
            await ensure(images, f"{reference}@sha256:{'0' * 64}")
        with pytest.raises(ReferenceInvalid, match="names no registry"):
            await ensure(images, "hulk.test-prod")
        with pytest.raises(RegistryUnavailable, match="cannot be reached"):
            await ensure(images, f"127.0.0.1:{free_port()}/library/x:1")


async def test_an_image_for_another_system_is_refused(server: Server, tmp_path: Path) -> None:
    reference = Handmade.of([BASE], os="windows").push(server, new_repository())
    async with opened(tmp_path / "cache") as images:
        with pytest.raises(ImageInvalid, match="windows"):
            await ensure(images, reference)


def answered(server: Server, repository: str) -> Counter[tuple[str, str]]:
    """What the registry says that it was asked for in a repository, and how often."""
    lines = [json.loads(line) for line in server.log.read_text().splitlines() if line[:1] == "{"]
    below = f"/v2/{repository}/"
    return Counter(
        (each["method"], each["path"].removeprefix(below))
        for each in lines
        if each.get("path", "").startswith(below)
    )


async def test_fifty_sets_that_want_one_image_fetch_each_layer_once(
    server: Server, tmp_path: Path
) -> None:
    layers = [files({f"srv/{n}": bytes([n]) * 200_000}) for n in range(5)]
    image = Handmade.of(layers)
    repository = new_repository()
    reference = image.push(server, repository)
    async with opened(tmp_path / "cache") as images:
        brought = await asyncio.gather(*(ensure(images, reference) for _ in range(50)))
        asked = answered(server, repository)
        blobs = list(map(Digest.of, (*(each.content for each in image.layers), image.config)))
        assert {each: asked["GET", f"blobs/{each}"] for each in blobs} == dict.fromkeys(blobs, 1)
        assert sum(asked[each] for each in asked if each[0] == "GET" and "blobs" in each[1]) == 6
        assert len(set(brought)) == 1
        report = await images.cache()
        assert report.fetched_layers == 5
        assert report.fetched_bytes == sum(len(each.content) for each in image.layers)
        assert [each.pins for each in report.layers] == [50] * 5


async def test_one_agent_at_a_time_uses_a_cache(tmp_path: Path) -> None:
    async with opened(tmp_path / "cache"):
        with pytest.raises(CacheUnusable, match="another agent"):
            async with opened(tmp_path / "cache"):
                pass


async def test_a_layer_that_came_twice_stays_where_it_is(server: Server, tmp_path: Path) -> None:
    """A job whose last waiter left may still end well beside the next: roots may stand on it."""
    reference = Handmade.of([BASE]).push(server, new_repository())
    async with opened(tmp_path / "cache") as images:
        brought = await ensure(images, reference)
        before = brought.chain[0].stat().st_ino
        where = ImageReference.parse(reference)
        source = Repository(images._wire, RegistrySettings(), Patience(), where, None)
        found = await images._puller.find(source, where)
        layer = found.layers[0]
        again = images._puller._content.fetch
        await asyncio.to_thread(again, source, layer, Watch(Patience()), LayerProgress(layer))
        assert brought.chain[0].stat().st_ino == before
        assert left_over(tmp_path / "cache") == []
        assert await images.check() == []
