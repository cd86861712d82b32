"""ImageService: the model, and real Glances as operators set them up."""

import uuid
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from typing import Any

import pytest

from contract.image_service_contract import ImageServiceContract, a_layer
from registry.oci.errors import StorageUnavailable
from registry.storage.glance import GlanceImageService
from registry.storage.memory.images import MemoryImageService
from registry.storage.ports.images import Absent, Image, Refused, Taken
from support.faultproxy import FaultProxy
from support.glance import Looker, images_of
from support.openstack import OpenStack


@pytest.fixture
async def images(openstack: OpenStack) -> AsyncIterator[GlanceImageService]:
    async with images_of(openstack) as images:
        yield images


@pytest.fixture
def looker(openstack: OpenStack) -> Iterator[Looker]:
    """The service user, looking at the documents themselves."""
    looker = Looker(openstack)
    yield looker
    looker.close()


@pytest.fixture
def east(openstack: OpenStack) -> str:
    return openstack.projects["east"]


@pytest.fixture
def west(openstack: OpenStack) -> str:
    return openstack.projects["west"]


@pytest.fixture
async def proxy(openstack: OpenStack) -> AsyncIterator[FaultProxy]:
    async with FaultProxy.before(openstack.image_url) as proxy:
        yield proxy


@pytest.fixture
async def behind(openstack: OpenStack, proxy: FaultProxy) -> AsyncIterator[GlanceImageService]:
    """The same Glance through the proxy."""
    async with images_of(openstack, proxy.url) as images:
        yield images


class TestMemoryImageService(ImageServiceContract):
    @pytest.fixture
    def images(self) -> MemoryImageService:
        return MemoryImageService()

    @pytest.fixture
    def east(self) -> str:
        return "e" * 32

    @pytest.fixture
    def west(self) -> str:
        return "f" * 32


class TestGlanceImageService(ImageServiceContract):
    """The cloud's own, where the formats have docker among them."""


class TestGlance:
    async def test_a_record_is_an_active_docker_image_of_no_bytes(
        self, images: GlanceImageService, looker: Looker, east: str
    ) -> None:
        layer = a_layer(east)
        await images.create(layer)
        shown = looker.show(layer.id)
        assert shown is not None
        formats = (shown["disk_format"], shown["container_format"])
        assert formats == ("docker", "docker")
        assert (shown["status"], shown["size"], shown["owner"]) == ("active", 0, east)

    async def test_the_tags_and_the_quota_of_a_record_are_refusals(
        self, images: GlanceImageService, east: str
    ) -> None:
        many = {f"oci_{number}": "" for number in range(129)}
        with pytest.raises(Refused, match=r"413 to POST: .*properties"):
            await images.create(a_layer(east, properties=many))
        with pytest.raises(Refused, match=r"400 to POST: .*4 byte unicode"):
            await images.create(a_layer(east, name="\U0001f600"))
        with pytest.raises(Refused, match="400 to POST"):
            await images.create(a_layer(east, id="no-uuid"))

    async def test_another_projects_image_holds_its_id(
        self, openstack: OpenStack, images: GlanceImageService, east: str, west: str
    ) -> None:
        bob = Looker(openstack, "bob")
        theirs = str(uuid.uuid4())
        assert bob.make(id=theirs, name="mine").is_success
        bob.close()
        with pytest.raises(Taken):
            await images.create(a_layer(east, id=theirs))
        found = await images.find(theirs)
        assert (found.owner, found.name, found.active) == (west, "mine", False)

    async def test_a_glance_that_nobody_prepared_takes_raw_and_refuses_other_projects(
        self, openstack: OpenStack, looker: Looker, east: str
    ) -> None:
        mine = a_layer(openstack.projects["service"])
        with openstack.without("docker", "policy"):
            async with images_of(openstack) as images:
                await images.create(mine)
                assert await images.find(mine.id) == mine
                with pytest.raises(Refused, match="403 to POST"):
                    await images.create(a_layer(east))
        shown = looker.show(mine.id)
        assert shown is not None
        assert (shown["disk_format"], shown["status"]) == ("raw", "active")

    async def test_a_wrong_password_is_not_told_on(self, openstack: OpenStack, east: str) -> None:
        async with images_of(openstack, password="not-this-one") as images:  # noqa: S106
            with pytest.raises(StorageUnavailable) as refused:
                await images.create(a_layer(east))
        assert refused.value.__cause__ is None
        assert refused.value.__context__ is None
        assert "not-this-one" not in str(refused.value)

    async def test_an_address_with_and_without_its_version_is_the_same(
        self, openstack: OpenStack, east: str
    ) -> None:
        for ending in ("", "/", "/v2", "/v2/"):
            async with images_of(openstack, openstack.image_url + ending) as images:
                with pytest.raises(Absent):
                    await images.find(a_layer(east).id)


class TestFaults:
    """What only a spoilt connection shows."""

    @pytest.mark.parametrize(
        "fault",
        [{"status": 500}, {"status": 503}, {"status": 409}, {"status": 429}, {"refuses": True}],
    )
    async def test_what_may_pass_is_no_refusal(
        self, behind: GlanceImageService, proxy: FaultProxy, east: str, fault: dict[str, Any]
    ) -> None:
        layer = a_layer(east)
        await behind.create(layer)
        for method, ask in (
            ("GET", behind.find(layer.id)),
            ("PATCH", behind.change(layer, replace(layer, name="x"))),
            ("DELETE", behind.delete(layer.id)),
        ):
            proxy.spoil(f"{method} /v2/images/", **fault)
            with pytest.raises(StorageUnavailable):
                await ask
        assert await behind.find(layer.id) == layer

    async def test_a_record_whose_data_did_not_arrive_is_completed_later(
        self, behind: GlanceImageService, proxy: FaultProxy, east: str
    ) -> None:
        layer = a_layer(east)
        proxy.spoil("PUT .*/file", status=503)
        with pytest.raises(StorageUnavailable):
            await behind.create(layer)
        found = await behind.find(layer.id)
        assert not found.active
        await behind.change(found, layer)
        assert await behind.find(layer.id) == layer

    async def test_a_lost_answer_leaves_what_was_made(
        self, behind: GlanceImageService, proxy: FaultProxy, east: str
    ) -> None:
        layer = a_layer(east)
        proxy.spoil("POST /v2/images ", loses_answer=True)
        with pytest.raises(StorageUnavailable):
            await behind.create(layer)
        with pytest.raises(Taken):
            await behind.create(layer)
        assert await behind.find(layer.id) == Image(
            id=layer.id, owner=east, hidden=True, protected=True,
            properties=layer.properties, active=False,
        )  # fmt: skip

    async def test_a_glance_that_is_away_says_so_and_comes_back(
        self, openstack: OpenStack, images: GlanceImageService, east: str
    ) -> None:
        layer = a_layer(east)
        await images.create(layer)
        with openstack.stopped("glance"), pytest.raises(StorageUnavailable):
            await images.find(layer.id)
        assert await images.find(layer.id) == layer
