"""From the outbox to the image service: in which order."""

import pytest
from sqlalchemy import false

from registry.catalogue import projector
from registry.catalogue.projector import Outcomes
from registry.storage.ledger import leasing
from support.catalogue import Catalogue
from support.ledgers import SHOES, manifest, platform, put, put_index, tagged

TAG = "tag:red/boots:v1"


class TestOrder:
    async def test_parents_are_made_before_children_and_all_as_they_are(
        self, catalogue: Catalogue
    ) -> None:
        await catalogue.push("v1", "base", "app")
        assert await catalogue.send() == Outcomes(sent=4)
        made = [image for _, image in catalogue.images.calls]
        for image in made:
            parent = catalogue.images.images[image].properties.get("parent_id")
            assert parent is None or parent in made[: made.index(image)]
        await catalogue.hold_same()

    async def test_what_ended_goes_before_its_parents_though_it_is_protected(
        self, catalogue: Catalogue
    ) -> None:
        await catalogue.push("v1", "base", "app")
        await catalogue.settle()
        order = [(await catalogue.record(key)).id for key in (TAG, "layer:base-app", "layer:base")]
        catalogue.images.calls.clear()
        await catalogue.ledger.delete_manifest(SHOES, manifest("boots").digest)
        assert await catalogue.send() == Outcomes(ended=4)
        gone = [image for method, image in catalogue.images.calls if method == "delete"]
        assert [image for image in gone if image in order] == order
        assert catalogue.images.images == {}

    async def test_a_tag_that_moved_is_the_same_image(self, catalogue: Catalogue) -> None:
        await catalogue.push("v1", "base", word="a")
        await catalogue.settle()
        tag = (await catalogue.record(TAG)).id
        await catalogue.push("v1", "other", word="b")
        await catalogue.settle()
        top = await catalogue.record("layer:other")
        assert catalogue.images.images[tag].properties["parent_id"] == top.id
        await catalogue.hold_same()

    async def test_an_index_is_sent_with_its_platforms(self, catalogue: Catalogue) -> None:
        await catalogue.ledger.put_manifest(put(SHOES, "amd64"))
        parts = platform(SHOES, "amd64", "base", "app")
        top = tagged(SHOES, "v1", uses=(parts[-1].key,))
        children = (manifest("amd64").digest,)
        await catalogue.ledger.put_manifest(
            put_index(SHOES, "index", "v1", children=children, drafts=(*parts, *top))
        )
        await catalogue.settle()
        await catalogue.hold_same()
        assert len(catalogue.images.images) == 5

    async def test_rows_sent_out_of_order_are_found(
        self, catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(leasing, "parent_waits", lambda *_: false())
        monkeypatch.setattr(projector, "FEW", 1)
        await catalogue.push("v1", "base", "app", "more")
        catalogue.images.refuses[(await catalogue.record("layer:base")).id] = "planted"
        await catalogue.send()
        orphans = [
            image
            for image in catalogue.images.images.values()
            if image.properties.get("parent_id", image.id) not in catalogue.images.images
        ]
        assert orphans, "the order that the outbox keeps is what the tests above see"
