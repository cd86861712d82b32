"""Senders that overlap, stall and crash: in the end the image service has just what the ledger has.

The image service is a dict here, which keeps the one promise that matters: an id is never used
twice. What the senders say to a real one is told in tests/system/test_glance.py.
"""

import asyncio
import contextlib
import tempfile
from collections.abc import Coroutine
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import pytest
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    invariant,
    multiple,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import false, select

from registry.oci.errors import ManifestUnknown
from registry.oci.names import RepositoryName, Tag
from registry.storage.ledger import SqlLedger, leasing, schema
from registry.storage.ports.projection import Due
from registry.storage.sharing import Visibility
from support.ledgers import (
    HATS,
    SHOES,
    Clock,
    Ids,
    Template,
    find_by_key,
    manifest,
    platform,
    put,
    put_index,
    tagged,
)

NAMES = st.sampled_from([SHOES, SHOES, HATS])
TAGS = st.sampled_from(["v1", "v1", "v2"])
WORDS = st.sampled_from("abc")
CHAINS = st.sampled_from([("base",), ("base", "x"), ("base", "x", "y"), ("other",), ()])
CHANGES = st.sampled_from(
    ["put index", "delete tag", "delete manifest", "share", "share", "delete out there"]
)
LEASE = 60.0

Shown = tuple[str, str | None, int]
"""Key, parent and version of a record."""


@dataclass
class Service:
    """What an image service holds, by id."""

    images: dict[str, Shown] = field(default_factory=dict)
    used: set[str] = field(default_factory=set)
    """Ids that were ever taken."""

    def take(self, due: Due) -> bool:
        """Carry *due* out; False where its id is another's, or was used up."""
        if due.gone:
            if due.unsure and not due.sent:
                self.used.add(due.record)  # what is still on its way comes too late then
            self.images.pop(due.record, None)
            return True
        if due.record not in self.images and due.record in self.used:
            return False
        assert due.state is not None
        record = due.state.record
        self.used.add(record.id)
        self.images[record.id] = record.key, record.parent_id, record.version
        return True


class OutboxMachine(RuleBasedStateMachine):
    stalled: Bundle[Due] = Bundle("stalled")
    """Senders in the midst of one; those that are never heard of again crashed."""
    template: ClassVar[Template] = Template(Path(tempfile.mkdtemp()))

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.directory = tempfile.TemporaryDirectory()
        self.clock = Clock()
        path = Path(self.directory.name) / "ledger.db"
        url = self.run(self.template.copy(path))
        self.ledger = SqlLedger(url, new_id=Ids(), clock=self.clock, projecting=True)
        self.outbox = self.ledger.outbox
        self.service = Service()

    def teardown(self) -> None:
        try:
            self.run(self.converge())
            self.run(self.compare())
            assert self.run(self.outbox.lag()).count == 0
        finally:
            self.run(self.ledger.close())
            self.run(self.loop.shutdown_default_executor())
            self.loop.close()
            self.directory.cleanup()

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return self.loop.run_until_complete(work)

    # -- changes --------------------------------------------------------------------------------

    @rule(name=NAMES, word=WORDS, tag=TAGS, chain=CHAINS)
    def put(self, name: RepositoryName, word: str, tag: str, chain: tuple[str, ...]) -> None:
        self.run(self.ledger.put_manifest(put(name, word, tag, drafts=tagged(name, tag, *chain))))

    @rule(change=CHANGES, name=NAMES, word=WORDS, tag=TAGS, chain=CHAINS)
    def change(
        self, change: str, name: RepositoryName, word: str, tag: str, chain: tuple[str, ...]
    ) -> None:
        async def work() -> None:
            if change == "put index":
                await self.put_index(name, word, tag, chain)
            elif change == "delete tag":
                await self.ledger.delete_tag(name, Tag.parse(tag))
            elif change == "delete manifest":
                await self.ledger.delete_manifest(name, manifest(word).digest)
            else:
                record = await find_by_key(self.ledger, name.project, f"tag:{name.path}:{tag}")
                if change == "share":
                    await self.ledger.share_record(record.id, Visibility("shared"))
                elif self.service.images.pop(record.id, None):
                    await self.outbox.mark([record.id])

        with contextlib.suppress(ManifestUnknown):
            self.run(work())

    async def put_index(
        self, name: RepositoryName, word: str, tag: str, chain: tuple[str, ...]
    ) -> None:
        part = platform(name, word, *chain)
        top = tagged(name, tag, *chain, uses=(part[-1].key,))
        drafts = {each.key: each for each in (*top[:-1], *part, top[-1])}
        children = (manifest(word).digest,)
        await self.ledger.put_manifest(put(name, word))
        await self.ledger.put_manifest(
            put_index(name, "index", tag, children=children, drafts=tuple(drafts.values()))
        )

    @rule(seconds=st.sampled_from([30, 61, 400]))
    def time_passes(self, seconds: int) -> None:
        self.clock.now += seconds

    # -- senders --------------------------------------------------------------------------------

    @rule(target=stalled, limit=st.integers(1, 6), stalls=st.none() | st.integers(0, 5))
    def send(self, limit: int, stalls: int | None) -> Any:
        """One after the other; who stalls has begun that one, and holds the rest."""
        dues: list[Due] = self.run(self.outbox.lease_due(limit=limit, seconds=LEASE))
        for place, due in enumerate(dues):
            now: Due | None = self.run(self.outbox.begin(due, seconds=LEASE))
            if now is None:
                continue
            if now.state is not None:
                parent = now.state.record.parent_id
                assert parent is None or parent in self.service.images, "a child before its parent"
            if stalls is not None and place == stalls % len(dues):
                return now
            self.finish(now)
        return multiple()

    @rule(due=consumes(stalled), ending=st.sampled_from(["done", "done", "refused", "given back"]))
    def end(self, due: Due, ending: str) -> None:
        if ending == "done":
            self.finish(due)
        elif ending == "refused":
            self.run(self.outbox.refused(due, "no"))
        elif ending == "given back":
            self.run(self.outbox.give_back(due))

    def finish(self, due: Due) -> None:
        """Send *due*, perhaps after the lease has ended, and say so."""
        if self.service.take(due):
            self.run(self.outbox.done(due))
        else:
            self.run(self.outbox.rename(due, missed=True))

    # -- in the end -----------------------------------------------------------------------------

    async def converge(self) -> None:
        """One sender, who is quick and never fails."""
        while True:
            self.clock.now += 1000
            await self.outbox.unpark()
            dues = await self.outbox.lease_due(limit=99, seconds=LEASE)
            if not dues:
                return
            for due in dues:
                now = await self.outbox.begin(due, seconds=LEASE)
                if now is None:
                    continue
                if self.service.take(now):
                    await self.outbox.done(now)
                else:
                    await self.outbox.rename(now, missed=True)

    async def compare(self) -> None:
        """What waits for nothing is there as it is."""
        rows = select(schema.outbox.c.record_id)
        waiting = await self.ledger._database.read(lambda c: set(c.execute(rows).scalars()))
        records = []
        for hidden in ("true", "false"):
            filters = {"os_hidden": hidden}
            records += await self.ledger.list_records(projects=None, filters=filters, limit=999)
        expected = {each.id: (each.key, each.parent_id, each.version) for each in records}
        quiet = (expected.keys() | self.service.images.keys()) - waiting
        assert {each: self.service.images.get(each) for each in quiet} == {
            each: expected.get(each) for each in quiet
        }

    @invariant()
    def nothing_is_forgotten(self) -> None:
        self.run(self.compare())


OutboxMachine.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestOutbox = OutboxMachine.TestCase


def test_rows_sent_out_of_order_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leasing, "parent_waits", lambda *_: false())
    phases = [Phase.generate]  # the smallest example is of no use here
    hunt = settings(OutboxMachine.TestCase.settings, max_examples=400, database=None, phases=phases)
    with pytest.raises(AssertionError, match="a child before its parent"):
        run_state_machine_as_test(OutboxMachine, settings=hunt)
