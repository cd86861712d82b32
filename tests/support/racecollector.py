"""One who collects beside all others: with the lease or without, by plans of any age, no grace."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable

from registry.gc import collect, plan, sweep
from registry.gc.plan import Plan
from registry.gc.policy import Rules
from registry.oci.errors import StorageUnavailable
from registry.storage.ports.collection import Collection
from registry.storage.storage import Storage
from support.racelog import Memory
from support.racestore import LateBlobStore

AHEAD = 30.0
"""Seconds by which a collector's clock may be ahead: no promise holds then, however fresh."""
KEPT = 5
"""Plans."""


class Collector:
    """He has no more right to be alone than the others have."""

    def __init__(
        self,
        storage: Storage,
        collection: Collection,
        store: LateBlobStore,
        memory: Memory,
        chance: random.Random,
        trash: float,
    ) -> None:
        """*trash*: the term of what was deleted, in seconds."""
        self._storage = storage
        self._collection = collection
        self._store = store
        self._memory = memory
        self._chance = chance
        self._trash = trash
        self._plans: list[Plan] = []

    @property
    def deeds(self) -> dict[Callable[[], Awaitable[str]], int]:
        """How often each is done, beside the others."""
        return {
            self.collect: 5,
            self.plan: 3,
            self.sweep_by_an_old_plan: 4,
            self.do_late_deletions: 1,
            self.fold_the_journal: 1,
        }

    async def live(self, is_over: Callable[[], bool]) -> None:
        """Go on until *is_over*."""
        deeds = self.deeds
        while not is_over():
            (deed,) = self._chance.choices([*deeds], [*deeds.values()])
            await self.do(deed)
            await asyncio.sleep(self._chance.uniform(0, 0.05))

    async def do(self, deed: Callable[[], Awaitable[str]]) -> None:
        """Do it, and note what came of it."""
        began = time.monotonic()
        outcome = await deed()
        self._memory.did(deed.__name__, began, outcome)

    async def collect(self) -> str:
        now, rules = self._terms()
        try:
            _, report = await collect.run(self._storage, self._collection, rules, now, force=True)
        except collect.Busy:
            return "another did"
        return _told(report)

    async def plan(self) -> str:
        now, rules = self._terms()
        self._plans = [*self._plans, await plan.make(self._collection, rules, now)][-KEPT:]
        return "made"

    async def sweep_by_an_old_plan(self) -> str:
        """Others may sweep at this moment, and may have carried it out already."""
        if not self._plans:
            return "no plan"
        now, rules = self._terms()
        chosen = self._chance.choice(self._plans)
        return _told(await sweep.execute(self._storage, self._collection, chosen, rules, now))

    async def do_late_deletions(self) -> str:
        await self._store.catch_up(self._chance.random())
        return "done"

    async def fold_the_journal(self) -> str:
        try:
            folded = await self._storage.journal.fold()
        except StorageUnavailable:
            return "another reads"
        return "folded" if folded is not None else "nothing to fold"

    def _terms(self) -> tuple[float, Rules]:
        ahead = self._chance.choice([0.0, AHEAD])
        rules = Rules(grace=0, uploads=0, trash=self._trash + ahead, untagged=0)
        return time.time() + ahead, rules


def _told(report: sweep.Report) -> str:
    return "took something" if report.links or report.objects or report.manifests else "nothing"
