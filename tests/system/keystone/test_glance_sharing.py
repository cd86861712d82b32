"""Two projects of a real cloud: what one shares by its Glance the other pulls, until taken back."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from registry.opening import Neighbours
from registry.storage.sharing import Withdrawal
from registry.viewing.cloud import FRESH
from registry.viewing.ledger import LedgerViewer
from support.asking import APP
from support.directory import Directory
from support.imagecalls import ARM
from support.keystone import TOKEN_SECONDS, as_person
from support.ledgers import share_with
from support.openstack import OpenStack
from support.street import ALL, NOBODY, OTHER, Street, parts, street_of

SIX_MINUTES = 360


@pytest.fixture
async def street(
    openstack: OpenStack, directory: Directory, tmp_path: Path
) -> AsyncIterator[Street]:
    async with street_of(openstack, directory, tmp_path) as street:
        yield street


async def test_a_tag_then_the_repository_then_nothing_however_he_signs_in(street: Street) -> None:
    for way, headers in (await street.ways()).items():
        assert await street.opened(headers) == set(), way
    await street.share("1")
    street.registry.clock.ahead += FRESH
    for way, headers in (await street.ways()).items():
        assert await street.opened(headers) == {"manifests/1", *parts(APP)}, way
    await street.share("")
    street.registry.clock.ahead += FRESH
    before = await street.ways()
    for way, headers in before.items():
        assert await street.opened(headers) == ALL, way
    await street.take_back("")
    await street.take_back("1")
    street.registry.clock.ahead += SIX_MINUTES
    for ways in (before, await street.ways()):
        for way, headers in ways.items():
            assert await street.opened(headers) == set(), way


async def test_an_index_opens_its_images(street: Street) -> None:
    await street.share("both")
    for way, headers in (await street.ways()).items():
        assert await street.opened(headers) == {"manifests/both", *parts(APP, ARM)}, way


async def test_what_is_public_is_pulled_without_a_name(street: Street) -> None:
    assert await street.opened(await street.registry.sign_in(NOBODY, street.scope)) == set()
    await street.show("2", "public")
    street.registry.clock.ahead += FRESH
    for way, headers in (await street.ways(public=True)).items():
        assert await street.opened(headers) == {"manifests/2", *parts(OTHER)}, way
    assert await street.pulls(NOBODY, "manifests/2") == 401  # he may have a right to more
    await street.show("", "public")
    street.registry.clock.ahead += FRESH
    ways = await street.ways(public=True)
    for way, headers in [*ways.items(), ("nothing at all", NOBODY)]:
        assert await street.opened(headers) == ALL, way
    await street.show("", "community")
    await street.show("2", "private")
    street.registry.clock.ahead += FRESH
    for way, headers in (await street.ways(public=True)).items():
        assert await street.opened(headers) == (set() if way == "nobody's Bearer" else ALL), way
    # Of the anonymous it is asked at each request, whatever the token was given for.
    assert await street.opened(ways["nobody's Bearer"]) == set()


async def test_a_token_is_as_good_as_the_sharing_was_and_for_five_minutes(street: Street) -> None:
    await street.share("1")
    headers = await street.registry.sign_in(as_person(street.bob), street.scope)
    await street.take_back("1")
    assert await street.pulls(headers, "manifests/1") == 200
    # The answer that it was made from is of a minute ago at most.
    street.registry.clock.ahead += FRESH
    anew = await street.registry.sign_in(as_person(street.bob), street.scope)
    assert await street.pulls(anew, "manifests/1") == 401
    assert await street.pulls(as_person(street.bob), "manifests/1") == 403
    street.registry.clock.ahead += TOKEN_SECONDS - FRESH
    assert await street.pulls(headers, "manifests/1") == 401


async def test_what_glance_deleted_opens_nothing(street: Street) -> None:
    await street.share("1")
    assert await street.pulls(as_person(street.bob), "manifests/1") == 200
    assert street.owner.delete(await street.record("1")).status_code == 204
    street.registry.clock.ahead += FRESH
    assert await street.pulls(as_person(street.bob), "manifests/1") == 403


async def test_who_left_the_project_that_it_is_shared_with_pulls_no_more(street: Street) -> None:
    await street.share("")
    assert await street.opened(as_person(street.bob)) == ALL
    street.directory.take(street.bob, "member", street.west)
    street.registry.clock.ahead += FRESH + 1
    assert await street.opened(as_person(street.bob)) == set()


async def test_a_shared_blob_is_mounted(street: Street) -> None:
    await street.share("1")
    both = await street.registry.sign_in(
        as_person(street.bob), f"repository:{street.west.name}/mine:pull,push", street.scope
    )
    (blob, *_), (other, *_) = (sorted(parts(each)) for each in (APP, OTHER))
    assert blob.startswith("blobs/")
    for headers in (both, as_person(street.bob)):
        for path, status in ((blob, 201), (other, 202)):
            query = {"mount": path.removeprefix("blobs/"), "from": street.name}
            url = f"/v2/{street.west.name}/mine/blobs/uploads/"
            answer = await street.registry.client.post(url, params=query, headers=headers)
            assert answer.status_code == status


async def test_where_records_are_the_registrys_own_it_is_the_same_rule(
    street: Street, monkeypatch: pytest.MonkeyPatch
) -> None:
    guard = street.registry.app.state.guard
    own = Neighbours(LedgerViewer(street.ledger), street.ledger.sightings)
    monkeypatch.setattr(guard, "neighbours", own)
    one = await street.record("1")
    await share_with(street.ledger, one, street.west.id, "pending")
    before = await street.ways()
    for way, headers in before.items():
        assert await street.opened(headers) == {"manifests/1", *parts(APP)}, way
    await street.ledger.share_record(one, Withdrawal(street.west.id))
    for way, headers in before.items():  # at once
        assert await street.opened(headers) == set(), way
