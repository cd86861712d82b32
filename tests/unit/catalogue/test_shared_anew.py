"""What people said out there while an image was shared, and then made it private before a look."""

from collections.abc import Mapping
from dataclasses import replace

import pytest

from registry.oci.errors import StorageUnavailable
from registry.storage.records import Member, Position
from registry.storage.sharing import (
    Answer,
    Invitation,
    Sharing,
    Visibility,
    Withdrawal,
    shared_anew,
)
from support.catalogue import Catalogue

KEYS = pytest.mark.parametrize("key", ["tag:red/boots:v1", "repository:red/boots"])
LOST = pytest.mark.parametrize("lost", range(5))
"""How many answers."""


async def shared(catalogue: Catalogue, key: str, *projects: str) -> str:
    """A record that is shared and sent; its id."""
    await catalogue.push("v1")
    record = (await catalogue.record(key)).id
    await catalogue.ledger.share_record(record, Visibility("shared"))
    for project in projects:
        await catalogue.ledger.share_record(record, Invitation(project))
        accepted = Member(project, "accepted")
        await catalogue.ledger.share_record(record, Answer(accepted))
    await catalogue.settle()
    return record


def say_privately(catalogue: Catalogue, record: str, members: Mapping[str, str]) -> None:
    catalogue.images.shared[record] = dict(members)
    image = catalogue.images.images[record]
    catalogue.images.images[record] = replace(image, visibility="private")


async def privately_out_there(
    catalogue: Catalogue, record: str, members: Mapping[str, str], *, looked: bool
) -> None:
    """Somebody makes these its members in the image service, and then makes it private."""
    say_privately(catalogue, record, members)
    if looked:
        assert (await catalogue.sweep(1)).shared == 1
    else:
        await catalogue.ledger.share_record(record, Visibility("private"))
        await catalogue.settle()


@KEYS
@LOST
@pytest.mark.parametrize("looked", [True, False])
async def test_from_whom_it_was_taken_back_out_there_does_not_see_it_shared_anew(
    catalogue: Catalogue, key: str, lost: int, *, looked: bool
) -> None:
    record = await shared(catalogue, key, "hats", "gloves")
    await privately_out_there(catalogue, record, {"gloves": "accepted"}, looked=looked)
    await catalogue.ledger.share_record(record, Visibility("shared"))
    await catalogue.ledger.share_record(record, Invitation("socks"))
    catalogue.images.after = lost
    await catalogue.settle()
    assert catalogue.images.shared[record] == {"gloves": "accepted", "socks": "pending"}
    await catalogue.hold_same()
    assert (await catalogue.sweep(1)).shared == 0


@KEYS
@LOST
async def test_with_whom_it_was_shared_out_there_sees_it_shared_anew(
    catalogue: Catalogue, key: str, lost: int
) -> None:
    record = await shared(catalogue, key, "hats")
    there = {"hats": "accepted", "gloves": "pending"}
    await privately_out_there(catalogue, record, there, looked=True)
    await catalogue.ledger.share_record(record, Visibility("shared"))
    catalogue.images.after = lost
    await catalogue.settle()
    assert catalogue.images.shared[record] == there
    await catalogue.hold_same()


@KEYS
@LOST
async def test_what_was_said_here_while_it_was_private_holds_too(
    catalogue: Catalogue, key: str, lost: int
) -> None:
    record = await shared(catalogue, key, "hats", "gloves", "socks")
    there = {"hats": "accepted", "socks": "accepted"}
    await privately_out_there(catalogue, record, there, looked=True)
    await catalogue.ledger.share_record(record, Withdrawal("hats"))
    await catalogue.ledger.share_record(record, Visibility("shared"))
    catalogue.images.after = lost
    await catalogue.settle()
    assert catalogue.images.shared[record] == {"socks": "accepted"}
    await catalogue.hold_same()


@KEYS
async def test_a_word_that_is_said_while_it_is_shared_anew_is_kept(
    catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch, key: str
) -> None:
    record = await shared(catalogue, key, "hats")
    await privately_out_there(catalogue, record, {}, looked=True)
    await catalogue.ledger.share_record(record, Visibility("shared"))
    remembered = catalogue.images.members

    async def said_meanwhile(image: str) -> Mapping[str, str]:
        if image == record and not said:
            said.append(await catalogue.ledger.share_record(record, Invitation("gloves")))
        return await remembered(image)

    said: list[object] = []
    monkeypatch.setattr(catalogue.images, "members", said_meanwhile)
    await catalogue.settle()
    assert catalogue.images.shared[record] == {"gloves": "pending"}
    await catalogue.hold_same()


@KEYS
async def test_who_was_taken_back_here_and_invited_again_sees_it(
    catalogue: Catalogue, key: str
) -> None:
    record = await shared(catalogue, key, "hats")
    await privately_out_there(catalogue, record, {"hats": "accepted"}, looked=True)
    await catalogue.ledger.share_record(record, Withdrawal("hats"))
    await catalogue.ledger.share_record(record, Visibility("shared"))
    catalogue.images.after = 2
    while record not in {each for method, each in catalogue.images.calls if "remove" in method}:
        catalogue.clock.now += 60
        await catalogue.send()
    await catalogue.ledger.share_record(record, Invitation("hats"))
    await catalogue.settle()
    assert catalogue.images.shared[record] == {"hats": "pending"}
    await catalogue.hold_same()


@KEYS
async def test_what_a_look_found_is_known_though_its_line_was_not_flushed(
    catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch, key: str
) -> None:
    record = await shared(catalogue, key, "hats")
    say_privately(catalogue, record, {})

    async def flush_in_vain(position: Position) -> None:
        raise StorageUnavailable(f"{position} cannot be written")

    with monkeypatch.context() as meanwhile:
        meanwhile.setattr(catalogue.storage.flusher, "flush", flush_in_vain)
        with pytest.raises(StorageUnavailable):
            await catalogue.sweep(1)
    await catalogue.ledger.share_record(record, Visibility("shared"))
    await catalogue.ledger.share_record(record, Invitation("gloves"))
    await catalogue.settle()
    assert catalogue.images.shared[record] == {"gloves": "pending"}
    await catalogue.hold_same()


@pytest.mark.parametrize(
    ("kept", "there", "ours", "come_to"),
    [
        ({}, {}, {}, {}),
        ({"a": "accepted"}, {"a": "accepted"}, {"a": "accepted"}, {"a": "accepted"}),
        ({"a": "accepted"}, {}, {"a": "accepted"}, {}),
        ({"a": "accepted"}, {"a": "accepted"}, {}, {}),
        ({}, {"a": "pending"}, {}, {"a": "pending"}),
        ({}, {}, {"a": "pending"}, {"a": "pending"}),
        ({"a": "pending"}, {"a": "accepted"}, {"a": "pending"}, {"a": "accepted"}),
        ({"a": "pending"}, {"a": "rejected"}, {}, {}),
        ({"a": "pending"}, {}, {"a": "accepted"}, {}),
        ({}, {"a": "rejected"}, {"a": "pending"}, {"a": "rejected"}),
    ],
)
def test_three_sides_come_to_one(
    kept: Mapping[str, str],
    there: Mapping[str, str],
    ours: Mapping[str, str],
    come_to: Mapping[str, str],
) -> None:
    found = shared_anew(tuple(kept.items()), (), there, tuple(ours.items()))
    assert dict(found) == come_to


def test_what_a_broken_off_attempt_left_is_no_word_of_people() -> None:
    tried = Sharing("shared", (("b", "accepted"),))
    kept, ours = (("a", "accepted"),), (("a", "pending"), ("c", "pending"))
    assert shared_anew(kept, (tried,), {"b": "pending"}, ours) == ours
    assert shared_anew(kept, (Sharing("private"),), {"b": "pending"}, ours) == (
        ("b", "pending"),
        ("c", "pending"),
    )
