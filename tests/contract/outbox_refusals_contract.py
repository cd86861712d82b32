"""What every Outbox promises: records that the image service does not take."""

from registry.storage.ledger import SqlLedger
from registry.storage.ports.projection import REFUSALS, Lag
from support.ledgers import (
    HATS,
    Clock,
    put,
    tagged,
)
from support.outboxes import LEASE, begin, drain, lease, push, send


class OutboxRefusalContract:
    """What the image service does not take."""

    async def test_a_refused_record_is_tried_later(self, ledger: SqlLedger, clock: Clock) -> None:
        await push(ledger, "v1")
        repository, tag = await lease(ledger)
        await send(ledger, repository)
        assert not await ledger.outbox.refused(await begin(ledger, tag), "400 to POST")
        assert await lease(ledger) == []
        clock.now += 3
        (again,) = await lease(ledger)
        assert (again.attempts, again.reason, again.unsure) == (1, "400 to POST", True)

    async def test_the_tenth_refusal_parks_it_and_its_children_alone(
        self, ledger: SqlLedger, clock: Clock
    ) -> None:
        await push(ledger, "v1", "base", "app")
        await ledger.put_manifest(put(HATS, "hat", "v1", drafts=tagged(HATS, "v1", "base")))
        await self._park(ledger, clock, "layer:base")
        clock.now += 1_000_000
        assert await lease(ledger) == []
        lag = await ledger.outbox.lag()
        assert (lag.count, lag.parked) == (2, 1)  # its children wait
        assert await ledger.outbox.lag("hats") == Lag(0, 0.0, 0)
        await push(ledger, "v2", "other", word="other")
        assert await drain(ledger) == ["layer:other", "tag:red/boots:v2"]

    async def test_a_parked_record_gets_another_chance(
        self, ledger: SqlLedger, clock: Clock
    ) -> None:
        await push(ledger, "v1", "base")
        await self._park(ledger, clock, "layer:base")
        assert await ledger.outbox.unpark() == 1
        assert await ledger.outbox.unpark() == 0
        assert await drain(ledger) == ["layer:base", "tag:red/boots:v1"]

    async def test_a_change_is_another_chance(self, ledger: SqlLedger, clock: Clock) -> None:
        await push(ledger, "v1")
        await self._park(ledger, clock, "tag:red/boots:v1")
        await push(ledger, "v1")
        (due,) = await lease(ledger)
        assert (due.attempts, due.reason) == (0, "")
        await send(ledger, due)

    async def test_a_parked_record_does_not_hold_up_what_it_was_shown_with(
        self, ledger: SqlLedger, clock: Clock
    ) -> None:
        await push(ledger, "v1", "base", "app", word="a")
        await drain(ledger)
        await push(ledger, "v1", "base", word="b")
        await self._park(ledger, clock, "tag:red/boots:v1")
        assert await drain(ledger) == ["ended layer"]

    async def _park(self, ledger: SqlLedger, clock: Clock, key: str) -> None:
        """Send everything but the record of that key, which is refused until it is parked."""
        parked = False
        refusals = 0
        while not parked:
            for due in await lease(ledger):
                begun = await ledger.outbox.begin(due, seconds=LEASE)
                if begun is None:
                    continue
                if begun.state is not None and (begun.project, begun.state.record.key) == (
                    "shoes",
                    key,
                ):
                    parked = await ledger.outbox.refused(begun, "413 to POST")
                    refusals += 1
                elif begun.gone:
                    await ledger.outbox.give_back(begun)
                else:
                    await ledger.outbox.done(begun)
            clock.now += 400
        assert refusals == REFUSALS
