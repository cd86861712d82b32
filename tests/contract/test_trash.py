"""What every Trash promises, on SQLite and on a real PostgreSQL."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from registry.oci.digest import Digest
from registry.oci.errors import ManifestBlobUnknown, ManifestUnknown, TagTaken
from registry.oci.names import Tag
from registry.storage.ledger import SqlLedger
from registry.storage.ledger.garbage import SqlCollection
from registry.storage.memory.ledger import MemoryLedger
from support.ledgers import (
    HATS,
    MORE_SHOES,
    SHOES,
    Clock,
    blob,
    find_by_key,
    manifest,
    put,
    put_index,
    store,
    tagged,
)

SOLE = blob("sole")
V1 = Tag.parse("v1")
A = manifest("a").digest
IMAGE = put(SHOES, "a", "v1", blobs=(SOLE,), drafts=tagged(SHOES, "v1", "base", "x"))


@pytest.fixture
async def ledger(url: str, clock: Clock) -> AsyncIterator[SqlLedger]:
    ledger = SqlLedger(url, clock=clock)
    await ledger.migrate()
    await store(ledger, SHOES, SOLE)
    await ledger.put_manifest(IMAGE)
    yield ledger
    await ledger.close()


async def entries(ledger: SqlLedger) -> list[tuple[Digest, tuple[str, ...]]]:
    return [(each.digest, each.tags) for each in await ledger.trash.list(limit=100)]


async def test_a_deleted_tag_comes_back_with_a_record_of_a_new_id(ledger: SqlLedger) -> None:
    before = await find_by_key(ledger, "shoes", "tag:red/boots:v1")
    await ledger.delete_tag(SHOES, V1)
    position = await ledger.trash.put_back(IMAGE)
    assert position.sequence == 3
    assert await ledger.find_manifest(SHOES, V1) == manifest("a")
    after = await find_by_key(ledger, "shoes", "tag:red/boots:v1")
    assert after.id != before.id, "an id that ended is burnt in the image service"
    assert replace(after, id="", parent_id="") == replace(before, id="", parent_id="")
    assert await entries(ledger) == []


async def test_a_deleted_manifest_comes_back_and_its_blobs_are_promised_anew(
    ledger: SqlLedger, clock: Clock
) -> None:
    await ledger.delete_manifest(SHOES, A)
    clock.now += 1000
    await ledger.trash.put_back(IMAGE)
    assert await ledger.find_manifest(SHOES, A) == manifest("a")
    assert (await ledger.find_blob(SHOES, SOLE.digest)).touched_at == clock.now


async def test_what_never_was_there_or_has_left_is_unknown(
    ledger: SqlLedger, url: str, clock: Clock
) -> None:
    for each in (IMAGE, replace(IMAGE, repository=HATS)):
        with pytest.raises(ManifestUnknown):
            await ledger.trash.put_back(each)
    await ledger.delete_manifest(SHOES, A)
    (entry,) = await ledger.trash.list(limit=1)
    assert await ledger.trash.content(entry.id) == manifest("a").content
    clock.now += 1
    collection = SqlCollection(url, clock=clock)
    assert (await collection.purge_trash(clock.now)).blobs == 1
    await collection.close()
    with pytest.raises(ManifestUnknown):
        await ledger.trash.content(entry.id)
    with pytest.raises(ManifestUnknown):
        await ledger.trash.put_back(IMAGE)


async def test_a_tag_on_something_else_is_not_moved(ledger: SqlLedger) -> None:
    await ledger.delete_manifest(SHOES, A)
    await ledger.put_manifest(put(SHOES, "b", "v1"))
    with pytest.raises(TagTaken, match=f"v1 on {manifest('b').digest}"):
        await ledger.trash.put_back(IMAGE)
    assert await ledger.find_manifest(SHOES, V1) == manifest("b")
    assert await entries(ledger) == [(A, ("v1",))]
    await ledger.trash.put_back(replace(IMAGE, tags=(), drafts=()))
    assert await ledger.find_manifest(SHOES, A) == manifest("a")
    assert await entries(ledger) == [(A, ("v1",))], "the tag can be taken back later"


async def test_a_blob_that_is_gone_for_good_is_named(ledger: SqlLedger) -> None:
    await ledger.delete_manifest(SHOES, A)
    await ledger.unlink_blob(SHOES, SOLE.digest)
    with pytest.raises(ManifestBlobUnknown, match=SOLE.digest.encoded):
        await ledger.trash.put_back(IMAGE)
    assert await entries(ledger) == [(A, ("v1",))]


async def test_pages_of_the_trash_miss_nothing(ledger: SqlLedger, clock: Clock) -> None:
    for word in "abcde":
        await ledger.put_manifest(put(SHOES, word, f"t{word}"))
        await ledger.delete_tag(SHOES, Tag.parse(f"t{word}"))
        clock.now += word in "bd"
    await ledger.put_manifest(put(HATS, "a", "v1"))
    await ledger.delete_tag(HATS, V1)
    found, after = [], None
    while page := await ledger.trash.list(repository=SHOES, after=after, limit=2):
        found += page
        after = page[-1].key
    assert sorted(each.tags for each in found) == [(f"t{word}",) for word in "abcde"]
    assert [each.deleted_at for each in found] == sorted(
        (each.deleted_at for each in found), reverse=True
    )
    (hats,) = await ledger.trash.list(projects=["hats"], limit=9)
    assert (hats.repository, hats.size, hats.whole) == (HATS, len(manifest("a").content), False)
    assert await ledger.trash.list(projects=[], limit=9) == []
    assert await ledger.trash.list(repository=MORE_SHOES, limit=9) == []


async def test_a_repository_is_emptied_by_steps_indexes_first(ledger: SqlLedger) -> None:
    await ledger.put_manifest(put(SHOES, "b", "w1"))
    await ledger.put_manifest(put_index(SHOES, "i", "all", children=(A, manifest("b").digest)))
    await ledger.put_manifest(put_index(SHOES, "j", children=(manifest("i").digest,)))
    await ledger.put_manifest(put(MORE_SHOES, "a", "v1"))
    seen = []
    more = True
    while more:
        step = await ledger.trash.empty(SHOES, limit=1)
        assert step.position is not None
        seen.append((await ledger.trash.list(limit=9), step.tags))
        more = step.more
    first, second = (each[0][0] for each in seen[:2])
    assert {each.digest for each in seen[1][0]} == {manifest("j").digest, manifest("i").digest}
    assert first.whole
    assert second.whole
    assert [tags for _, tags in seen] == [0, 1, 1, 1]
    assert await ledger.list_tags(SHOES) == []
    assert await ledger.list_tags(MORE_SHOES) == ["v1"]
    nothing = await ledger.trash.empty(SHOES, limit=1)
    assert (nothing.manifests, nothing.position, nothing.more) == (0, None, False)
    assert (await ledger.trash.empty(HATS, limit=1)).manifests == 0


async def test_a_replay_makes_the_same_trash_and_the_same_names(
    ledger: SqlLedger, tmp_path: Path, clock: Clock
) -> None:
    await ledger.put_manifest(put(SHOES, "b", "w1", "w2"))
    await ledger.put_manifest(put(SHOES, "c", "x"))
    await ledger.delete_manifest(SHOES, A)
    clock.now += 1
    await ledger.trash.put_back(IMAGE)
    await ledger.trash.empty(SHOES, limit=9)
    await ledger.trash.put_back(put(SHOES, "b", "w2"))
    model = MemoryLedger()
    await model.replay(await ledger.pending_lines())
    assert await model.list_tags(SHOES) == ["w2"]
    copy = await SqlLedger.open(f"sqlite:///{tmp_path}/copy.db")
    await copy.replay(await ledger.pending_lines())
    assert await copy.list_tags(SHOES) == ["w2"]
    kept = [replace(each, id="") for each in await ledger.trash.list(limit=9)]
    made = [replace(each, id="") for each in await copy.trash.list(limit=9)]
    assert sorted(kept, key=repr) == sorted(made, key=repr)
    assert {each.tags for each in kept} == {("v1",), ("w1",), ("x",)}
    await copy.close()
