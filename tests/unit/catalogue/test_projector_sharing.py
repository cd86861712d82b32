"""From the outbox to the image service and back: who may see."""

from dataclasses import replace

import pytest

from registry.oci.names import Tag
from registry.storage.images import image_of
from registry.storage.ports.images import Image
from registry.storage.records import Member
from registry.storage.sharing import Answer, Invitation, Visibility, Withdrawal
from support.catalogue import Catalogue
from support.ledgers import HATS, SHOES, share_with

TAG = "tag:red/boots:v1"
REPOSITORY = "repository:red/boots"


class TestSharing:
    async def test_what_is_said_here_is_sent(self, catalogue: Catalogue) -> None:
        await catalogue.push("v1")
        await catalogue.settle()
        for key in (TAG, REPOSITORY):
            record = (await catalogue.record(key)).id
            for how in (
                Visibility("shared"),
                Invitation("hats"),
                Answer(Member("hats", "accepted")),
                Invitation("gloves"),
                Withdrawal("hats"),
                Visibility("public"),
            ):
                await catalogue.ledger.share_record(record, how)
                await catalogue.settle()
                await catalogue.hold_same()

    @pytest.mark.parametrize("visibility", ["private", "shared", "community", "public"])
    async def test_what_was_said_out_there_is_kept_and_believed(
        self, catalogue: Catalogue, visibility: str
    ) -> None:
        await catalogue.push("v1")
        tag = (await catalogue.record(TAG)).id
        await share_with(catalogue.ledger, tag, "hats")
        await catalogue.settle()
        catalogue.images.images[tag] = replace(catalogue.images.images[tag], visibility=visibility)
        catalogue.images.shared[tag] = {"gloves": "pending"}
        await catalogue.push("v1", "base", word="b")
        await catalogue.settle()
        assert catalogue.images.images[tag].visibility == visibility
        assert catalogue.images.shared[tag] == {"gloves": "pending"}
        assert (await catalogue.record(TAG)).visibility == visibility
        await catalogue.hold_same()

    async def test_who_is_made_a_member_while_a_record_is_sent_stays_one(
        self, catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        await catalogue.push("v1")
        tag = (await catalogue.record(TAG)).id
        await share_with(catalogue.ledger, tag, "hats", "x")
        await catalogue.settle()
        change = catalogue.images.change

        async def share_meanwhile(before: Image, after: Image) -> None:
            await change(before, after)
            if after.id == tag:
                catalogue.images.shared[tag]["gloves"] = "pending"

        monkeypatch.setattr(catalogue.images, "change", share_meanwhile)
        await catalogue.push("v1", "base", word="b")
        await catalogue.settle()
        assert catalogue.images.shared[tag] == {"hats": "x", "gloves": "pending"}
        await catalogue.sweep()
        await catalogue.settle()
        await catalogue.hold_same()

    async def test_who_accepts_out_there_while_he_is_made_a_member_has_accepted(
        self, catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        await catalogue.push("v1")
        tag = (await catalogue.record(TAG)).id
        await share_with(catalogue.ledger, tag, "gloves", "pending")
        await catalogue.settle()
        change = catalogue.images.change

        async def accept_meanwhile(before: Image, after: Image) -> None:
            await change(before, after)
            if after.id == tag:
                catalogue.images.shared[tag]["hats"] = "accepted"

        await catalogue.ledger.share_record(tag, Invitation("hats"))
        with monkeypatch.context() as meanwhile:
            meanwhile.setattr(catalogue.images, "change", accept_meanwhile)
            await catalogue.settle()
        assert catalogue.images.shared[tag] == {"gloves": "pending", "hats": "accepted"}
        await catalogue.sweep()
        await catalogue.settle()
        assert catalogue.images.shared[tag] == {"gloves": "pending", "hats": "accepted"}
        await catalogue.hold_same()

    async def test_a_ledger_that_was_rebuilt_believes_what_is_out_there(
        self, catalogue: Catalogue
    ) -> None:
        await catalogue.push("v1")
        tag = (await catalogue.record(TAG)).id
        await catalogue.images.create(replace(image_of(await catalogue.record(TAG))))
        seen = replace(catalogue.images.images[tag], visibility="community")
        catalogue.images.images[tag] = seen
        await catalogue.settle()
        assert (await catalogue.record(TAG)).visibility == "community"
        await catalogue.hold_same()

    async def test_nobody_shares_by_a_layers_record(self, catalogue: Catalogue) -> None:
        await catalogue.push("v1", "base")
        await catalogue.settle()
        base = (await catalogue.record("layer:base")).id
        seen = replace(catalogue.images.images[base], visibility="public")
        catalogue.images.images[base] = seen
        await catalogue.ledger.outbox.mark_all()
        await catalogue.settle()
        assert (await catalogue.record("layer:base")).visibility == "private"
        assert catalogue.images.images[base] == seen

    async def test_people_may_hide_and_protect_a_tags_image(self, catalogue: Catalogue) -> None:
        await catalogue.push("v1")
        await catalogue.settle()
        tag = (await catalogue.record(TAG)).id
        seen = replace(catalogue.images.images[tag], hidden=True, protected=True)
        catalogue.images.images[tag] = seen
        await catalogue.push("v1", "base", word="b")
        await catalogue.settle()
        assert (catalogue.images.images[tag].hidden, catalogue.images.images[tag].protected) == (
            True,
            True,
        )
        await catalogue.ledger.delete_tag(SHOES, Tag.parse("v1"))
        await catalogue.settle()
        assert tag not in catalogue.images.images

    async def test_a_look_alike_gains_nothing(self, catalogue: Catalogue) -> None:
        await catalogue.push("v1", "base")
        await catalogue.settle()
        for key in (TAG, "layer:base", REPOSITORY):
            mine = image_of(await catalogue.record(key))
            copy = replace(mine, id=f"copy of {key}", owner="hats", visibility="public")
            await catalogue.images.create(copy)
        copies = {image for image in catalogue.images.images if image.startswith("copy")}
        await catalogue.ledger.outbox.mark_all()
        await catalogue.settle()
        report = await catalogue.sweep(1)
        assert (report.shared, report.restored) == (0, 0)
        for each in copies:
            assert catalogue.images.images.pop(each).owner == "hats"
        await catalogue.hold_same()
        assert await catalogue.ledger.list_repositories(projects=[HATS.project]) == []
