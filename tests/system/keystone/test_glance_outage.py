"""A Glance that is away: who has a role notices nothing, who was let in is for ten minutes."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from registry.oci.digest import Digest
from registry.viewing.cloud import FRESH, HELD, SILENCE
from support.asking import APP, asked_for
from support.directory import Directory
from support.faultproxy import FaultProxy
from support.keystone import as_person
from support.openstack import OpenStack
from support.street import ALL, NOBODY, Street, parts, street_of


@pytest.fixture
async def proxy(openstack: OpenStack) -> AsyncIterator[FaultProxy]:
    async with FaultProxy.before(openstack.image_url) as proxy:
        yield proxy


@pytest.fixture
async def street(
    openstack: OpenStack, directory: Directory, proxy: FaultProxy, tmp_path: Path
) -> AsyncIterator[Street]:
    async with street_of(openstack, directory, tmp_path, glance=proxy.url) as street:
        yield street


async def test_the_last_answer_holds_for_ten_minutes_and_then_it_is_503(
    street: Street, proxy: FaultProxy
) -> None:
    clock = street.registry.clock
    await street.share("1")
    bob, alice = as_person(street.bob), as_person(street.alice)
    one = {"manifests/1", *parts(APP)}
    assert await street.opened(bob) == one
    proxy.spoil(".*", times=10_000, refuses=True)
    clock.ahead += FRESH + 1
    assert await street.opened(bob) == one
    token = await street.registry.sign_in(bob, street.scope)
    assert await street.opened(token) == one
    clock.ahead += HELD - FRESH
    for path in ("manifests/1", "manifests/2"):
        answer = await street.registry.client.get(f"/v2/{street.name}/{path}", headers=bob)
        assert (answer.status_code, "retry-after" in answer.headers) == (503, True)
    # Nor can anybody tell by it what there is.
    absent = f"{street.east.name}/none"
    answer = await street.registry.client.get(f"/v2/{absent}/manifests/1", headers=bob)
    assert answer.status_code == 503
    for name in (street.name, absent):
        asked = await street.registry.token(bob, f"repository:{name}:pull")
        assert asked.status_code == 503
        assert (await street.registry.token(NOBODY, f"repository:{name}:pull")).status_code == 503
    asked_for(await street.registry.client.get(f"/v2/{street.name}/manifests/1"))
    assert await street.opened(alice) == ALL
    await street.registry.push(alice, street.east)
    proxy.rules.clear()
    clock.ahead += SILENCE
    assert await street.opened(bob) == one


@pytest.mark.parametrize("fault", ["away", "ill"])
async def test_a_push_goes_on_that_would_mount_from_another_project(
    street: Street, proxy: FaultProxy, fault: str
) -> None:
    await street.share("1")
    proxy.spoil(".*", times=10_000, status=503 if fault == "ill" else None, refuses=True)
    mine = f"repository:{street.west.name}/mine:pull,push"
    for headers in (
        await street.registry.sign_in(as_person(street.bob), mine, street.scope),
        as_person(street.bob),
    ):
        query = {"mount": str(Digest.of(APP.config)), "from": street.name}
        url = f"/v2/{street.west.name}/mine/blobs/uploads/"
        answer = await street.registry.client.post(url, params=query, headers=headers)
        assert answer.status_code == 202
    await street.registry.push(as_person(street.bob), street.west)
