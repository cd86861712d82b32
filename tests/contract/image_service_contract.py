"""What every ImageService promises."""

import uuid
from dataclasses import replace

import pytest

from registry.storage.images import NAME, PROPERTIES, VALUE
from registry.storage.ports.images import Absent, Image, ImageService, Taken


def a_layer(owner: str, **fields: object) -> Image:
    properties = {"oci_kind": "layer", "oci_digest": f"sha256:{uuid.uuid4().hex}"}
    layer = Image(
        id=str(uuid.uuid4()), owner=owner, hidden=True, protected=True, properties=properties
    )
    return replace(layer, **fields)  # type: ignore[arg-type]


class ImageServiceContract:
    """Subclass, give the fixtures ``images``, ``east`` and ``west`` (ids of projects)."""

    async def test_what_was_made_is_found_as_it_was_made(
        self, images: ImageService, east: str
    ) -> None:
        layer = a_layer(east)
        properties = {"parent_id": layer.id, "oci_kind": "tag", "oci_empty": "", "oci_a/b~c": "é\n"}
        tag = Image(id=str(uuid.uuid4()), owner=east, name="app/web:1", properties=properties)
        for image in (layer, tag):
            await images.create(image)
            assert await images.find(image.id) == image

    async def test_what_is_as_long_as_it_may_be_is_taken(
        self, images: ImageService, east: str
    ) -> None:
        many = {f"oci_{number}": "é" * (VALUE // 2) for number in range(PROPERTIES)}
        long = a_layer(east, name="é" * NAME, properties=many)
        await images.create(long)
        assert await images.find(long.id) == long

    async def test_an_id_is_taken_once_and_for_ever(self, images: ImageService, east: str) -> None:
        layer = a_layer(east)
        await images.create(layer)
        with pytest.raises(Taken):
            await images.create(replace(layer, name="other"))
        assert await images.find(layer.id) == layer
        await images.delete(layer.id)
        with pytest.raises(Taken):
            await images.create(layer)

    async def test_what_is_protected_is_deleted_and_twice_is_no_error(
        self, images: ImageService, east: str
    ) -> None:
        for image in (a_layer(east), a_layer(east, protected=False)):
            await images.create(image)
            for _ in range(2):
                await images.delete(image.id)
                with pytest.raises(Absent):
                    await images.find(image.id)

    async def test_what_is_absent_is_said_so(self, images: ImageService, east: str) -> None:
        nobody = a_layer(east)
        for ask in (
            images.find(nobody.id),
            images.change(nobody, replace(nobody, name="x")),
            images.members(nobody.id),
            images.add_member(nobody.id, east, "pending"),
            images.set_member(nobody.id, east, "pending"),
            images.remove_member(nobody.id, east),
        ):
            with pytest.raises(Absent):
                await ask

    async def test_a_change_makes_what_differs_and_leaves_the_rest(
        self, images: ImageService, east: str
    ) -> None:
        before = a_layer(east, properties={"oci_kind": "tag", "oci_old": "1", "parent_id": "a"})
        await images.create(before)
        noted = replace(before, properties={**before.properties, "note": "mine", "oci_old": "2"})
        await images.change(before, noted)
        assert await images.find(before.id) == noted
        wanted = replace(
            before,
            name="app:2",
            visibility="public",
            hidden=False,
            protected=False,
            properties={"oci_kind": "tag", "oci_new": "", "oci_a/b~c": "3"},
        )
        await images.change(noted, wanted)
        expected = replace(wanted, properties={**wanted.properties, "note": "mine"})
        assert await images.find(before.id) == expected
        await images.change(expected, expected)
        assert await images.find(before.id) == expected

    async def test_a_list_shows_what_is_there_of_any_visibility(
        self, images: ImageService, east: str, west: str
    ) -> None:
        words = ("private", "shared", "community", "public")
        made = [a_layer(east, visibility=word) for word in words]
        made += [a_layer(west, hidden=False, protected=False)]
        for image in made:
            await images.create(image)
        absent = str(uuid.uuid4())
        found = await images.find_listed([*(each.id for each in made), absent])
        assert {each.id: each for each in found} == {each.id: each for each in made}
        assert await images.find_listed([absent]) == []

    async def test_members_come_and_go(self, images: ImageService, east: str, west: str) -> None:
        image = a_layer(east, visibility="shared")
        await images.create(image)
        assert await images.members(image.id) == {}
        with pytest.raises(Absent):
            await images.set_member(image.id, west, "accepted")
        await images.add_member(image.id, west, "pending")
        for status in ("pending", "accepted", "accepted", "rejected"):
            await images.set_member(image.id, west, status)
            assert await images.members(image.id) == {west: status}
            await images.add_member(image.id, west, "pending")
            assert await images.members(image.id) == {west: status}
        private = replace(image, visibility="private")
        await images.change(image, private)
        assert await images.members(image.id) == {}
        await images.change(private, image)
        for _ in range(2):
            await images.remove_member(image.id, west)
            assert await images.members(image.id) == {}
        for status in ("rejected", "accepted", "pending"):
            await images.add_member(image.id, west, status)
            assert await images.members(image.id) == {west: status}
            await images.remove_member(image.id, west)
