"""What every Outbox promises: records that end, and those that two senders have."""

from registry.storage.ledger import SqlLedger
from registry.storage.ports.projection import Due
from registry.storage.sharing import Sharing
from support.ledgers import (
    SHOES,
    Clock,
    manifest,
)
from support.outboxes import LEASE, V1, begin, drain, keys, lease, push, send


class OutboxEndContract:
    """Records that end."""

    async def test_children_go_before_parents(self, ledger: SqlLedger) -> None:
        await push(ledger, "v1", "base", "app")
        await drain(ledger)
        await ledger.delete_manifest(SHOES, manifest("boots").digest)
        dues = await lease(ledger)
        assert {due.gone for due in dues} == {True}
        kinds = [due.kind for due in dues if due.kind != "repository"]
        assert kinds == ["tag", "layer", "layer"]
        for due in dues:
            begun = await begin(ledger, due)
            assert (begun.state, begun.sent) == (None, True)
            assert await ledger.outbox.done(begun)
        assert await drain(ledger) == []

    async def test_a_parent_stays_until_nothing_shows_it(self, ledger: SqlLedger) -> None:
        await push(ledger, "v1", "base", "app", word="a")
        await drain(ledger)
        await push(ledger, "v1", "base", word="b")
        tag = await lease(ledger)
        assert await keys(ledger, tag) == ["tag:red/boots:v1"]
        assert await lease(ledger) == []
        await send(ledger, tag[0])
        assert await drain(ledger) == ["ended layer"]

    async def test_who_never_left_is_ended_all_the_same(self, ledger: SqlLedger) -> None:
        await push(ledger, "v1")
        repository, tag = await lease(ledger)
        await begin(ledger, tag)
        await ledger.outbox.give_back(tag)
        await ledger.outbox.give_back(repository)
        await ledger.delete_tag(SHOES, V1)
        ended = {due.record: due for due in await lease(ledger)}[tag.record]
        begun = await begin(ledger, ended)
        assert (begun.gone, begun.unsure, begun.sent) == (True, True, False)

    async def test_a_deletion_tried_twice_is_no_surer_of_a_sending(self, ledger: SqlLedger) -> None:
        await push(ledger, "v1")
        await ledger.delete_manifest(SHOES, manifest("boots").digest)
        for _ in range(2):
            for due in await lease(ledger):
                begun = await begin(ledger, due)
                assert (begun.gone, begun.unsure, begun.sent) == (True, False, False)
                await ledger.outbox.give_back(begun)

    async def test_what_ends_on_its_way_is_deleted_next(self, ledger: SqlLedger) -> None:
        await push(ledger, "v1")
        repository, tag = await lease(ledger)
        await send(ledger, repository)
        begun = await begin(ledger, tag)
        await ledger.delete_tag(SHOES, V1)
        assert await ledger.outbox.done(begun)
        ended = await lease(ledger)
        assert [(due.record, due.gone) for due in ended] == [(tag.record, True)]
        assert (await begin(ledger, ended[0])).sent

    async def test_what_ended_before_it_was_begun_is_not_begun(self, ledger: SqlLedger) -> None:
        await push(ledger, "v1")
        _, tag = await lease(ledger)
        await ledger.delete_tag(SHOES, V1)
        assert await ledger.outbox.begin(tag, seconds=LEASE) is None
        assert [due.gone for due in await lease(ledger)] == [True]

    async def test_an_ended_record_is_never_revived(self, ledger: SqlLedger) -> None:
        await push(ledger, "v1", "base")
        await drain(ledger)
        before = {each.record: each for each in await self._all(ledger)}
        await ledger.delete_manifest(SHOES, manifest("boots").digest)
        await push(ledger, "v1", "base")
        dues = []
        while found := await lease(ledger):
            dues += found
            for due in found:
                await send(ledger, due)
        assert {due.record for due in dues if due.gone} == set(before)
        assert not {due.record for due in dues if not due.gone} & set(before)

    async def _all(self, ledger: SqlLedger) -> list[Due]:
        await ledger.outbox.mark_all()
        found = await lease(ledger)
        for due in found:
            await send(ledger, due)
        return found


class OutboxLostLeaseContract:
    """Two senders of one record."""

    async def test_who_lost_his_lease_begins_nothing(self, ledger: SqlLedger, clock: Clock) -> None:
        await push(ledger, "v1")
        slow = await lease(ledger)
        clock.now += LEASE + 1
        quick = await lease(ledger)
        assert [await ledger.outbox.begin(due, seconds=LEASE) for due in slow] == [None, None]
        for due in quick:
            await send(ledger, due)

    async def test_what_he_sent_late_is_sent_again_by_the_next(
        self, ledger: SqlLedger, clock: Clock
    ) -> None:
        await push(ledger, "v1")
        slow = [await begin(ledger, due) for due in await lease(ledger)]
        clock.now += LEASE + 1
        quick = [await begin(ledger, due) for due in await lease(ledger)]
        assert not await ledger.outbox.done(slow[1])
        assert not await ledger.outbox.refused(slow[0], "late")
        for due in quick:
            assert await ledger.outbox.done(due)
        (again,) = await lease(ledger)
        assert (await begin(ledger, again)).tried == (Sharing("private"),)
        await ledger.outbox.give_back(again)
        assert await drain(ledger) == ["tag:red/boots:v1"]

    async def test_what_he_sent_after_the_end_is_sent_again(
        self, ledger: SqlLedger, clock: Clock
    ) -> None:
        await push(ledger, "v1")
        slow = [await begin(ledger, due) for due in await lease(ledger)]
        clock.now += LEASE + 1
        await drain(ledger)
        assert not await ledger.outbox.done(slow[1])
        assert await drain(ledger) == ["tag:red/boots:v1"]

    async def test_what_he_made_of_an_ended_record_is_deleted(
        self, ledger: SqlLedger, clock: Clock
    ) -> None:
        await push(ledger, "v1")
        slow = [await begin(ledger, due) for due in await lease(ledger)]
        clock.now += LEASE + 1
        await ledger.delete_tag(SHOES, V1)
        await drain(ledger)
        assert not await ledger.outbox.done(slow[1])
        (ended,) = await lease(ledger)
        begun = await begin(ledger, ended)
        assert (begun.record, begun.gone, begun.kind) == (slow[1].record, True, "tag")
        assert begun.unsure
        assert await ledger.outbox.done(begun)

    async def test_beginning_makes_the_lease_run_anew(
        self, ledger: SqlLedger, clock: Clock
    ) -> None:
        await push(ledger, "v1")
        repository, tag = await lease(ledger)
        clock.now += LEASE - 1
        repository = await begin(ledger, repository)
        clock.now += 2
        assert [due.record for due in await lease(ledger)] == [tag.record]
        assert await ledger.outbox.done(repository)
