"""What is said of who sees a record, here and out there, while attempts to send it break off."""

from dataclasses import replace

import pytest

from registry.storage.records import Member
from registry.storage.sharing import Answer, Invitation, SharingChange, Visibility, Withdrawal
from support.catalogue import Catalogue

TAG = "tag:red/boots:v1"
REPOSITORY = "repository:red/boots"
KEYS = pytest.mark.parametrize("key", [TAG, REPOSITORY])
LOST = pytest.mark.parametrize("lost", range(1, 9))
"""How many answers."""


async def say_out_there(catalogue: Catalogue, record: str, visibility: str, *members: str) -> None:
    """As people do in Glance: nothing of theirs is lost."""
    image = catalogue.images.images[record]
    catalogue.images.images[record] = replace(image, visibility=visibility)
    for member in members:
        catalogue.images.shared[record][member] = "pending"


@KEYS
@pytest.mark.parametrize("visibility", ["shared", "community", "public"])
async def test_what_people_say_of_an_image_whose_making_was_not_answered_stays(
    catalogue: Catalogue, key: str, visibility: str
) -> None:
    await catalogue.push("v1")
    record = (await catalogue.record(key)).id
    await catalogue.make_in_vain(record)
    members = ("hats",) if visibility == "shared" else ()
    await say_out_there(catalogue, record, visibility, *members)
    await catalogue.settle()
    assert catalogue.images.images[record].visibility == visibility
    assert dict(catalogue.images.shared[record]) == dict.fromkeys(members, "pending")
    assert (await catalogue.record(key)).visibility == visibility
    await catalogue.hold_same()


@KEYS
@LOST
async def test_what_is_said_here_arrives_whole_however_many_answers_are_lost(
    catalogue: Catalogue, key: str, lost: int
) -> None:
    await catalogue.push("v1")
    await catalogue.settle()
    record = (await catalogue.record(key)).id
    accepted = Member("hats", "accepted")
    said: tuple[tuple[SharingChange, ...], ...] = (
        (Visibility("shared"), Invitation("hats"), Invitation("gloves"), Answer(accepted)),
        (Withdrawal("gloves"), Invitation("socks")),
        (Visibility("community"),),
        (Visibility("shared"), Withdrawal("hats")),
    )
    for changes in said:
        for how in changes:
            await catalogue.ledger.share_record(record, how)
        wanted = await catalogue.record(key), await catalogue.ledger.list_members(record)
        catalogue.images.after = lost
        await catalogue.settle()
        present = await catalogue.record(key), await catalogue.ledger.list_members(record)
        assert present == wanted
        await catalogue.hold_same()


@KEYS
@LOST
async def test_what_is_said_anew_between_two_attempts_counts(
    catalogue: Catalogue, key: str, lost: int
) -> None:
    await catalogue.push("v1")
    record = (await catalogue.record(key)).id
    for how in (Visibility("shared"), Invitation("hats"), Invitation("gloves")):
        await catalogue.ledger.share_record(record, how)
    catalogue.images.after = lost
    await catalogue.send()
    await catalogue.ledger.share_record(record, Withdrawal("hats"))
    catalogue.images.after = lost
    catalogue.clock.now += 60
    await catalogue.send()
    await catalogue.ledger.share_record(record, Visibility("private"))
    await catalogue.settle()
    assert (await catalogue.record(key)).visibility == "private"
    assert catalogue.images.images[record].visibility == "private"
    await catalogue.ledger.share_record(record, Visibility("shared"))
    await catalogue.settle()
    assert catalogue.images.shared[record] == {"gloves": "pending"}
    await catalogue.hold_same()


@KEYS
async def test_what_people_say_while_a_change_was_not_answered_stays(
    catalogue: Catalogue, key: str
) -> None:
    await catalogue.push("v1")
    await catalogue.settle()
    record = (await catalogue.record(key)).id
    for how in (Visibility("shared"), Invitation("hats")):
        await catalogue.ledger.share_record(record, how)
    catalogue.images.after = 1
    await catalogue.send()
    await say_out_there(catalogue, record, "shared", "socks")
    await catalogue.settle()
    assert catalogue.images.shared[record]["socks"] == "pending"
    await catalogue.hold_same()
