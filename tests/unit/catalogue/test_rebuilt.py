"""A ledger that was made anew out of the journal, over an image service that has its records."""

import contextlib
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from registry.oci.names import Tag
from registry.storage.changes import from_line
from registry.storage.folding import Fold
from registry.storage.ledger import SqlLedger
from registry.storage.records import JournalLine
from registry.storage.sharing import Invitation, SharingChange, Visibility, Withdrawal
from support.catalogue import Catalogue, catalogue_over
from support.ledgers import SHOES, Template, share_with

FOLDED = pytest.mark.parametrize("folded", [False, True])


@contextlib.asynccontextmanager
async def rebuilt_of(
    catalogue: Catalogue, template: Template, directory: Path, *, folded: bool = False
) -> AsyncIterator[Catalogue]:
    """A ledger that is made anew; *folded*: the journal was folded twice before that."""
    await catalogue.storage.flusher.flush_all()
    url = await template.copy(directory / "anew.db")
    anew = SqlLedger(url, clock=catalogue.clock, projecting=True)
    lines = [line async for line in catalogue.storage.journal.read()]
    if folded:
        lines = fold(fold(lines))
        await anew.restart("shoes", lines[0].position.sequence - 1)
    await anew.replay(lines)
    journal = catalogue.storage.journal
    rebuilt = catalogue_over(anew, catalogue.images, catalogue.clock, journal=journal)
    yield rebuilt
    await rebuilt.storage.flusher.close()
    await anew.close()


def fold(lines: list[JournalLine]) -> list[JournalLine]:
    made = Fold()
    for line in lines:
        made.look(line)
    return list(made.folded(lines))


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
    # What was not sent yet, and what was said out there and not seen yet:
    assert lost.id in catalogue.images.images
    seen = replace(catalogue.images.images[tag.id], visibility="private")
    catalogue.images.images[tag.id] = seen

    used = set(catalogue.images.used)
    async with rebuilt_of(catalogue, template, tmp_path) as rebuilt:
        await rebuilt.settle()
        await rebuilt.hold_same()
        assert catalogue.images.used == used
        assert lost.id not in catalogue.images.images
        assert (await rebuilt.record("tag:red/boots:v1")).id == tag.id
        assert (await rebuilt.record("tag:red/boots:v1")).visibility == "private"


SAID: list[tuple[SharingChange, ...]] = [
    (Visibility("private"),),
    (Withdrawal("hats"),),
    (Withdrawal("hats"), Visibility("private")),
    (Invitation("gloves"),),
    (Visibility("public"), Visibility("community")),
]


@FOLDED
@pytest.mark.parametrize("said", SAID, ids=range(len(SAID)))
@pytest.mark.parametrize("lost", range(3))
async def test_what_was_said_here_and_had_not_arrived_when_the_ledger_was_lost_arrives(
    catalogue: Catalogue, template: Template, tmp_path: Path, said: tuple[SharingChange, ...],
    lost: int, *, folded: bool,
) -> None:  # fmt: skip
    await catalogue.push("v1", "base")
    tag = (await catalogue.record("tag:red/boots:v1")).id
    await catalogue.settle()
    await share_with(catalogue.ledger, tag, "hats", "pending")
    await catalogue.settle()
    for how in said:
        await catalogue.ledger.share_record(tag, how)
    if lost:  # the last answers too
        catalogue.images.after = lost
        await catalogue.send()
        catalogue.images.after = 0
    wanted = await catalogue.record("tag:red/boots:v1")
    members = await catalogue.ledger.list_members(tag)
    async with rebuilt_of(catalogue, template, tmp_path, folded=folded) as rebuilt:
        await rebuilt.settle()
        await rebuilt.hold_same()
        found = await rebuilt.record("tag:red/boots:v1")
        assert (found.id, found.visibility) == (wanted.id, wanted.visibility)
        assert await rebuilt.ledger.list_members(tag) == members


@FOLDED
async def test_what_people_said_out_there_last_is_believed_over_what_had_not_arrived(
    catalogue: Catalogue, template: Template, tmp_path: Path, *, folded: bool
) -> None:
    await catalogue.push("v1", "base")
    tag = (await catalogue.record("tag:red/boots:v1")).id
    await catalogue.settle()
    await catalogue.ledger.share_record(tag, Visibility("shared"))
    seen = replace(catalogue.images.images[tag], visibility="community")
    catalogue.images.images[tag] = seen
    async with rebuilt_of(catalogue, template, tmp_path, folded=folded) as rebuilt:
        await rebuilt.settle()
        await rebuilt.hold_same()
        assert (await rebuilt.record("tag:red/boots:v1")).visibility == "community"


async def test_what_arrived_is_in_the_journal_once(catalogue: Catalogue) -> None:
    await catalogue.push("v1", "base")
    tag = (await catalogue.record("tag:red/boots:v1")).id
    await catalogue.settle()
    await catalogue.ledger.share_record(tag, Visibility("public"))
    for _ in range(3):
        await catalogue.ledger.outbox.mark([tag])
        await catalogue.settle()
    lines = [from_line(line.content) async for line in catalogue.storage.journal.read()]
    assert [line.agreed for line in lines if line.op == "share"] == [False, True]
