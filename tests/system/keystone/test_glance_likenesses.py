"""Records in Glance that look like those of another project, and those that its members rewrote.

The Glance here is one in which anybody may write what only Berth should.
"""

import contextlib
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from registry import agreement, opening
from registry.auth.ports import Opening
from registry.catalogue.reconciler import Reconciler
from registry.oci.names import RepositoryName
from registry.opening import Neighbours
from registry.storage.ledger import SqlLedger
from registry.viewing.cloud import FRESH
from support.asking import APP
from support.directory import Directory
from support.faultplants import whoever_has_the_like_may_pull
from support.glance import Looker, images_of
from support.openstack import OpenStack
from support.street import NOBODY, OTHER, Street, parts, street_of


@pytest.fixture(scope="module")
def unprotected(openstack: OpenStack) -> Iterator[OpenStack]:
    with openstack.without("protection"):
        yield openstack


@pytest.fixture
async def street(
    unprotected: OpenStack, directory: Directory, tmp_path: Path
) -> AsyncIterator[Street]:
    async with street_of(unprotected, directory, tmp_path) as street:
        yield street


async def hold_that_likenesses_gain_nothing(street: Street) -> None:
    """bob's records say all that east's say, and east's own are rewritten by a member of east."""
    await street.share("1")
    token = street.directory.token(street.bob, street.west)
    with contextlib.closing(Looker(street.openstack, token=token)) as bobs:
        for key in ("", "1", "2", "both"):
            true = await street.record(key)
            shown = street.owner.show(true)
            assert shown is not None
            said = {name: value for name, value in shown.items() if name.startswith("oci_")}
            likeness = {"name": shown["name"], "visibility": "community", **said}
            assert bobs.make(**likeness).is_success
            assert bobs.make(id=true, **likeness).status_code == 409
            assert bobs.make(owner=street.east.id, **likeness).status_code == 403
            assert bobs.set(true, visibility="shared").status_code in {403, 404}
    one = await street.record("1")
    other = str(OTHER.digest)
    rewritten = street.owner.set(
        one, oci_digest=other, oci_tag="2", oci_children=other, parent_id=await street.record("2")
    )
    assert rewritten.is_success, rewritten.text
    street.registry.clock.ahead += FRESH
    expected = {"manifests/1", *parts(APP)}
    for way, headers in (await street.ways()).items():
        assert await street.opened(headers) == expected, way
    assert await street.opened(await street.registry.sign_in(NOBODY, street.scope)) == set()


async def test_likenesses_gain_nothing_nor_after_a_look_or_a_rebuild(
    street: Street, tmp_path: Path
) -> None:
    await hold_that_likenesses_gain_nothing(street)
    storage = street.registry.app.state.storage
    async with images_of(street.openstack) as images:
        sightings = street.ledger.sightings
        reconciler = Reconciler(storage, street.ledger.outbox, sightings, images)
        report = await reconciler.sweep()
    assert report.shared >= 1
    street.registry.clock.ahead += FRESH
    expected = {"manifests/1", *parts(APP)}
    for way, headers in (await street.ways()).items():
        assert await street.opened(headers) == expected, way
    await agreement.settle(storage)
    fresh = SqlLedger(f"sqlite:///{tmp_path}/rebuilt.db", projecting=True)
    await fresh.migrate()
    await agreement.rebuild(storage.journal, fresh, lambda _: None)
    neighbours = street.registry.app.state.guard.neighbours
    bob = await street.registry.identity.authenticate(street.bob.name, street.bob.password)
    app = RepositoryName(street.east.id, "app")
    rebuilt = Neighbours(neighbours.viewer, fresh.sightings)
    found = await opening.find(rebuilt, bob, app)
    await fresh.close()
    assert found == Opening(tags=frozenset({"1"}), manifests=frozenset({APP.digest}))


async def test_a_link_granted_from_a_property_would_be_found(
    street: Street, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A planted fault: records are looked for by what they say, not by the ledger's ids."""

    whoever_has_the_like_may_pull(monkeypatch)
    with pytest.raises(AssertionError, match="password"):
        await hold_that_likenesses_gain_nothing(street)
