"""What callers see in a real Glance with their own tokens: rights across projects rest on it."""

import uuid
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field, replace

import pytest

from registry.oci.errors import StorageUnavailable
from registry.storage.glance import GlanceCallerImages, GlanceImageService, caller
from registry.storage.glance.client import GlanceClient
from registry.storage.ports.images import Image
from support.directory import Directory, Place, directory_of
from support.faultproxy import FaultProxy
from support.glance import Looker, images_of
from support.openstack import OpenStack
from support.swift import service_session


@pytest.fixture(scope="module")
def directory(openstack: OpenStack) -> Iterator[Directory]:
    with directory_of(openstack) as directory:
        yield directory


@pytest.fixture
async def images(openstack: OpenStack) -> AsyncIterator[GlanceImageService]:
    async with images_of(openstack) as images:
        yield images


@pytest.fixture
async def seen_by(openstack: OpenStack) -> AsyncIterator[GlanceCallerImages]:
    found = GlanceCallerImages(GlanceClient(service_session(openstack), timeout=10))
    yield found
    await found.close()


@dataclass
class Street:
    """Images of east's, and tokens of those who look at them."""

    images: GlanceImageService
    east: Place
    west: Place
    tokens: dict[str, str | None] = field(default_factory=dict)

    async def make(self, visibility: str = "private", **fields: object) -> str:
        bare = Image(id=str(uuid.uuid4()), owner=self.east.id, visibility=visibility)
        await self.images.create(replace(bare, **fields))  # type: ignore[arg-type]
        return bare.id

    async def change(self, image: str, visibility: str) -> None:
        before = await self.images.find(image)
        await self.images.change(before, replace(before, visibility=visibility))


@pytest.fixture
def street(directory: Directory, images: GlanceImageService) -> Street:
    east, west = directory.project(), directory.project()
    alice, bob = directory.member(east, role="reader"), directory.member(west, role="reader")
    street = Street(images, east, west)
    street.tokens = {
        "alice": directory.token(alice, east),
        "bob": directory.token(bob, west),
        "nobody": None,
        "unscoped": directory.token(bob),
        "forged": "gAAAAA" + "x" * 180,
    }
    return street


async def who_sees(street: Street, seen_by: GlanceCallerImages, image: str) -> set[str]:
    """By a look at it alone, which one among others has to agree with."""
    found = set()
    for who, token in street.tokens.items():
        alone = await seen_by.find_seen(token, street.east.id, [image])
        if alone:
            found.add(who)
    return found


async def test_who_sees_an_image_is_what_glance_says(
    street: Street, seen_by: GlanceCallerImages
) -> None:
    image = await street.make()
    assert await who_sees(street, seen_by, image) == {"alice"}
    await street.change(image, "shared")
    assert await who_sees(street, seen_by, image) == {"alice"}
    await street.images.add_member(image, street.west.id, "rejected")
    for status in ("pending", "accepted", "rejected"):
        await street.images.set_member(image, street.west.id, status)
        assert await who_sees(street, seen_by, image) == {"alice", "bob"}, status
    await street.images.remove_member(image, street.west.id)
    assert await who_sees(street, seen_by, image) == {"alice"}
    await street.change(image, "community")
    assert await who_sees(street, seen_by, image) == {"alice", "bob"}
    await street.change(image, "public")
    assert await who_sees(street, seen_by, image) == {"alice", "bob", "nobody"}


async def test_many_are_seen_as_each_alone(street: Street, seen_by: GlanceCallerImages) -> None:
    made = {word: await street.make(word) for word in ("private", "shared", "community", "public")}
    for status in ("pending", "accepted", "rejected"):
        made[status] = await street.make("shared")
        await street.images.add_member(made[status], street.west.id, status)
    every = [*made.values(), str(uuid.uuid4())]
    for token in street.tokens.values():
        alone = [await seen_by.find_seen(token, street.east.id, [each]) for each in every]
        together = await seen_by.find_seen(token, street.east.id, every)
        assert together == frozenset().union(*alone)
    both = await seen_by.find_seen(street.tokens["bob"], street.east.id, every)
    assert both == {made[word] for word in made.keys() - {"private", "shared"}}


async def test_an_image_of_another_project_is_nobodys_right(
    street: Street, seen_by: GlanceCallerImages
) -> None:
    image = await street.make("public")
    for token in street.tokens.values():
        assert not await seen_by.find_seen(token, street.west.id, [image])
        assert not await seen_by.find_seen(token, street.west.id, [image, str(uuid.uuid4())])


async def test_a_hidden_image_is_seen_alone(street: Street, seen_by: GlanceCallerImages) -> None:
    whole = await street.make("public", hidden=True, protected=True)
    assert await seen_by.find_seen(None, street.east.id, [whole]) == {whole}
    await street.images.delete(whole)
    assert not await seen_by.find_seen(None, street.east.id, [whole])


async def test_what_looks_alike_is_not_it(
    openstack: OpenStack, street: Street, seen_by: GlanceCallerImages
) -> None:
    """bob makes a record of his own that says all that the true one says, the digests too."""
    properties = {"oci_kind": "tag", "oci_repository": "app", "oci_digest": "sha256:1"}
    true = await street.make(name="app:1", properties=properties)
    bob = Looker(openstack, "bob")
    likeness = str(uuid.uuid4())
    assert bob.make(id=likeness, name="app:1", visibility="community").is_success
    assert bob.make(id=likeness, owner=street.east.id).status_code in {403, 409}
    assert bob.make(id=true).status_code == 409
    bob.close()
    token = openstack.token("bob")
    for asked in ([true], [likeness], [true, likeness]):
        assert not await seen_by.find_seen(token, street.east.id, asked)


async def test_a_glance_that_is_away_or_ill_is_not_a_no(
    openstack: OpenStack, street: Street, images: GlanceImageService
) -> None:
    image = await street.make("public")
    token = street.tokens["alice"]
    async with FaultProxy.before(openstack.image_url) as proxy:
        client = GlanceClient(service_session(openstack), endpoint=proxy.url, timeout=5)
        seen_by = GlanceCallerImages(client)
        assert await seen_by.find_seen(token, street.east.id, [image]) == {image}
        proxy.spoil(".*", times=99, status=503)
        for who in (token, None):
            for asked in ([image], [image, str(uuid.uuid4())]):
                with pytest.raises(StorageUnavailable):
                    await seen_by.find_seen(who, street.east.id, asked)
        await seen_by.close()
    gone = GlanceClient(service_session(openstack), endpoint=proxy.url, timeout=5)
    seen_by = GlanceCallerImages(gone)
    with pytest.raises(StorageUnavailable):
        await seen_by.find_seen(token, street.east.id, [image])
    await seen_by.close()
    assert (await images.find(image)).visibility == "public"


async def test_nobody_waits_behind_too_many(
    street: Street, seen_by: GlanceCallerImages, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(caller, "WAITING", 0)
    with pytest.raises(StorageUnavailable, match="too many"):
        await seen_by.find_seen(None, street.east.id, [str(uuid.uuid4())])
