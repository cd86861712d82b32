"""What every Outbox promises: who is next, and how a row is sent."""

from dataclasses import replace

from contract.outbox_ends_contract import OutboxEndContract, OutboxLostLeaseContract
from contract.outbox_ids_contract import OutboxLagContract, OutboxRenameContract
from contract.outbox_refusals_contract import OutboxRefusalContract
from registry.storage.changes import from_line
from registry.storage.ledger import SqlLedger
from registry.storage.ledger.agreed import TRIED
from registry.storage.memory.ledger import MemoryLedger
from registry.storage.records import Member
from registry.storage.sharing import Answer, Invitation, Sharing, Visibility
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
from support.outboxes import LEASE, begin, drain, keys, lease, push, send


async def drain_push(ledger: SqlLedger) -> None:
    """A tag that was pushed and sent."""
    await push(ledger, "v1")
    await drain(ledger)


class OutboxLeaseContract:
    """Who is next."""

    async def test_what_a_push_makes_is_due_parents_first(self, ledger: SqlLedger) -> None:
        await push(ledger, "v1", "base", "app")
        dues = await lease(ledger)
        found = await keys(ledger, dues)
        assert sorted(found) == sorted(
            ["repository:red/boots", "layer:base", "layer:base-app", "tag:red/boots:v1"]
        )
        layers = [key for key in found if not key.startswith("repository")]
        assert layers == ["layer:base", "layer:base-app", "tag:red/boots:v1"]
        assert {(due.project, due.gone, due.version) for due in dues} == {("shoes", False, 1)}

    async def test_what_is_leased_is_due_for_nobody_else(
        self, ledger: SqlLedger, clock: Clock
    ) -> None:
        await push(ledger, "v1", "base")
        mine = await lease(ledger)
        assert await lease(ledger) == []
        clock.now += LEASE + 1
        assert await keys(ledger, await lease(ledger)) == await keys(ledger, mine)

    async def test_a_short_lease_takes_the_first(self, ledger: SqlLedger) -> None:
        await push(ledger, "v1", "base", "app")
        first = await lease(ledger, 2)
        assert await keys(ledger, first) == ["repository:red/boots", "layer:base"]
        assert await lease(ledger) == []  # the rest waits for what is on its way

    async def test_nothing_is_due_twice_once_it_was_sent(self, ledger: SqlLedger) -> None:
        await push(ledger, "v1", "base")
        assert len(await drain(ledger)) == 3
        assert await lease(ledger) == []
        assert (await ledger.outbox.lag()).count == 0

    async def test_only_what_changed_is_due_again(self, ledger: SqlLedger) -> None:
        await push(ledger, "v1", "base", word="a")
        await drain(ledger)
        await push(ledger, "v1", "base", "app", word="b")
        assert await drain(ledger) == ["layer:base-app", "tag:red/boots:v1"]

    async def test_a_tag_put_again_is_due_though_it_is_as_before(self, ledger: SqlLedger) -> None:
        await push(ledger, "v1", "base")
        await drain(ledger)
        await push(ledger, "v1", "base")
        assert await drain(ledger) == ["tag:red/boots:v1"]

    async def test_an_index_comes_after_its_platforms_parents(self, ledger: SqlLedger) -> None:
        child = manifest("amd64").digest
        await ledger.put_manifest(put(SHOES, "amd64"))
        parts = platform(SHOES, "amd64", "base", "app")
        top = tagged(SHOES, "v1", uses=(parts[-1].key,))
        await ledger.put_manifest(
            put_index(SHOES, "index", "v1", children=(child,), drafts=(*parts, *top))
        )
        sent = await drain(ledger)
        order = [sent.index(f"layer:{each}") for each in ("base", "base-app")]
        assert order == sorted(order)
        assert sent.index(parts[-1].key) > order[-1]

    async def test_the_state_is_that_of_the_moment(self, ledger: SqlLedger) -> None:
        await push(ledger, "v1")
        record = await find_by_key(ledger, "shoes", "tag:red/boots:v1")
        due = next(each for each in await lease(ledger) if each.record == record.id)
        await share_with(ledger, record.id, "hats")
        begun = await begin(ledger, due)
        assert begun.version == due.version + 3
        assert begun.state is not None
        assert begun.state.record == await ledger.find_record(record.id)
        assert begun.state.members == (("hats", "accepted"),)
        assert await ledger.outbox.done(begun)
        assert record.id not in {each.record for each in await lease(ledger)}

    async def test_who_saw_it_when_it_was_last_sent_is_known(self, ledger: SqlLedger) -> None:
        await push(ledger, "v1")
        record = await find_by_key(ledger, "shoes", "tag:red/boots:v1")
        first = next(each for each in await lease(ledger) if each.record == record.id)
        first = await begin(ledger, first)
        assert first.agreed is None
        assert await ledger.outbox.done(first)
        await share_with(ledger, record.id, "hats")
        second = await begin(ledger, (await lease(ledger))[0])
        assert second.agreed == Sharing("private")
        assert second.state is not None
        assert await ledger.outbox.done(second)
        await ledger.outbox.mark([record.id])
        third = await begin(ledger, (await lease(ledger))[0])
        assert third.agreed == Sharing.of_state(second.state)
        assert third.agreed == Sharing("shared", (("hats", "accepted"),))
        # A sender may have found that it is seen by others out there: that is what was agreed.
        public = replace(second.state, record=replace(second.state.record, visibility="public"))
        assert await ledger.outbox.done(replace(third, state=public))
        await ledger.outbox.mark([record.id])
        fourth = await begin(ledger, (await lease(ledger))[0])
        assert fourth.agreed == Sharing("public")

    async def test_who_was_to_see_it_at_attempts_that_broke_off_is_known(
        self, ledger: SqlLedger
    ) -> None:
        await drain_push(ledger)
        record = await find_by_key(ledger, "shoes", "tag:red/boots:v1")
        hats = Sharing("shared", (("hats", "accepted"),))
        tried: list[Sharing] = []
        for how in (Visibility("shared"), Invitation("hats"), Answer(Member("hats", "accepted"))):
            await ledger.share_record(record.id, how)
            for _ in range(2):  # a second attempt of the same is no other
                begun = await begin(ledger, (await lease(ledger))[0])
                assert begun.tried == tuple(tried)
                assert begun.state is not None
                if (sharing := Sharing.of_state(begun.state)) not in tried:
                    tried.append(sharing)
                await ledger.outbox.give_back(begun)
        await ledger.share_record(record.id, Visibility("community"))
        begun = await begin(ledger, (await lease(ledger))[0])
        assert (begun.agreed, begun.kept, begun.tried[-1]) == (Sharing("private"), (), hats)
        assert await ledger.outbox.done(begun)
        await ledger.share_record(record.id, Visibility("shared"))
        begun = await begin(ledger, (await lease(ledger))[0])
        assert (begun.agreed, begun.tried) == (Sharing("community"), ())
        await ledger.share_record(record.id, Visibility("private"))
        assert await ledger.outbox.done(begun)
        begun = await begin(ledger, (await lease(ledger))[0])
        assert (begun.agreed, begun.tried) == (hats, (hats,))
        assert await ledger.outbox.done(begun)
        await ledger.outbox.mark([record.id])
        begun = await begin(ledger, (await lease(ledger))[0])
        # Its members are those of before as soon as it is shared again.
        assert (begun.agreed, begun.kept) == (Sharing("private"), hats.members)

    async def test_the_journal_learns_who_sees_it_where_that_is_news(
        self, ledger: SqlLedger
    ) -> None:
        await push(ledger, "v1")
        record = await find_by_key(ledger, "shoes", "tag:red/boots:v1")
        begun = await begin(
            ledger, next(each for each in await lease(ledger) if each.record == record.id)
        )
        assert await ledger.outbox.agree(begun) is None  # it is private, as each new one
        await ledger.share_record(record.id, Visibility("public"))
        lines = await ledger.count_lines()
        assert await ledger.outbox.agree(begun) is None  # it was not that which has arrived
        assert await ledger.outbox.done(begun)
        due = next(each for each in await lease(ledger) if each.record == record.id)
        begun = await begin(ledger, due)
        assert await ledger.outbox.agree(replace(begun, lease="another's")) is None
        assert await ledger.count_lines() == lines
        position = await ledger.outbox.agree(begun)
        line = (await ledger.pending_lines())[-1]
        change = from_line(line.content)
        assert (line.position, change.op, change.agreed) == (position, "share", True)
        assert [each.record for each in change.records] == [await ledger.find_record(record.id)]
        assert await ledger.outbox.done(begun)

    async def test_a_word_is_not_forgotten_where_nobody_knows_what_was_agreed(
        self, ledger: SqlLedger
    ) -> None:
        source = MemoryLedger()
        await source.put_manifest(put(SHOES, "a", "v1", drafts=tagged(SHOES, "v1")))
        await ledger.replay(await source.pending_lines())
        record = await find_by_key(ledger, "shoes", "tag:red/boots:v1")
        await ledger.share_record(record.id, Visibility("public"))
        due = next(each for each in await lease(ledger) if each.record == record.id)
        begun = await begin(ledger, due)
        assert (begun.agreed, begun.tried) == (None, (Sharing("private"), Sharing("public")))

    async def test_a_long_outage_is_not_remembered_whole(self, ledger: SqlLedger) -> None:
        await drain_push(ledger)
        record = await find_by_key(ledger, "shoes", "tag:red/boots:v1")
        await ledger.share_record(record.id, Visibility("shared"))
        for number in range(TRIED + 3):
            await ledger.share_record(record.id, Invitation(f"project-{number:02}"))
            begun = await begin(ledger, (await lease(ledger))[0])
            await ledger.outbox.give_back(begun)
        begun = await begin(ledger, (await lease(ledger))[0])
        assert [len(each.members) for each in begun.tried] == [*range(4, TRIED + 4)]

    async def test_a_change_on_the_way_is_due_at_once(self, ledger: SqlLedger) -> None:
        await push(ledger, "v1", "base")
        dues = await lease(ledger)
        for due in dues[:-1]:
            await send(ledger, due)
        tag = await begin(ledger, dues[-1])
        await ledger.share_record(tag.record, Visibility("shared"))
        assert await lease(ledger) == []
        assert await ledger.outbox.done(tag)
        assert await drain(ledger) == ["tag:red/boots:v1"]

    async def test_a_child_whose_parent_did_not_arrive_is_not_begun(
        self, ledger: SqlLedger
    ) -> None:
        await push(ledger, "v1", "base", "app")
        repository, base, app, tag = await lease(ledger)
        await send(ledger, repository)
        assert not await ledger.outbox.refused(await begin(ledger, base), "400")
        for child in (app, tag):
            assert await ledger.outbox.begin(child, seconds=LEASE) is None
        assert await lease(ledger) == []

    async def test_what_is_given_back_is_due_again(self, ledger: SqlLedger, clock: Clock) -> None:
        await push(ledger, "v1")
        repository, tag = await lease(ledger)
        await ledger.outbox.give_back(repository)
        await ledger.outbox.give_back(tag, delay=30)
        assert [due.record for due in await lease(ledger)] == [repository.record]
        clock.now += 31
        again = await lease(ledger)
        assert [(due.record, due.attempts) for due in again] == [(tag.record, 0)]


class OutboxContract(
    OutboxLeaseContract,
    OutboxEndContract,
    OutboxRefusalContract,
    OutboxLostLeaseContract,
    OutboxRenameContract,
    OutboxLagContract,
):
    """Every promise of the port."""
