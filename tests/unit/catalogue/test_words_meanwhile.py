"""What is said here of who sees a record, while what is said out there is being looked at."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import pytest

from registry.storage.ports.images import Image
from registry.storage.sharing import Visibility, Withdrawal
from support.catalogue import Catalogue
from support.ledgers import SHOES, manifest, share_with

KEYS = pytest.mark.parametrize("key", ["tag:red/boots:v1", "repository:red/boots"])


@KEYS
async def test_what_is_taken_back_during_a_look_is_not_given_again(
    catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch, key: str
) -> None:
    await catalogue.push("v1")
    await catalogue.settle()
    record = (await catalogue.record(key)).id
    find_listed = catalogue.images.find_listed

    async def listed_meanwhile(images: Sequence[str]) -> list[Image]:
        await share_with(catalogue.ledger, record, "hats")
        await catalogue.settle()
        found = await find_listed(images)
        await catalogue.ledger.share_record(record, Withdrawal("hats"))
        return found

    with monkeypatch.context() as meanwhile:
        meanwhile.setattr(catalogue.images, "find_listed", listed_meanwhile)
        assert (await catalogue.sweep(1)).shared == 0
    await catalogue.settle()
    assert catalogue.images.shared[record] == {}
    assert (await catalogue.sweep(1)).shared == 0
    await catalogue.hold_same()


@KEYS
async def test_what_is_on_its_way_during_a_look_is_not_taken_for_a_word_out_there(
    catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch, key: str
) -> None:
    await catalogue.push("v1")
    await catalogue.settle()
    record = (await catalogue.record(key)).id
    find_listed = catalogue.images.find_listed

    async def listed_meanwhile(images: Sequence[str]) -> list[Image]:
        await share_with(catalogue.ledger, record, "hats")
        catalogue.images.after = 1
        await catalogue.send()
        assert catalogue.images.images[record].visibility == "shared"
        assert catalogue.images.shared[record] == {}  # half of it has arrived
        return await find_listed(images)

    with monkeypatch.context() as meanwhile:
        meanwhile.setattr(catalogue.images, "find_listed", listed_meanwhile)
        await catalogue.sweep(1)
    await catalogue.settle()
    assert catalogue.images.shared[record].keys() == {"hats"}
    await catalogue.hold_same()


@KEYS
async def test_from_whom_it_was_taken_back_before_it_was_private_does_not_see_it_shared_anew(
    catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch, key: str
) -> None:
    """An image keeps its members while it is private: whoever is left there sees it again."""
    await catalogue.push("v1")
    record = (await catalogue.record(key)).id
    await share_with(catalogue.ledger, record, "hats")
    await catalogue.settle()
    await catalogue.ledger.share_record(record, Withdrawal("hats"))
    await catalogue.ledger.share_record(record, Visibility("private"))
    await catalogue.settle()
    await share_with(catalogue.ledger, record, "gloves")
    change, seen = catalogue.images.change, set[str]()

    async def noted(before: Image, after: Image) -> None:
        await change(before, after)
        if after.id == record:
            seen.update(catalogue.images.shared[record])

    monkeypatch.setattr(catalogue.images, "change", noted)
    await catalogue.settle()
    assert seen == set()
    assert catalogue.images.shared[record].keys() == {"gloves"}
    await catalogue.hold_same()


@KEYS
@pytest.mark.parametrize("anew", [True, False])
async def test_a_record_that_ends_while_people_s_word_is_taken_over_stops_no_sender(
    catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch, key: str, *, anew: bool
) -> None:
    await catalogue.push("v1")
    record = (await catalogue.record(key)).id
    await share_with(catalogue.ledger, record, "hats")
    await catalogue.settle()
    image = catalogue.images.images[record]
    catalogue.images.shared[record] = {}
    if anew:
        catalogue.images.images[record] = replace(image, visibility="private")
        await catalogue.sweep(1)
        await catalogue.settle()
        await catalogue.ledger.share_record(record, Visibility("shared"))
    else:
        await catalogue.ledger.outbox.mark([record])
    members = catalogue.images.members

    async def end_meanwhile(wanted: str) -> Mapping[str, str]:
        if wanted == record and not ended:
            ended.append(wanted)
            await catalogue.ledger.delete_manifest(SHOES, manifest("boots").digest)
        return await members(wanted)

    ended: list[str] = []
    monkeypatch.setattr(catalogue.images, "members", end_meanwhile)
    await catalogue.settle()
    assert ended == [record]
    assert catalogue.images.images == {}
