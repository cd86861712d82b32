"""What every Outbox promises: fresh ids, and how far behind it is."""

import pytest

from contract.ledger_journal_contract import observe
from registry.oci.errors import ManifestUnknown
from registry.storage.folding import Fold
from registry.storage.ledger import SqlLedger
from registry.storage.memory.ledger import MemoryLedger
from registry.storage.ports.projection import SECOND_LOOK, Lag
from registry.storage.records import Member
from registry.storage.sharing import Agreement, Sharing, Visibility
from support.ledgers import (
    SHOES,
    Clock,
    find_by_key,
    manifest,
    platform,
    put,
    put_index,
    share_with,
    tagged,
)
from support.outboxes import LEASE, V1, begin, drain, keys, lease, push, send


async def rename_missed(ledger: SqlLedger, clock: Clock) -> str:
    """Rename the only record that is due, and that was sent; its old id."""
    (due,) = await lease(ledger)
    assert await ledger.outbox.rename(await begin(ledger, due), missed=True) is None
    clock.now += SECOND_LOOK
    (due,) = await lease(ledger)
    assert await ledger.outbox.rename(await begin(ledger, due), missed=True) is not None
    return due.record


class OutboxRenameContract:
    """A fresh id for a record whose own is another's."""

    async def test_a_renamed_record_and_its_children_are_due(self, ledger: SqlLedger) -> None:
        await push(ledger, "v1", "base", "app")
        repository, base, *_ = await lease(ledger)
        await send(ledger, repository)
        position = await ledger.outbox.rename(await begin(ledger, base), missed=True)
        assert position == (await ledger.pending_lines())[-1].position
        renamed = await find_by_key(ledger, "shoes", "layer:base")
        assert renamed.id != base.record
        assert (await find_by_key(ledger, "shoes", "layer:base-app")).parent_id == renamed.id
        with pytest.raises(ManifestUnknown):
            await ledger.find_record(base.record)
        dues = await lease(ledger)
        assert sorted(await keys(ledger, dues)) == ["ended layer", "layer:base"]

    async def test_a_renamed_record_is_shared_with_nobody(
        self, ledger: SqlLedger, clock: Clock
    ) -> None:
        await push(ledger, "v1", "base")
        before = await find_by_key(ledger, "shoes", "tag:red/boots:v1")
        await share_with(ledger, before.id, "hats")
        await drain(ledger)
        await ledger.outbox.mark([before.id])
        await rename_missed(ledger, clock)
        after = await find_by_key(ledger, "shoes", "tag:red/boots:v1")
        assert (after.visibility, await ledger.list_members(after.id)) == ("private", [])
        assert (after.name, after.parent_id, after.properties) == (
            before.name,
            before.parent_id,
            before.properties,
        )

    async def test_what_was_said_and_has_not_arrived_stays_with_a_renamed_record(
        self, ledger: SqlLedger, clock: Clock
    ) -> None:
        await push(ledger, "v1")
        await drain(ledger)
        before = await find_by_key(ledger, "shoes", "tag:red/boots:v1")
        await ledger.outbox.mark([before.id])
        await share_with(ledger, before.id, "hats")
        await rename_missed(ledger, clock)
        after = await find_by_key(ledger, "shoes", "tag:red/boots:v1")
        assert after.id != before.id
        assert after.visibility == "shared"
        assert await ledger.list_members(after.id) == [Member("hats", "accepted")]
        lines = await ledger.pending_lines()
        await ledger.restart("shoes", 0)
        await ledger.replay(lines)  # to whom nothing is known of what has arrived
        dues = {due.record: due for due in await lease(ledger)}
        for due in dues.values():
            if due.kind == "repository":
                await send(ledger, due)
        tried = (Sharing("private"), Sharing("shared", (("hats", "accepted"),)))
        assert (await begin(ledger, dues[after.id])).tried == tried

    async def test_what_is_said_while_it_is_looked_for_stays_too(self, ledger: SqlLedger) -> None:
        await push(ledger, "v1")
        before = await find_by_key(ledger, "shoes", "tag:red/boots:v1")
        repository, tag = await lease(ledger)
        await send(ledger, repository)
        begun = await begin(ledger, tag)
        await share_with(ledger, before.id, "hats")
        await ledger.outbox.rename(begun, missed=True)
        after = await find_by_key(ledger, "shoes", "tag:red/boots:v1")
        assert after.id != before.id
        assert after.visibility == "shared"

    async def test_a_record_that_was_sent_is_looked_for_twice(
        self, ledger: SqlLedger, clock: Clock
    ) -> None:
        await push(ledger, "v1")
        await drain(ledger)
        tag = await find_by_key(ledger, "shoes", "tag:red/boots:v1")
        await ledger.outbox.mark([tag.id])
        for _ in range(2):
            (due,) = await lease(ledger)
            assert await ledger.outbox.rename(await begin(ledger, due), missed=True) is None
            assert await lease(ledger) == []
            clock.now += SECOND_LOOK - 1
            assert await lease(ledger) == []
            clock.now += 1
            (due,) = await lease(ledger)
            await send(ledger, due)  # it is there
            await ledger.outbox.mark([tag.id])
        assert (await find_by_key(ledger, "shoes", "tag:red/boots:v1")).id == tag.id

    async def test_a_record_that_perhaps_was_sent_is_looked_for_twice(
        self, ledger: SqlLedger, clock: Clock
    ) -> None:
        await push(ledger, "v1")
        tag = await find_by_key(ledger, "shoes", "tag:red/boots:v1")
        repository, due = await lease(ledger)
        await send(ledger, repository)
        await begin(ledger, due)  # and is heard of no more
        clock.now += LEASE + 1
        assert await rename_missed(ledger, clock) == tag.id
        dues = {each.gone: each.record for each in await lease(ledger)}
        assert dues[True] == tag.id

    async def test_an_id_that_is_anothers_is_given_up_at_once(self, ledger: SqlLedger) -> None:
        await push(ledger, "v1")
        await drain(ledger)
        tag = await find_by_key(ledger, "shoes", "tag:red/boots:v1")
        await ledger.outbox.mark([tag.id])
        (due,) = await lease(ledger)
        assert await ledger.outbox.rename(await begin(ledger, due), missed=False) is not None

    async def test_what_lies_under_the_old_id_is_to_be_deleted(
        self, ledger: SqlLedger, clock: Clock
    ) -> None:
        await push(ledger, "v1", "base")
        await drain(ledger)
        await push(ledger, "v1", "base")
        tag = await rename_missed(ledger, clock)
        dues = {due.gone: due for due in await lease(ledger)}
        assert dues[True].record == tag
        assert await keys(ledger, [dues[False]]) == ["tag:red/boots:v1"]

    async def test_a_manifest_record_keeps_its_index(self, ledger: SqlLedger, clock: Clock) -> None:
        child = manifest("amd64").digest
        await ledger.put_manifest(put(SHOES, "amd64"))
        part = platform(SHOES, "amd64", "base")
        top = tagged(SHOES, "v1", uses=(part[-1].key,))
        await ledger.put_manifest(
            put_index(SHOES, "index", "v1", children=(child,), drafts=(*part, *top))
        )
        await drain(ledger)
        record = await find_by_key(ledger, "shoes", part[-1].key)
        await ledger.outbox.mark([record.id])
        await rename_missed(ledger, clock)
        assert (await find_by_key(ledger, "shoes", part[-1].key)).id != record.id
        await ledger.delete_tag(SHOES, V1)
        with pytest.raises(ManifestUnknown):
            await find_by_key(ledger, "shoes", part[-1].key)

    async def test_who_lost_his_lease_renames_nothing(
        self, ledger: SqlLedger, clock: Clock
    ) -> None:
        await push(ledger, "v1")
        slow = await lease(ledger)
        clock.now += LEASE + 1
        await lease(ledger)
        before = await observe(ledger)
        assert await ledger.outbox.rename(slow[0], missed=True) is None
        assert await observe(ledger) == before

    async def test_its_line_makes_the_same_anew(self, ledger: SqlLedger) -> None:
        await push(ledger, "v1", "base", "app")
        for _ in range(3):
            await ledger.outbox.mark_all()
            for due in await lease(ledger):
                begun = await ledger.outbox.begin(due, seconds=LEASE)
                if begun is not None and begun.gone:
                    await ledger.outbox.done(begun)
                elif begun is not None:
                    await ledger.outbox.rename(begun, missed=True)
        lines = await ledger.pending_lines()
        copy = MemoryLedger()
        await copy.replay(lines)
        assert await observe(copy) == await observe(ledger)
        before = await observe(ledger)
        await ledger.restart("shoes", 0)
        await ledger.replay(lines)
        assert await observe(ledger) == before
        fold = Fold()
        for line in lines:
            fold.look(line)
        await ledger.restart("shoes", fold.bounds()["shoes"].start)
        await ledger.replay(list(fold.folded(lines)))
        assert await observe(ledger) == before


class OutboxLagContract:
    """How far behind."""

    async def test_the_lag_is_the_age_of_the_oldest(self, ledger: SqlLedger, clock: Clock) -> None:
        assert await ledger.outbox.lag() == Lag(0, 0.0, 0)
        await push(ledger, "v1")
        clock.now += 5
        await push(ledger, "v2")
        clock.now += 7
        assert await ledger.outbox.lag() == Lag(3, 12.0, 0)
        assert await ledger.outbox.lag("shoes") == Lag(3, 12.0, 0)
        assert await ledger.outbox.lag("hats") == Lag(0, 0.0, 0)

    async def test_a_record_that_changes_again_waits_since_its_first_change(
        self, ledger: SqlLedger, clock: Clock
    ) -> None:
        await push(ledger, "v1", word="a")
        clock.now += 5
        await push(ledger, "v1", "base", word="b")
        assert (await ledger.outbox.lag()).seconds == 5.0

    async def test_everything_can_be_marked(self, ledger: SqlLedger) -> None:
        await push(ledger, "v1", "base")
        first = await drain(ledger)
        assert await ledger.outbox.mark_all() == 3
        assert sorted(await drain(ledger)) == sorted(first)

    async def test_who_is_no_more_cannot_be_marked(self, ledger: SqlLedger) -> None:
        await ledger.outbox.mark(["11111111-1111-1111-1111-111111111111"])
        await ledger.outbox.mark([])
        assert await lease(ledger) == []

    async def test_after_a_rebuild_everything_is_due(self, ledger: SqlLedger) -> None:
        source = MemoryLedger()
        await source.put_manifest(put(SHOES, "a", "v1", drafts=tagged(SHOES, "v1", "base", "x")))
        await source.put_manifest(put(SHOES, "b", "v1", drafts=tagged(SHOES, "v1", "base")))
        await ledger.replay(await source.pending_lines())
        sent = await drain(ledger)
        assert set(sent) == {
            "repository:red/boots",
            "layer:base",
            "tag:red/boots:v1",
            "ended layer",
        }

    async def test_a_ledger_put_back_learns_what_was_agreed_since(self, ledger: SqlLedger) -> None:
        source, hats = MemoryLedger(), Sharing("shared", (("hats", "accepted"),))
        await source.put_manifest(put(SHOES, "a", "v1", drafts=tagged(SHOES, "v1")))
        tag = (await find_by_key(source, "shoes", "tag:red/boots:v1")).id
        await source.share_record(tag, Agreement(hats))
        lines = await source.pending_lines()
        await ledger.replay(lines)
        await drain(ledger)
        await source.share_record(tag, Agreement(Sharing("shared")))
        # It is shared once more out there, which nobody has looked at; and here, which is not sent.
        await source.share_record(tag, Visibility("public"))
        lines = await source.pending_lines()
        await ledger.replay(lines)
        begun = await begin(ledger, (await lease(ledger))[0])
        assert begun.agreed == Sharing("shared")
        assert begun.tried == (Sharing("shared"), Sharing("public"))
        assert begun.state is not None
        assert begun.state.record.visibility == "public"
        await ledger.outbox.give_back(begun)
        await ledger.restart("shoes", 0)
        await ledger.replay(lines[:1])
        known = {each.record: each for each in await lease(ledger)}
        assert (await begin(ledger, known[tag])).agreed is None

    async def test_a_restart_deletes_what_does_not_come_back(self, ledger: SqlLedger) -> None:
        await push(ledger, "v1", "base")
        lines = await ledger.pending_lines()
        await push(ledger, "v2", "other", word="other")
        await drain(ledger)
        await ledger.restart("shoes", 0)
        await ledger.replay(lines)
        ended = [due.kind for due in await lease(ledger) if due.gone]
        assert ended == ["tag", "layer"]
