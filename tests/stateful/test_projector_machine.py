"""Projectors that fail, are slow and are overtaken, and what an image service has in the end."""

import asyncio
from typing import Any, cast

from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, consumes, multiple, rule
from sqlalchemy import select

from registry.catalogue.projector import LEASE, Outcomes
from registry.storage.images import image_of
from registry.storage.ledger import schema
from registry.storage.ports.images import Image
from stateful.test_outbox_machine import OutboxMachine
from support.catalogue import FAR, SpoiltImageService, catalogue_over

ROUNDS = 30
"""More than any chain of records takes, and of fresh ids for them."""

Sending = asyncio.Task[Outcomes]


class GatedImageService(SpoiltImageService):
    """One that can hold a caller up before what he does is done."""

    def __init__(self) -> None:
        super().__init__()
        self.gates: list[asyncio.Event] = []
        """One for each of the next calls that write, until it is open."""
        self.held: asyncio.Event | None = None

    async def create(self, image: Image) -> None:
        await self._pass()
        await super().create(image)

    async def change(self, before: Image, after: Image) -> None:
        await self._pass()
        await super().change(before, after)

    async def delete(self, image: str) -> None:
        await self._pass()
        await super().delete(image)

    async def _pass(self) -> None:
        if self.gates:
            gate = self.gates.pop()
            self.held = gate
            await gate.wait()


class ProjectorMachine(OutboxMachine):
    sending: Bundle[tuple[Sending, asyncio.Event]] = Bundle("sending")

    def __init__(self) -> None:
        super().__init__()
        self.images = GatedImageService()
        self.service = cast("Any", self.images)  # for what people delete out there
        self.catalogue = catalogue_over(self.ledger, self.images, self.clock)
        self.held: list[tuple[Sending, asyncio.Event]] = []

    def teardown(self) -> None:
        try:
            for task, gate in self.held:
                self.go_on(task, gate)
            self.run(self.converge())
            self.run(self.catalogue.hold_same())
        finally:
            self.run(self.catalogue.storage.flusher.close())
            self.run(self.ledger.close())
            self.run(self.loop.shutdown_default_executor())
            self.loop.close()
            self.directory.cleanup()

    @rule(limit=st.integers(1, 9), before=st.integers(0, 3), after=st.integers(0, 3))
    def send(self, limit: int, before: int, after: int) -> None:  # type: ignore[override]
        """A round on which some calls fail, and some answers get lost."""
        self.images.before, self.images.after = before, after
        self.run(self.catalogue.projector.send(limit))
        self.images.before = self.images.after = 0

    @rule(target=sending)
    def stall(self) -> Any:
        """A round that is held up in its midst."""
        gate = asyncio.Event()
        self.images.gates, self.images.held = [gate], None

        async def begin() -> Sending:
            task = asyncio.create_task(self.catalogue.projector.send(1))
            while not task.done() and self.images.held is not gate:  # noqa: ASYNC110
                await asyncio.sleep(0.001)
            return task

        task: Sending = self.run(begin())
        self.images.gates = []
        if task.done():
            task.result()
            return multiple()
        self.held.append((task, gate))
        return task, gate

    @rule(one=consumes(sending), late=st.booleans())
    def end(self, one: tuple[Sending, asyncio.Event], late: bool) -> None:
        if late:
            self.clock.now += LEASE + 1
            self.run(self.catalogue.projector.send(99))
        self.held.remove(one)
        self.go_on(*one)

    def go_on(self, task: Sending, gate: asyncio.Event) -> None:
        gate.set()
        self.run(asyncio.wait_for(task, 30))

    async def converge(self) -> None:
        outcomes = Outcomes()
        for _ in range(ROUNDS):
            self.clock.now += FAR
            await self.ledger.outbox.unpark()
            outcomes = await self.catalogue.projector.send(99)
            if not outcomes:
                return
        raise AssertionError(f"it never ends: {outcomes}")

    async def compare(self) -> None:
        """What waits for nothing is there as it is."""
        rows = select(schema.outbox.c.record_id)
        waiting = await self.ledger._database.read(lambda c: set(c.execute(rows).scalars()))
        expected: dict[str, Image] = {}
        for hidden in ("true", "false"):
            filters = {"os_hidden": hidden}
            found = await self.ledger.list_records(projects=None, filters=filters, limit=999)
            expected |= {each.id: image_of(each) for each in found}
        quiet = (expected.keys() | self.images.images.keys()) - waiting
        assert {each: self.images.images.get(each) for each in quiet} == {
            each: expected.get(each) for each in quiet
        }


ProjectorMachine.TestCase.settings = settings(
    max_examples=25,
    stateful_step_count=25,
    deadline=None,
    phases=[Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink],
)
TestProjector = ProjectorMachine.TestCase
