"""A ledger that was made anew out of the journal, over an image service that has its records."""

from dataclasses import replace
from pathlib import Path

from registry.oci.names import Tag
from registry.storage.ledger import SqlLedger
from support.catalogue import Catalogue, catalogue_over
from support.ledgers import SHOES, Template, share_with


async def test_it_finds_its_records_by_their_ids_and_believes_who_sees_them(
    catalogue: Catalogue, template: Template, tmp_path: Path
) -> None:
    await catalogue.push("v1", "base", "app")
    await catalogue.push("v2", "base", word="b")
    tag = await catalogue.record("tag:red/boots:v1")
    await share_with(catalogue.ledger, tag.id, "hats")
    await catalogue.settle()
    lost = await catalogue.record("tag:red/boots:v2")
    await catalogue.ledger.delete_tag(SHOES, Tag.parse("v2"))
    await catalogue.storage.flusher.flush_all()
    # What was not sent yet, and what was said out there and not seen yet:
    assert lost.id in catalogue.images.images
    seen = replace(catalogue.images.images[tag.id], visibility="private")
    catalogue.images.images[tag.id] = seen

    url = await template.copy(tmp_path / "anew.db")
    anew = SqlLedger(url, clock=catalogue.clock, projecting=True)
    lines = [line async for line in catalogue.storage.journal.read()]
    await anew.replay(lines)
    journal = catalogue.storage.journal
    rebuilt = catalogue_over(anew, catalogue.images, catalogue.clock, journal=journal)
    used = set(catalogue.images.used)
    await rebuilt.settle()
    await rebuilt.hold_same()
    assert catalogue.images.used == used
    assert lost.id not in catalogue.images.images
    assert (await rebuilt.record("tag:red/boots:v1")).id == tag.id
    assert (await rebuilt.record("tag:red/boots:v1")).visibility == "private"
    await rebuilt.storage.flusher.close()
    await anew.close()
