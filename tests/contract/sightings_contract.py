"""What every ledger promises of records seen out there, and of what a record opens."""

import pytest

from registry.oci.digest import Digest
from registry.oci.errors import ManifestUnknown
from registry.oci.names import RepositoryName, Tag
from registry.storage.ledger import SqlLedger
from registry.storage.ports.projection import ABSENCE
from registry.storage.sharing import Agreement, Sharing
from support.ledgers import (
    HATS,
    SHOES,
    Clock,
    blob,
    find_by_key,
    manifest,
    put,
    put_index,
    share_with,
    store,
    tagged,
)
from support.outboxes import drain, push

KEY = "tag:red/boots:v1"
V1 = Tag.parse("v1")


async def sent_tag(ledger: SqlLedger, clock: Clock) -> str:
    """The id of a tag's record that was sent a second ago."""
    await push(ledger, "v1", "base")
    await drain(ledger)
    clock.now += 1
    return (await find_by_key(ledger, "shoes", KEY)).id


class SightingsContract:
    async def test_what_was_sent_and_waits_for_nothing_is_listed(
        self, ledger: SqlLedger, clock: Clock
    ) -> None:
        await push(ledger, "v1", "base")
        assert await ledger.sightings.list_sent(limit=9) == []
        await drain(ledger)
        tag = await find_by_key(ledger, "shoes", KEY)
        whole = await find_by_key(ledger, "shoes", "repository:red/boots")
        first, second = await ledger.sightings.list_sent(limit=9)
        assert [each.state.record for each in (first, second)] == sorted(
            [tag, whole], key=lambda record: record.id
        )
        assert {each.sent_at for each in (first, second)} == {clock.now}
        assert await ledger.sightings.list_sent(limit=1) == [first]
        assert await ledger.sightings.list_sent(after=first.state.record.id, limit=9) == [second]
        await share_with(ledger, tag.id, "hats", "pending")
        assert len(await ledger.sightings.list_sent(limit=9)) == 1
        await drain(ledger)
        shared = {each.state.record.id: each for each in await ledger.sightings.list_sent(limit=9)}
        assert shared[tag.id].state.members == (("hats", "pending"),)

    async def test_what_was_agreed_is_what_the_next_sender_knows(
        self, ledger: SqlLedger, clock: Clock
    ) -> None:
        tag = await sent_tag(ledger, clock)
        for sharing in (Sharing("shared", (("hats", "pending"),)), Sharing("public")):
            await ledger.share_record(tag, Agreement(sharing))
            (due,) = await ledger.outbox.lease_due(limit=9, seconds=9)
            begun = await ledger.outbox.begin(due, seconds=9)
            assert begun is not None
            assert begun.agreed == sharing
            await ledger.outbox.give_back(begun)

    async def test_tags_are_counted_by_project(self, ledger: SqlLedger) -> None:
        assert await ledger.sightings.count_tags() == {}
        await push(ledger, "v1")
        await push(ledger, "v2")
        await ledger.put_manifest(put(HATS, "hat", "v1"))
        assert await ledger.sightings.count_tags() == {"shoes": 2, "hats": 1}

    async def test_absence_counts_after_ten_minutes(self, ledger: SqlLedger, clock: Clock) -> None:
        tag = await sent_tag(ledger, clock)
        assert not await ledger.sightings.missed(tag, began=await ledger.sightings.now())
        (missing,) = [
            each for each in await ledger.sightings.list_sent(limit=9) if each.missing_since
        ]
        assert (missing.state.record.id, missing.missing_since) == (tag, clock.now)
        clock.now += ABSENCE - 1
        assert not await ledger.sightings.missed(tag, began=clock.now)
        assert await ledger.sightings.untag(tag) is None
        clock.now += 1
        assert await ledger.sightings.missed(tag, began=clock.now)
        position = await ledger.sightings.untag(tag)
        assert position == (await ledger.pending_lines())[-1].position
        with pytest.raises(ManifestUnknown):
            await ledger.find_manifest(SHOES, V1)
        assert (await ledger.find_manifest(SHOES, manifest("boots").digest)).content

    async def test_absence_does_not_count_that_was_never_looked_for(
        self, ledger: SqlLedger, clock: Clock
    ) -> None:
        tag = await sent_tag(ledger, clock)
        clock.now += 2 * ABSENCE
        assert await ledger.sightings.untag(tag) is None

    async def test_a_record_seen_again_was_not_missing(
        self, ledger: SqlLedger, clock: Clock
    ) -> None:
        tag = await sent_tag(ledger, clock)
        await ledger.sightings.missed(tag, began=clock.now)
        await ledger.sightings.seen([tag])
        clock.now += ABSENCE
        assert not await ledger.sightings.missed(tag, began=clock.now)
        assert await ledger.sightings.untag(tag) is None

    async def test_a_look_that_began_before_the_sending_does_not_count(
        self, ledger: SqlLedger, clock: Clock
    ) -> None:
        tag = await sent_tag(ledger, clock)
        assert not await ledger.sightings.missed(tag, began=clock.now - 1)
        assert all(each.missing_since is None for each in await ledger.sightings.list_sent(limit=9))

    async def test_what_waits_to_be_sent_is_not_missing(
        self, ledger: SqlLedger, clock: Clock
    ) -> None:
        tag = await sent_tag(ledger, clock)
        await ledger.sightings.missed(tag, began=clock.now)
        clock.now += ABSENCE
        await ledger.outbox.mark([tag])
        assert not await ledger.sightings.missed(tag, began=clock.now)
        assert await ledger.sightings.untag(tag) is None

    async def test_a_tag_put_again_since_it_was_missed_stays(
        self, ledger: SqlLedger, clock: Clock
    ) -> None:
        tag = await sent_tag(ledger, clock)
        await ledger.sightings.missed(tag, began=clock.now)
        clock.now += ABSENCE
        await push(ledger, "v1", "base")
        assert await ledger.sightings.untag(tag) is None
        await drain(ledger)
        assert await ledger.sightings.untag(tag) is None
        assert await ledger.find_manifest(SHOES, V1) == manifest("boots")

    async def test_an_unknown_record_is_not_missing(self, ledger: SqlLedger, clock: Clock) -> None:
        assert not await ledger.sightings.missed("nobody", began=clock.now)
        assert await ledger.sightings.untag("nobody") is None

    async def test_a_repository_is_never_untagged(self, ledger: SqlLedger, clock: Clock) -> None:
        await sent_tag(ledger, clock)
        whole = await find_by_key(ledger, "shoes", "repository:red/boots")
        await ledger.sightings.missed(whole.id, began=clock.now)
        clock.now += ABSENCE
        assert await ledger.sightings.missed(whole.id, began=clock.now)
        assert await ledger.sightings.untag(whole.id) is None


class OpeningsContract:
    async def test_a_record_is_found_by_its_key(self, ledger: SqlLedger) -> None:
        await push(ledger, "v1")
        found = await find_by_key(ledger, "shoes", KEY)
        assert await ledger.sightings.find_keyed("shoes", KEY) == found
        for project, key in (("hats", KEY), ("shoes", "tag:red/boots:v2")):
            with pytest.raises(ManifestUnknown):
                await ledger.sightings.find_keyed(project, key)

    async def test_records_of_tags_are_listed_the_latest_first(
        self, ledger: SqlLedger, clock: Clock
    ) -> None:
        for tag in ("v1", "v2", "v3"):
            clock.now += 1
            await push(ledger, tag)
        other = RepositoryName("shoes", "red/boots2")
        await ledger.put_manifest(put(other, "a", "v1", drafts=tagged(other, "v1")))
        clock.now += 1
        await push(ledger, "v2", "base")

        async def listed(name: RepositoryName, limit: int = 9) -> list[str]:
            found = await ledger.sightings.list_tagged(name, limit=limit)
            return [each.properties["oci_tag"] for each in found]

        assert await listed(SHOES) == ["v2", "v3", "v1"]
        assert await listed(SHOES, limit=2) == ["v2", "v3"]
        assert await listed(other) == ["v1"]
        for name in (RepositoryName("shoes", "red"), RepositoryName("hats", "red/boots")):
            assert await listed(name) == []

    async def test_a_tag_opens_its_manifests_and_no_other(self, ledger: SqlLedger) -> None:
        inner = manifest("inner")
        await ledger.put_manifest(put(SHOES, "a"))
        await ledger.put_manifest(put(SHOES, "b"))
        await ledger.put_manifest(put(SHOES, "beside", subject=manifest("a").digest))
        children = (manifest("a").digest,)
        await ledger.put_manifest(put_index(SHOES, "inner", children=children))
        both = (inner.digest, manifest("b").digest)
        await ledger.put_manifest(put_index(SHOES, "outer", "v1", children=both))
        assert await ledger.sightings.list_closure(SHOES, "v1") == {
            manifest(word).digest for word in ("outer", "inner", "a", "b")
        }
        await ledger.put_manifest(put(SHOES, "a", "v2"))
        assert await ledger.sightings.list_closure(SHOES, "v2") == {manifest("a").digest}
        assert await ledger.sightings.list_closure(SHOES, "v3") == frozenset()
        assert await ledger.sightings.list_closure(HATS, "v1") == frozenset()

    async def test_a_blob_is_named_by_the_manifests_that_name_it(self, ledger: SqlLedger) -> None:
        await store(ledger, SHOES, blob("sole"), blob("lace"))
        await ledger.put_manifest(put(SHOES, "a", blobs=(blob("sole"),)))
        await ledger.put_manifest(put(SHOES, "b", blobs=(blob("lace"),)))
        a, b = manifest("a").digest, manifest("b").digest

        async def named(manifests: list[Digest], word: str) -> bool:
            return await ledger.sightings.is_named(SHOES, manifests, blob(word).digest)

        assert await named([a], "sole")
        assert await named([a, b], "lace")
        assert not await named([a], "lace")
        assert not await named([], "sole")
        assert not await ledger.sightings.is_named(HATS, [a], blob("sole").digest)
