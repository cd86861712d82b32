"""What a person may ask of a digest, and what the collector answers: case by case."""

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from registry.gc import reasons, sweep
from registry.gc.plan import make
from registry.gc.policy import Rules
from registry.oci.digest import Digest
from registry.oci.names import RepositoryName, Tag
from registry.storage.flusher import Flusher
from registry.storage.ledger import SqlLedger
from registry.storage.ledger.garbage import SqlCollection
from registry.storage.memory.blobs import MemoryBlobStore
from registry.storage.memory.journal import MemoryJournal
from registry.storage.records import StoredObject
from registry.storage.storage import Storage
from support.ledgers import (
    HATS,
    MORE_SHOES,
    SHOES,
    Clock,
    Template,
    blob,
    manifest,
    put,
    put_index,
    store,
)

SOLE = blob("sole")
A, B = manifest("a").digest, manifest("b").digest
INDEX, OUTER = manifest("index").digest, manifest("outer").digest
GRACE, TRASH = 100.0, 1000.0
KEEPING = Rules(grace=GRACE, trash=TRASH, untagged=None)
DROPPING = Rules(grace=GRACE, trash=TRASH, untagged=500)


@dataclass
class Place:
    """A ledger, its collector, their clock, and the rules that hold."""

    ledger: SqlLedger
    collection: SqlCollection
    clock: Clock
    rules: Rules = KEEPING
    asked: Digest = SOLE.digest
    where: RepositoryName | None = None

    async def image(self, name: RepositoryName = SHOES, *tags: str, word: str = "a") -> None:
        await store(self.ledger, name, SOLE)
        await self.ledger.put_manifest(put(name, word, *tags, blobs=(SOLE,)))

    def pass_by(self, seconds: float) -> None:
        self.clock.now += seconds

    async def collect(self) -> None:
        journal = MemoryJournal()
        storage = Storage(MemoryBlobStore(), journal, self.ledger, Flusher(self.ledger, journal))
        plan = await make(self.collection, self.rules, self.clock.now)
        report = await sweep.execute(storage, self.collection, plan, self.rules, self.clock.now)
        assert report.links + report.blobs + report.manifests + report.trash > 0
        await storage.flusher.close()


async def a_tagged_manifest(place: Place) -> list[str]:
    await place.image(SHOES, "v1", "v2")
    place.asked = A
    return ["manifest in shoes/red/boots, pushed 2023-11-14T22:13:20Z", "stays: tagged v1, v2"]


async def a_child_of_a_tagged_index(place: Place) -> list[str]:
    await place.image()
    await place.ledger.put_manifest(put_index(SHOES, "index", "all", children=(A,)))
    place.asked = A
    return [f"stays: which the index {INDEX} names, tagged all"]


async def a_child_of_a_nested_index(place: Place) -> list[str]:
    await place.image()
    await place.ledger.put_manifest(put_index(SHOES, "index", children=(A,)))
    await place.ledger.put_manifest(put_index(SHOES, "outer", "all", children=(INDEX,)))
    place.asked = A
    return [f"stays: which the index {INDEX} names, which the index {OUTER} names, tagged all"]


async def a_referrer(place: Place) -> list[str]:
    await place.image(SHOES, "v1")
    await place.ledger.put_manifest(put(SHOES, "b", subject=A))
    place.asked = B
    return [f"stays: which is about {A}, that is here"]


async def what_a_referrer_is_about(place: Place) -> list[str]:
    await place.image(SHOES, "v1")
    await place.ledger.put_manifest(put(SHOES, "b", subject=A))
    place.asked = A
    return ["stays: tagged v1", f"{B} in {SHOES} is about it, and stays with it"]


async def a_subject_that_is_not_here(place: Place) -> list[str]:
    await place.ledger.put_manifest(put(SHOES, "b", subject=A))
    place.asked = A
    return [f"not here, but {B} in {SHOES} is about it"]


async def a_config_or_layer_of_a_tagged_image(place: Place) -> list[str]:
    await place.image(SHOES, "v1")
    place.pass_by(GRACE + 1)
    return [
        f"blob of {SOLE.size} bytes, object {SOLE.object}",
        f"stays: {SHOES} names it in {A}, tagged v1",
    ]


async def a_layer_of_an_indexs_image(place: Place) -> list[str]:
    await place.image()
    await place.ledger.put_manifest(put_index(SHOES, "index", "all", children=(A,)))
    return [f"stays: {SHOES} names it in {A}, which the index {INDEX} names, tagged all"]


async def a_layer_of_two_repositories(place: Place) -> list[str]:
    await place.image(SHOES, "v1")
    await place.image(HATS, "w1", word="b")
    return [
        f"stays: {HATS} names it in {B}, tagged w1",
        f"stays: {SHOES} names it in {A}, tagged v1",
    ]


async def a_mounted_layer(place: Place) -> list[str]:
    await place.image(SHOES, "v1")
    await place.ledger.link_blob(HATS, SHOES, SOLE.digest)
    return [
        f"stays: {SHOES} names it in {A}, tagged v1",
        f"stays: promised to {HATS} until 2023-11-14T22:15:00Z",
    ]


async def an_open_upload(place: Place) -> list[str]:
    await place.ledger.begin_upload(SHOES, "anna")
    return ["an upload that is still open is not known by digest"]


async def a_blob_just_uploaded(place: Place) -> list[str]:
    await store(place.ledger, SHOES, SOLE)
    return [f"stays: promised to {SHOES} until 2023-11-14T22:15:00Z"]


async def a_blob_promised_by_a_look_at_it(place: Place) -> list[str]:
    await store(place.ledger, SHOES, SOLE)
    place.pass_by(GRACE)
    assert await place.ledger.touch_link(SHOES, SOLE.digest)
    return [f"stays: promised to {SHOES} until 2023-11-14T22:16:40Z"]


async def a_manifest_in_the_trash(place: Place) -> list[str]:
    await place.image(SHOES, "v1")
    await place.ledger.delete_manifest(SHOES, A)
    place.asked = A
    return [f"in the trash of {SHOES} since 2023-11-14T22:13:20Z, until 2023-11-14T22:30:00Z"]


async def a_blob_of_what_is_in_the_trash(place: Place) -> list[str]:
    await place.image(SHOES, "v1")
    await place.ledger.delete_manifest(SHOES, A)
    place.pass_by(GRACE + 1)
    return [f"stays: the trash of {SHOES} names it, until 2023-11-14T22:30:00Z"]


async def a_trash_whose_term_is_over(place: Place) -> list[str]:
    await place.image(SHOES, "v1")
    await place.ledger.delete_manifest(SHOES, A)
    place.pass_by(TRASH + 1)
    return [
        f"in the trash of {SHOES}, whose term ended at 2023-11-14T22:30:00Z: the next run forgets",
        f"goes from {SHOES} with the next run",
    ]


async def an_untagged_manifest_that_is_kept(place: Place) -> list[str]:
    await place.image()
    place.pass_by(10_000)
    place.asked = A
    return ["stays: untagged; such manifests are kept (gc.untagged_days)"]


async def an_untagged_manifest_within_its_term(place: Place) -> list[str]:
    await place.image()
    place.asked, place.rules = A, DROPPING
    return ["stays: untagged, until 2023-11-14T22:21:40Z"]


async def an_untagged_manifest_past_its_term(place: Place) -> list[str]:
    await place.image()
    place.pass_by(501)
    place.asked, place.rules = A, DROPPING
    return ["goes: untagged for long enough: it goes to the trash with the next run"]


async def a_layer_of_a_manifest_past_its_term(place: Place) -> list[str]:
    await place.image()
    place.pass_by(501)
    place.rules = DROPPING
    return [f"stays: {SHOES} names it in {A}, untagged for long enough: it goes to the trash"]


async def a_manifest_that_lost_its_last_tag_of_late(place: Place) -> list[str]:
    await place.image(SHOES, "v1")
    place.pass_by(501)
    await place.ledger.delete_tag(SHOES, Tag.parse("v1"))
    place.asked, place.rules = A, DROPPING
    return ["stays: untagged, but kept for the trash until 2023-11-14T22:38:21Z"]


async def an_untagged_manifest_whose_trash_is_over(place: Place) -> list[str]:
    await place.image(SHOES, "v1")
    await place.ledger.delete_tag(SHOES, Tag.parse("v1"))
    place.pass_by(TRASH + 1)
    place.asked, place.rules = A, DROPPING
    return [
        "goes: untagged for long enough: it goes to the trash with the next run",
        f"in the trash of {SHOES}, whose term ended at 2023-11-14T22:30:00Z: the next run forgets",
    ]


async def what_goes_with_the_next_run(place: Place) -> list[str]:
    await store(place.ledger, SHOES, SOLE)
    place.pass_by(GRACE + 1)
    return [
        f"goes from {SHOES} with the next run: nothing there names it",
        "and it was promised until 2023-11-14T22:15:00Z only",
    ]


async def what_was_condemned_and_is_on_its_way_out(place: Place) -> list[str]:
    held = replace(SOLE, object=f"sha256/{SOLE.digest.encoded}/x")
    await place.ledger.finish_upload(SHOES, None, held)
    place.pass_by(GRACE + 1)
    await place.collection.condemn(SHOES, [SOLE.digest], place.clock.now - GRACE)
    return ["its blob was collected; the object is on its way out of the store"]


async def what_was_collected(place: Place) -> list[str]:
    await store(place.ledger, SHOES, SOLE)
    place.pass_by(GRACE + 1)
    await place.collect()
    return ["nothing here has this digest, neither a blob nor a manifest"]


async def a_blob_whose_bytes_are_bad(place: Place) -> list[str]:
    await place.image(SHOES, "v1")
    await place.collection.verified(SOLE, good=False)
    return [
        "its bytes were found to be others, or gone: it is absent until it is pushed again",
        f"stays: {SHOES} names it in {A}, tagged v1",
    ]


async def a_digest_that_nobody_pushed(place: Place) -> list[str]:
    del place
    return ["nothing here has this digest, neither a blob nor a manifest"]


async def a_blob_that_another_repository_has(place: Place) -> list[str]:
    await place.image(SHOES, "v1")
    await store(place.ledger, HATS, SOLE)
    place.where = MORE_SHOES
    return [f"{MORE_SHOES} has nothing of this digest; it is in {HATS}, {SHOES}"]


async def what_one_repository_of_two_says(place: Place) -> list[str]:
    await place.image(SHOES, "v1")
    await store(place.ledger, HATS, SOLE)
    place.where = HATS
    return [f"blob of {SOLE.size} bytes", f"stays: promised to {HATS} until 2023-11-14T22:15:00Z"]


async def a_blob_without_a_link(place: Place) -> list[str]:
    await store(place.ledger, SHOES, SOLE)
    await place.ledger.unlink_blob(SHOES, SOLE.digest)
    return ["goes after 2023-11-14T22:15:00Z: no repository is linked to it"]


async def a_manifest_that_is_a_blob_too(place: Place) -> list[str]:
    await place.ledger.put_manifest(put(SHOES, "a", "v1"))
    await place.ledger.finish_upload(SHOES, None, replace(SOLE, digest=A))
    place.asked = A
    return ["stays: tagged v1", f"stays: promised to {SHOES} until"]


async def a_blob_that_was_never_pushed_to_a_sparse_image(place: Place) -> list[str]:
    await place.ledger.put_manifest(put(SHOES, "a", "v1", blobs=(SOLE,), sparse=True))
    return ["missing: manifests name it as a blob, and there is none; push it again"]


async def a_layer_of_very_many_images(place: Place) -> list[str]:
    await store(place.ledger, SHOES, SOLE)
    for number in range(53):
        await place.ledger.put_manifest(put(SHOES, f"m{number}", f"t{number}", blobs=(SOLE,)))
    return ["and 3 more name it"]


CASES: list[Callable[[Place], Awaitable[list[str]]]] = [
    a_tagged_manifest,
    a_child_of_a_tagged_index,
    a_child_of_a_nested_index,
    a_referrer,
    what_a_referrer_is_about,
    a_subject_that_is_not_here,
    a_config_or_layer_of_a_tagged_image,
    a_layer_of_an_indexs_image,
    a_layer_of_two_repositories,
    a_mounted_layer,
    an_open_upload,
    a_blob_just_uploaded,
    a_blob_promised_by_a_look_at_it,
    a_manifest_in_the_trash,
    a_blob_of_what_is_in_the_trash,
    a_trash_whose_term_is_over,
    an_untagged_manifest_that_is_kept,
    an_untagged_manifest_within_its_term,
    an_untagged_manifest_past_its_term,
    a_layer_of_a_manifest_past_its_term,
    a_manifest_that_lost_its_last_tag_of_late,
    an_untagged_manifest_whose_trash_is_over,
    what_goes_with_the_next_run,
    what_was_condemned_and_is_on_its_way_out,
    what_was_collected,
    a_blob_whose_bytes_are_bad,
    a_digest_that_nobody_pushed,
    a_blob_that_another_repository_has,
    what_one_repository_of_two_says,
    a_blob_without_a_link,
    a_manifest_that_is_a_blob_too,
    a_blob_that_was_never_pushed_to_a_sparse_image,
    a_layer_of_very_many_images,
]


@pytest.fixture
async def place(template: Template, tmp_path: Path) -> AsyncIterator[Place]:
    clock = Clock()
    url = await template.copy(tmp_path / "ledger.db")
    ledger, collection = SqlLedger(url, clock=clock), SqlCollection(url, clock=clock)
    yield Place(ledger, collection, clock)
    await collection.close()
    await ledger.close()


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)
async def test_why_a_digest_stays_or_when_it_goes(
    place: Place, case: Callable[[Place], Awaitable[list[str]]]
) -> None:
    expected = await case(place)
    facts = await place.collection.facts(place.asked)
    lines = reasons.explain(facts, place.rules, place.clock.now, place.where)
    assert len(lines) >= len(expected)
    missing = [each for each in expected if not any(each in line for line in lines)]
    assert missing == [], lines
    await hold_true(place, lines)


async def hold_true(place: Place, lines: list[str]) -> None:
    """What is said to stay is left by a run at this moment, and what is said to go is not."""
    if place.where is not None:
        return
    plan = await make(place.collection, place.rules, place.clock.now)
    doomed = {(str(name), digest) for name, some in plan.links.items() for digest in some}
    doomed |= {(str(each.repository), each.digest) for each in plan.untagged}
    leaves = {name for name, digest in doomed if digest == place.asked}
    told = {name for name in map(str, (SHOES, HATS)) if any(f"goes from {name}" in line
            for line in lines)}  # fmt: skip
    told |= {str(SHOES)} if any(line.startswith("goes: ") for line in lines) else set()
    assert leaves == told, lines


def test_an_object_that_no_row_knows_is_told_with_its_term() -> None:
    young = StoredObject("sha256/ab/1", 5, 1_700_000_000.0)
    (line,) = reasons.explain_strays([young], KEEPING, 1_700_000_001.0)
    assert line.endswith("no row knows it: there until 2023-11-14T22:15:00Z")
    (line,) = reasons.explain_strays([young], KEEPING, 1_700_001_000.0)
    assert line.endswith("for the next orphan sweep to remove")
