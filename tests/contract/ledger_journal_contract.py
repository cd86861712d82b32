"""What every Ledger promises of its journal, its identity and the server's secrets."""

import asyncio
import contextlib
from dataclasses import replace

import pytest

from registry.oci.errors import BlobUnknown, ManifestUnknown, StorageUnavailable
from registry.oci.names import RepositoryName, Tag
from registry.storage.memory.ledger import MemoryLedger
from registry.storage.ports.ledger import Ledger
from registry.storage.records import JournalLine, Position, StoreIdentity
from registry.storage.sharing import Visibility
from support.ledgers import (
    HATS,
    MORE_SHOES,
    SHOES,
    Clock,
    blob,
    find_by_key,
    manifest,
    put,
    share_with,
    store,
    tagged,
)

IDENTITY = StoreIdentity("11111111-1111-1111-1111-111111111111", 1)


async def change_everything(ledger: Ledger) -> None:
    """Every kind of change, in two projects."""
    await store(ledger, SHOES, blob("sole"), blob("lace"))
    first = put(SHOES, "a", "v1", blobs=(blob("sole"),), drafts=tagged(SHOES, "v1", "base", "x"))
    await ledger.put_manifest(first)
    await ledger.put_manifest(
        put(SHOES, "b", "v1", blobs=(blob("lace"),), drafts=tagged(SHOES, "v1", "base", "y"))
    )
    await ledger.put_manifest(put(SHOES, "c", "v2", "v3", drafts=tagged(SHOES, "v3")))
    await ledger.delete_tag(SHOES, Tag.parse("v2"))
    await ledger.link_blob(HATS, SHOES, blob("sole").digest)
    await ledger.put_manifest(put(HATS, "d", "v1", blobs=(blob("sole"),)))
    await ledger.unlink_blob(HATS, blob("sole").digest)
    await ledger.delete_manifest(SHOES, manifest("c").digest)
    boots = await find_by_key(ledger, "shoes", "tag:red/boots:v1")
    await share_with(ledger, boots.id, "hats")


async def observe(ledger: Ledger) -> dict[str, object]:
    """Everything that a ledger answers of names."""
    seen: dict[str, object] = {"repositories": await ledger.list_repositories(projects=None)}
    for name in await ledger.list_repositories(projects=None):
        tags = await ledger.list_tags(name)
        seen[f"tags {name}"] = [await ledger.find_manifest(name, Tag.parse(t)) for t in tags]
        for word in "abcd":
            with contextlib.suppress(ManifestUnknown):
                found = await ledger.find_manifest(name, manifest(word).digest)
                seen[f"{name} {word}"] = found
        for word in ("sole", "lace"):
            with contextlib.suppress(BlobUnknown):
                seen[f"{name} {word}"] = (await ledger.find_blob(name, blob(word).digest)).blob
    for hidden in ("true", "false"):
        records = await ledger.list_records(projects=None, filters={"os_hidden": hidden}, limit=999)
        seen[f"records {hidden}"] = records
        seen[f"members {hidden}"] = [await ledger.list_members(each.id) for each in records]
    return seen


class LedgerJournalContract:
    """Lines, replay, identity, keys."""

    async def test_every_change_draws_the_next_position(self, ledger: Ledger) -> None:
        assert await ledger.put_manifest(put(SHOES, "a", "v1")) == Position("shoes", 1)
        assert await ledger.put_manifest(put(MORE_SHOES, "a")) == Position("shoes", 2)
        assert await ledger.put_manifest(put(HATS, "a")) == Position("hats", 1)
        assert await ledger.delete_tag(SHOES, Tag.parse("v1")) == Position("shoes", 3)
        assert await ledger.delete_manifest(HATS, manifest("a").digest) == Position("hats", 2)
        lines = await ledger.pending_lines()
        assert [line.position for line in lines] == [
            *(Position("hats", n) for n in (1, 2)),
            *(Position("shoes", n) for n in (1, 2, 3)),
        ]
        assert await ledger.pending_lines({"shoes": 9}) == lines[:2]
        assert await ledger.pending_lines({"hats": 1, "shoes": 2}) == [lines[1], lines[-1]]
        assert await ledger.pending_lines({"hats": 2, "shoes": 3, "gloves": 1}) == []
        assert await ledger.heads() == {"hats": 2, "shoes": 3}

    async def test_a_settled_line_is_pending_no_more(self, ledger: Ledger) -> None:
        for word in "abc":
            await ledger.put_manifest(put(SHOES, word))
        await ledger.put_manifest(put(HATS, "a"))
        await ledger.settle({"shoes": 2})
        left = [line.position for line in await ledger.pending_lines()]
        assert left == [Position("hats", 1), Position("shoes", 3)]
        await ledger.settle({"shoes": 2, "gloves": 9})
        assert await ledger.heads() == {"hats": 1, "shoes": 3}

    async def test_lines_are_one_holders_until_he_settles_or_falls_silent(
        self, ledger: Ledger
    ) -> None:
        assert await ledger.claim_lines("a", {}, seconds=60) == []
        for name in (SHOES, HATS, SHOES):
            await ledger.put_manifest(put(name, "a"))
        hats, *shoes = await ledger.pending_lines()
        assert await ledger.claim_lines("a", {"hats": 1}, seconds=60) == shoes
        assert await ledger.claim_lines("b", {}, seconds=0.01) == [hats]
        assert await ledger.claim_lines("b", {"hats": 1}, seconds=60) == []
        assert await ledger.pending_lines() == [hats, *shoes], "a claim hides nothing"
        assert await ledger.claim_lines("a", {"shoes": 1}, seconds=60) == shoes[1:]
        await asyncio.sleep(0.02)
        await ledger.settle({"shoes": 1}, holder="a")
        assert await ledger.claim_lines("b", {}, seconds=60) == [hats, shoes[1]]
        assert await ledger.claim_lines("a", {}, seconds=60) == []
        await ledger.settle({"shoes": 2})
        assert await ledger.claim_lines("a", {}, seconds=60) == []
        await ledger.settle({}, holder="b")
        assert await ledger.claim_lines("a", {}, seconds=60) == [hats]

    async def test_a_line_is_pending_until_it_is_settled(self, ledger: Ledger) -> None:
        for position in (Position("shoes", 1), Position("hats", 1)):
            with pytest.raises(StorageUnavailable):
                await ledger.is_pending(position)
        for _ in range(2):
            await ledger.put_manifest(put(SHOES, "a"))
        await ledger.settle({"shoes": 1})
        assert not await ledger.is_pending(Position("shoes", 1))
        assert await ledger.is_pending(Position("shoes", 2))
        with pytest.raises(StorageUnavailable):
            await ledger.is_pending(Position("shoes", 3))

    async def test_lines_are_counted_over_all_projects(self, ledger: Ledger) -> None:
        assert await ledger.count_lines() == 0
        for name in (SHOES, SHOES, HATS):
            await ledger.put_manifest(put(name, "a"))
        await ledger.settle({"shoes": 2})
        assert await ledger.count_lines() == 3

    async def test_nothing_is_settled_that_another_ledger_may_have_had(
        self, ledger: Ledger
    ) -> None:
        await ledger.put_manifest(put(SHOES, "a"))
        with pytest.raises(StorageUnavailable):
            await ledger.settle({"shoes": 1}, seen=ledger.interruptions - 1)
        assert len(await ledger.pending_lines()) == 1
        await ledger.settle({"shoes": 1}, seen=ledger.interruptions)
        assert await ledger.pending_lines() == []

    async def test_while_it_is_half_rebuilt_nothing_is_changed(self, ledger: Ledger) -> None:
        identity = StoreIdentity("store", 1)
        await ledger.put_manifest(put(SHOES, "a", "v1", drafts=tagged(SHOES, "v1", "base")))
        (record, *_) = await ledger.list_records(projects=None, filters={}, limit=9)
        before = await observe(ledger)
        await ledger.found(identity, whole=False)
        for change in (
            ledger.put_manifest(put(SHOES, "b", "v1")),
            ledger.put_manifest(put(HATS, "a")),
            ledger.delete_tag(SHOES, Tag.parse("v1")),
            ledger.delete_manifest(SHOES, manifest("a").digest),
            ledger.share_record(record.id, Visibility("public")),
        ):
            with pytest.raises(StorageUnavailable):
                await change
        assert await ledger.heads() == {"shoes": 1}
        await ledger.found(identity, whole=True)
        assert await observe(ledger) == before
        assert await ledger.delete_tag(SHOES, Tag.parse("v1")) == Position("shoes", 2)

    async def test_once_it_is_half_rebuilt_no_change_is_under_way(self, ledger: Ledger) -> None:
        names = [RepositoryName(f"project-{n % 3}", f"at/{n}") for n in range(12)]
        changes = [asyncio.create_task(ledger.put_manifest(put(name, "a"))) for name in names]
        await asyncio.sleep(0)
        await ledger.found(StoreIdentity("store", 1), whole=False)
        heads = await ledger.heads()
        done = await asyncio.gather(*changes, return_exceptions=True)
        assert {type(each) for each in done} <= {Position, StorageUnavailable}
        assert await ledger.heads() == heads
        assert sum(heads.values()) == sum(isinstance(each, Position) for each in done)

    async def test_a_replay_makes_everything_anew(self, ledger: Ledger) -> None:
        source = MemoryLedger()
        await change_everything(source)
        lines = await source.pending_lines()
        await ledger.replay(lines[:3])
        await ledger.replay(lines)
        await ledger.replay(lines)
        assert await observe(ledger) == await observe(source)
        assert await ledger.heads() == await source.heads()
        assert await ledger.pending_lines() == []

    async def test_its_own_lines_make_everything_anew(self, ledger: Ledger) -> None:
        await change_everything(ledger)
        copy = MemoryLedger()
        await copy.replay(await ledger.pending_lines())
        assert await observe(copy) == await observe(ledger)

    async def test_a_blob_that_a_replay_leaves_unlinked_is_forgotten_by_the_whole_ledger(
        self, ledger: Ledger
    ) -> None:
        """Its object may have left the store since: whoever pushes it brings another."""
        copy = MemoryLedger()
        await store(copy, SHOES, blob("sole"), blob("lace"))
        await copy.put_manifest(put(SHOES, "a", "v1", blobs=(blob("sole"), blob("lace"))))
        await copy.delete_manifest(SHOES, manifest("a").digest)
        await copy.unlink_blob(SHOES, blob("sole").digest)
        await ledger.found(IDENTITY, whole=False)
        await ledger.replay(await copy.pending_lines())
        await ledger.found(IDENTITY, whole=True)
        fresh = replace(blob("sole"), object="another")
        assert await ledger.finish_upload(SHOES, None, fresh) == fresh
        assert (await ledger.find_blob(SHOES, blob("lace").digest)).blob == blob("lace")

    async def test_changes_go_on_after_a_replay(self, ledger: Ledger) -> None:
        source = MemoryLedger()
        await change_everything(source)
        await ledger.replay(await source.pending_lines())
        head = (await ledger.heads())["shoes"]
        pushed = put(SHOES, "e", "v9", blobs=(blob("sole"),), drafts=tagged(SHOES, "v9", "base"))
        assert await ledger.put_manifest(pushed) == Position("shoes", head + 1)
        assert await ledger.find_manifest(SHOES, Tag.parse("v9")) == pushed.manifest

    async def test_a_link_that_a_manifest_names_already_is_journalled(self, ledger: Ledger) -> None:
        await ledger.put_manifest(put(SHOES, "a", "v1", blobs=(blob("sole"),), sparse=True))
        await store(ledger, SHOES, blob("sole"))
        copy = MemoryLedger()
        await copy.replay(await ledger.pending_lines())
        assert (await copy.find_blob(SHOES, blob("sole").digest)).blob == blob("sole")

    async def test_a_project_restarted_is_replayed_from_there(self, ledger: Ledger) -> None:
        await change_everything(ledger)
        before, heads = await observe(ledger), await ledger.heads()
        lines = await ledger.pending_lines()
        for project in ("shoes", "hats"):
            await ledger.restart(project, 0)
        assert await ledger.heads() == {}
        assert await ledger.list_repositories(projects=None) == []
        assert await ledger.pending_lines() == []
        await ledger.replay(lines)
        assert (await observe(ledger), await ledger.heads()) == (before, heads)

    async def test_a_restart_of_one_project_leaves_the_others(self, ledger: Ledger) -> None:
        await change_everything(ledger)
        await ledger.restart("hats", 7)
        assert await ledger.heads() == {"hats": 7, "shoes": (await ledger.heads())["shoes"]}
        assert await ledger.list_repositories(projects=["shoes"]) == [SHOES]
        await ledger.restart("gloves", 3)
        assert (await ledger.heads())["gloves"] == 3

    async def test_a_gap_in_the_lines_is_refused_whole(self, ledger: Ledger) -> None:
        source = MemoryLedger()
        await change_everything(source)
        lines = await source.pending_lines({"hats": 99})
        assert {line.position.project for line in lines} == {"shoes"}
        with pytest.raises(StorageUnavailable):
            await ledger.replay([lines[0], lines[2]])
        assert await ledger.heads() == {}
        assert await ledger.list_repositories(projects=None) == []

    @pytest.mark.parametrize(
        "content",
        [b"", b"{", b"[]", b"null", b'{"form":1}', b'{"form":2}', b'{"form":1,"op":7}', b"\xff"],
    )
    async def test_a_line_that_cannot_be_read_is_refused(
        self, ledger: Ledger, content: bytes
    ) -> None:
        with pytest.raises(StorageUnavailable):
            await ledger.replay([JournalLine(Position("shoes", 1), content)])
        assert await ledger.heads() == {}

    async def test_a_ledger_belongs_to_one_store(self, ledger: Ledger) -> None:
        assert await ledger.identity() is None
        await ledger.found(IDENTITY, whole=False)
        assert await ledger.identity() == (IDENTITY, False)
        await ledger.found(IDENTITY, whole=True)
        assert await ledger.identity() == (IDENTITY, True)
        for other in (StoreIdentity("other", 1), StoreIdentity(IDENTITY.store, 2)):
            with pytest.raises(StorageUnavailable):
                await ledger.found(other, whole=True)
        assert await ledger.identity() == (IDENTITY, True)

    async def test_keys_are_kept_the_newest_first(self, ledger: Ledger, clock: Clock) -> None:
        assert await ledger.load_keys() == []
        await ledger.store_key("b", b"first")
        clock.now += 1
        await ledger.store_key("a", b"second")
        await ledger.store_key("b", b"another under the same id")
        began = clock.now - 1
        assert await ledger.load_keys() == [("a", b"second", began + 1), ("b", b"first", began)]
        await ledger.drop_key("a")
        await ledger.drop_key("a")
        assert await ledger.load_keys() == [("b", b"first", began)]

    async def test_a_token_is_void_once_revoked(self, ledger: Ledger, clock: Clock) -> None:
        assert not await ledger.is_revoked("t-1")
        await ledger.revoke("t-1", clock.now + 60)
        await ledger.revoke("t-1", clock.now + 60)
        assert await ledger.is_revoked("t-1")
        assert not await ledger.is_revoked("t-2")
