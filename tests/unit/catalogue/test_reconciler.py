"""From the image service to the ledger: sharing, deletions, and what is never believed."""

import logging
from collections.abc import Mapping
from dataclasses import replace

import pytest

from registry.catalogue import reconciler
from registry.catalogue.reconciler import PAGE, Report, is_braked
from registry.oci.errors import ManifestUnknown, StorageUnavailable
from registry.oci.names import Tag
from registry.storage.ledger import sightings
from registry.storage.ports.images import Image
from registry.storage.ports.projection import ABSENCE
from support.catalogue import Catalogue
from support.ledgers import SHOES, manifest

TAG = "tag:red/boots:v1"
REPOSITORY = "repository:red/boots"
V1 = Tag.parse("v1")


async def sent(catalogue: Catalogue, *tags: str) -> str:
    """The id of v1's record after *tags* were pushed and sent too."""
    for tag in ("v1", *tags):
        await catalogue.push(tag, "base")
    await catalogue.settle()
    return (await catalogue.record(TAG)).id


async def is_tagged(catalogue: Catalogue, tag: str = "v1") -> bool:
    try:
        await catalogue.ledger.find_manifest(SHOES, Tag.parse(tag))
    except ManifestUnknown:
        return False
    return True


class TestSharing:
    @pytest.mark.parametrize("key", [TAG, REPOSITORY])
    async def test_who_sees_a_record_is_believed(self, catalogue: Catalogue, key: str) -> None:
        await sent(catalogue)
        record = (await catalogue.record(key)).id
        for visibility, members in (
            ("shared", {"hats": "pending", "gloves": "accepted"}),
            ("shared", {"hats": "rejected"}),
            ("public", {}),
            ("private", {}),
        ):
            seen = replace(catalogue.images.images[record], visibility=visibility)
            catalogue.images.images[record] = seen
            catalogue.images.shared[record] = dict(members)
            assert (await catalogue.sweep(1)).shared == 1
            assert (await catalogue.record(key)).visibility == visibility
            if members:
                found = await catalogue.ledger.list_members(record)
                assert {each.project: each.status for each in found} == members
            heads = await catalogue.storage.journal.heads()
            assert heads["shoes"] == (await catalogue.ledger.heads())["shoes"]
            await catalogue.settle()
            assert (await catalogue.sweep(1)).shared == 0
            catalogue.images.shared[record] = dict(members)
            await catalogue.hold_same()

    async def test_what_was_taken_back_out_there_meanwhile_stays_taken_back(
        self, catalogue: Catalogue
    ) -> None:
        tag = await sent(catalogue)
        private = catalogue.images.images[tag]
        catalogue.images.images[tag] = replace(private, visibility="public")
        await catalogue.sweep(1)
        catalogue.images.images[tag] = private  # before anything was sent
        await catalogue.settle()
        assert catalogue.images.images[tag] == private
        assert (await catalogue.record(TAG)).visibility == "private"

    async def test_a_record_of_another_owner_says_nothing(self, catalogue: Catalogue) -> None:
        tag = await sent(catalogue)
        stolen = replace(catalogue.images.images[tag], owner="hats", visibility="public")
        catalogue.images.images[tag] = stolen
        report = await catalogue.sweep(1)
        assert (report.shared, report.restored) == (0, 1)
        await catalogue.settle()
        assert catalogue.images.images.pop(tag) == stolen
        fresh = await catalogue.record(TAG)
        assert (fresh.id != tag, fresh.visibility) == (True, "private")
        await catalogue.hold_same()

    @pytest.mark.parametrize(
        "change",
        [
            {"name": "red/boots:v2"},
            {"properties": {"oci_kind": "tag", "oci_tag": "v2"}},
            {"active": False},
        ],
    )
    async def test_what_was_rewritten_is_written_again(
        self, catalogue: Catalogue, change: Mapping[str, object]
    ) -> None:
        tag = await sent(catalogue)
        rewritten: Image = replace(catalogue.images.images[tag], **change)  # type: ignore[arg-type]
        catalogue.images.images[tag] = rewritten
        assert (await catalogue.sweep(1)).restored == 1
        await catalogue.settle()
        assert (await catalogue.record(TAG)).id == tag
        await catalogue.hold_same()

    async def test_what_people_add_stays(self, catalogue: Catalogue) -> None:
        tag = await sent(catalogue)
        properties = {**catalogue.images.images[tag].properties, "note": "ours"}
        theirs = replace(catalogue.images.images[tag], properties=properties, protected=True)
        catalogue.images.images[tag] = theirs
        assert (await catalogue.sweep(1)).restored == 0
        await catalogue.push("v1", word="b")
        await catalogue.settle()
        assert catalogue.images.images[tag].properties["note"] == "ours"


class TestDeletions:
    async def test_a_tag_goes_after_two_looks_and_into_the_trash(
        self, catalogue: Catalogue
    ) -> None:
        tag = await sent(catalogue)
        await catalogue.images.delete(tag)
        first = await catalogue.sweep(1)
        assert first == Report(looked=2, missing=1)
        assert await catalogue.sweep(ABSENCE - 1) == first
        assert await is_tagged(catalogue)
        assert await catalogue.sweep(1) == Report(looked=2, missing=1, untagged=1)
        assert not await is_tagged(catalogue)
        assert (await catalogue.ledger.find_manifest(SHOES, manifest("boots").digest)).content
        heads = await catalogue.storage.journal.heads()
        assert heads == await catalogue.ledger.heads()
        await catalogue.settle()
        await catalogue.hold_same()

    async def test_a_tag_untagged_after_one_look_is_found(
        self, catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(sightings, "ABSENCE", 0.0)
        with pytest.raises(AssertionError):
            await self.test_a_tag_goes_after_two_looks_and_into_the_trash(catalogue)

    async def test_a_record_that_was_only_not_listed_is_not_missing(
        self, catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        tag = await sent(catalogue)

        async def nothing(_: object) -> list[Image]:
            return []

        monkeypatch.setattr(catalogue.images, "find_listed", nothing)
        seen = replace(catalogue.images.images[tag], visibility="public")
        catalogue.images.images[tag] = seen
        assert await catalogue.sweep(1) == Report(looked=2, shared=1)

    async def test_a_record_that_came_back_between_is_not_missing(
        self, catalogue: Catalogue
    ) -> None:
        tag = await sent(catalogue)
        image = catalogue.images.images.pop(tag)
        assert (await catalogue.sweep(1)).missing == 1
        catalogue.images.images[tag] = image
        assert (await catalogue.sweep(ABSENCE)).missing == 0
        del catalogue.images.images[tag]
        assert (await catalogue.sweep(1)).untagged == 0
        assert await is_tagged(catalogue)

    async def test_a_tag_that_was_pushed_between_stays(self, catalogue: Catalogue) -> None:
        tag = await sent(catalogue)
        await catalogue.images.delete(tag)
        await catalogue.sweep(1)
        await catalogue.push("v1", "base")
        assert await catalogue.sweep(ABSENCE) == Report(looked=1)
        await catalogue.settle()
        assert await catalogue.sweep(2 * ABSENCE) == Report(looked=2)
        assert await is_tagged(catalogue)
        await catalogue.hold_same()

    @pytest.mark.parametrize("all_of_them", [True, False])
    async def test_an_image_service_that_lost_everything_untags_nothing(
        self, catalogue: Catalogue, caplog: pytest.LogCaptureFixture, all_of_them: bool
    ) -> None:
        await sent(catalogue)
        catalogue.images.images.clear()
        if not all_of_them:
            catalogue.images.used.clear()
        for _ in range(3):
            report = await catalogue.sweep(ABSENCE)
            assert report == Report(looked=2)
        assert "shows none of our records" in caplog.text
        assert await is_tagged(catalogue)

    async def test_the_canary_must_still_be_there_when_absence_is_noted(
        self, catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        tag = await sent(catalogue)
        await catalogue.images.delete(tag)
        listed = catalogue.images.find_listed

        async def then_lose_all(images: list[str]) -> list[Image]:
            found = await listed(images)
            catalogue.images.images.clear()
            return found

        monkeypatch.setattr(catalogue.images, "find_listed", then_lose_all)
        assert (await catalogue.sweep(1)).missing == 0
        assert all(
            not each.missing_since for each in await catalogue.ledger.sightings.list_sent(limit=9)
        )

    async def test_a_repository_that_is_missing_comes_back(self, catalogue: Catalogue) -> None:
        await sent(catalogue)
        old = (await catalogue.record(REPOSITORY)).id
        await catalogue.images.delete(old)
        assert (await catalogue.sweep(1)).restored == 0
        assert (await catalogue.sweep(ABSENCE)).restored == 1
        await catalogue.settle()
        assert (await catalogue.record(REPOSITORY)).id != old
        await catalogue.hold_same()

    async def test_the_brake_holds_all_tags(
        self, catalogue: Catalogue, caplog: pytest.LogCaptureFixture
    ) -> None:
        tags = [f"w{number}" for number in range(10)]
        await sent(catalogue, *tags)
        for tag in tags[:4]:
            await catalogue.images.delete((await catalogue.record(f"tag:red/boots:{tag}")).id)
        for _ in range(3):
            report = await catalogue.sweep(ABSENCE)
            assert (report.missing, report.untagged, report.braked) == (4, 0, True)
        alarms = [each for each in caplog.records if each.levelno == logging.ERROR]
        assert "4 tags" in alarms[0].getMessage()
        assert [await is_tagged(catalogue, tag) for tag in tags[:4]] == [True] * 4

    async def test_without_the_brake_they_would_go(
        self,
        catalogue: Catalogue,
        caplog: pytest.LogCaptureFixture,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr(reconciler, "is_braked", lambda *_: False)
        with pytest.raises(AssertionError):
            await self.test_the_brake_holds_all_tags(catalogue, caplog)

    async def test_many_pages_are_looked_through(
        self, catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(reconciler, "PAGE", 3)
        tag = await sent(catalogue, *(f"w{number}" for number in range(40)))
        await catalogue.images.delete(tag)
        await catalogue.sweep(1)
        assert await catalogue.sweep(ABSENCE) == Report(looked=42, missing=1, untagged=1)
        assert PAGE <= 100  # what one request may ask for

    async def test_while_store_and_ledger_disagree_nothing_is_done(
        self, catalogue: Catalogue
    ) -> None:
        tag = await sent(catalogue)
        await catalogue.images.delete(tag)
        await catalogue.sweep(1)
        catalogue.storage.disagreement = "planted"
        with pytest.raises(StorageUnavailable, match="planted"):
            await catalogue.sweep(ABSENCE)
        assert await is_tagged(catalogue)

    @pytest.mark.parametrize("answered", [0, 1])
    async def test_an_image_service_that_goes_away_ends_the_look(
        self, catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch, answered: int
    ) -> None:
        tag = await sent(catalogue)
        await catalogue.images.delete(tag)
        await catalogue.sweep(1)
        find, asked = catalogue.images.find, []

        async def then_fail(image: str) -> Image:
            asked.append(image)
            catalogue.images.away = len(asked) > answered
            return await find(image)

        monkeypatch.setattr(catalogue.images, "find", then_fail)
        with pytest.raises(StorageUnavailable):
            await catalogue.sweep(ABSENCE)
        assert await is_tagged(catalogue)


@pytest.mark.parametrize(
    ("missing", "tags", "braked"),
    [
        ({}, {}, False),
        ({"a": 3}, {"a": 3}, False),
        ({"a": 4}, {"a": 4}, True),
        ({"a": 4}, {"a": 39}, True),
        ({"a": 4}, {"a": 40}, False),
        ({"a": 4}, {"a": 5, "b": 1000}, True),
        ({"a": 3, "b": 3}, {"a": 30, "b": 29}, True),
        ({"a": 3, "b": 3}, {"a": 30, "b": 30}, False),
    ],
)
def test_the_brake_counts_all_and_each_project(
    missing: dict[str, int], tags: dict[str, int], braked: bool
) -> None:
    assert is_braked(missing, tags) is braked
