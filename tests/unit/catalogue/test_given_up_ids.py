"""Who sees a record that gives its id up, or is missed for a moment."""

from dataclasses import replace

import pytest

from registry.catalogue import projector
from registry.storage.images import image_of
from registry.storage.ports.images import Absent, Image
from registry.storage.sharing import Invitation
from support.catalogue import Catalogue
from support.ledgers import SHOES, manifest, share_with

KEYS = pytest.mark.parametrize("key", ["tag:red/boots:v1", "repository:red/boots"])


async def shared_and_sent(catalogue: Catalogue, key: str) -> str:
    """A record that hats see; its id."""
    await catalogue.push("v1")
    record = (await catalogue.record(key)).id
    await share_with(catalogue.ledger, record, "hats")
    await catalogue.settle()
    return record


async def find_nothing(image: str) -> Image:
    raise Absent(image)


@KEYS
async def test_what_was_said_here_and_has_not_arrived_outlives_its_id(
    catalogue: Catalogue, key: str
) -> None:
    await catalogue.push("v1")
    await catalogue.settle()
    old = (await catalogue.record(key)).id
    await share_with(catalogue.ledger, old, "hats")
    await catalogue.images.delete(old)
    await catalogue.settle()
    new = (await catalogue.record(key)).id
    assert new != old
    assert catalogue.images.images[new].visibility == "shared"
    assert catalogue.images.shared[new] == {"hats": "accepted"}
    await catalogue.hold_same()


@KEYS
async def test_whom_it_was_shared_with_before_does_not_see_it_under_another_id(
    catalogue: Catalogue, key: str
) -> None:
    old = await shared_and_sent(catalogue, key)
    del catalogue.images.shared[old]["hats"]  # which nobody has seen when the image goes
    await catalogue.ledger.share_record(old, Invitation("gloves"))
    await catalogue.images.delete(old)
    await catalogue.settle()
    new = (await catalogue.record(key)).id
    assert new != old
    assert catalogue.images.shared[new] == {"gloves": "pending"}
    await catalogue.hold_same()


@KEYS
async def test_what_was_said_here_outlives_an_id_that_was_anothers_from_the_first(
    catalogue: Catalogue, key: str
) -> None:
    await catalogue.push("v1")
    old = await catalogue.record(key)
    await share_with(catalogue.ledger, old.id, "hats")
    await catalogue.images.create(replace(image_of(old), owner="gloves"))
    await catalogue.settle()
    del catalogue.images.images[old.id]
    assert catalogue.images.shared[(await catalogue.record(key)).id] == {"hats": "accepted"}
    await catalogue.hold_same()


@KEYS
async def test_what_had_arrived_goes_with_an_image_that_was_deleted_out_there(
    catalogue: Catalogue, key: str
) -> None:
    old = await shared_and_sent(catalogue, key)
    await catalogue.images.delete(old)
    await catalogue.ledger.outbox.mark([old])
    await catalogue.settle()
    new = await catalogue.record(key)
    assert (new.id != old, new.visibility) == (True, "private")
    assert await catalogue.ledger.list_members(new.id) == []
    await catalogue.hold_same()


@KEYS
async def test_an_image_that_is_not_found_for_a_moment_keeps_its_id_and_who_sees_it(
    catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch, key: str
) -> None:
    old = await shared_and_sent(catalogue, key)

    with monkeypatch.context() as meanwhile:
        meanwhile.setattr(catalogue.images, "find", find_nothing)
        await catalogue.push("v1", "base", word="b")
        await catalogue.ledger.outbox.mark([old])
        catalogue.clock.now += projector.LEASE + 1
        for _ in range(9):  # all that is due at this moment
            await catalogue.send()
    await catalogue.settle()
    assert (await catalogue.record(key)).id == old
    assert catalogue.images.shared[old] == {"hats": "accepted"}
    await catalogue.hold_same()


@KEYS
async def test_what_people_say_of_an_image_that_was_made_without_an_answer_stays(
    catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch, key: str
) -> None:
    await catalogue.push("v1")
    old = (await catalogue.record(key)).id
    await catalogue.make_in_vain(old)
    with monkeypatch.context() as meanwhile:
        shared = replace(catalogue.images.images[old], visibility="shared")
        catalogue.images.images[old] = shared
        catalogue.images.shared[old] = {"hats": "pending"}
        meanwhile.setattr(catalogue.images, "find", find_nothing)
        catalogue.clock.now += 60
        for _ in range(9):
            await catalogue.send()
    await catalogue.settle()
    assert (await catalogue.record(key)).id == old
    assert catalogue.images.shared[old] == {"hats": "pending"}
    await catalogue.hold_same()


@KEYS
@pytest.mark.parametrize("made", [True, False])
async def test_nothing_is_left_of_a_record_that_was_perhaps_sent_though_looks_miss_it(
    catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch, key: str, *, made: bool
) -> None:
    await catalogue.push("v1")
    old = (await catalogue.record(key)).id
    await catalogue.make_in_vain(old, made=made)
    await catalogue.ledger.delete_manifest(SHOES, manifest("boots").digest)
    monkeypatch.setattr(catalogue.images, "find", find_nothing)
    await catalogue.settle()
    assert catalogue.images.images == {}
