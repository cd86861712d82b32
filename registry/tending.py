"""Looks after the image records in the cloud: of all workers and replicas, one at a time."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, Never

from registry.catalogue.projector import Projector
from registry.catalogue.reconciler import Reconciler
from registry.gc import collect
from registry.oci.errors import RegistryError
from registry.storage.ports.collection import Collection
from registry.storage.ports.projection import Outbox, Sightings

JOB: Final = "images"
AGAIN: Final = 5.0
"""Seconds until somebody who could not begin, or could not go on, tries again."""
LOOK: Final = 0.1
"""Seconds between two looks for records that a push waits for."""
_log = logging.getLogger(__name__)

Sleep = Callable[[float], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Tender:
    """Sends records, and looks every *seconds* (0: never) for what was said out there."""

    projector: Projector
    reconciler: Reconciler
    outbox: Outbox
    sightings: Sightings
    collection: Collection
    seconds: float

    async def run(self, *, sleep: Sleep = asyncio.sleep) -> Never:
        """Tend whenever nobody else does."""
        while True:
            term = asyncio.create_task(self._tend())
            try:
                await asyncio.wait({term})
            finally:
                if not term.done():
                    term.cancel()
                    await asyncio.wait({term})
                _tell(term)
            await sleep(AGAIN)

    async def _tend(self) -> None:
        async with collect.alone(self.collection, JOB):
            await self._begin()
            async with asyncio.TaskGroup() as group:
                group.create_task(self.projector.run())
                if self.seconds:
                    group.create_task(self._look())

    async def _begin(self) -> None:
        """A ledger of which nothing was ever sent is sent whole: nobody did until now."""
        lag = await self.outbox.lag()
        if not lag.count and not lag.parked and not await self.sightings.list_sent(limit=1):
            count = await self.outbox.mark_all()
            _log.info("%s records go to the image service", count)

    async def _look(self) -> None:
        while True:
            try:
                report = await self.reconciler.sweep()
                _log.info("looked after records: %s", report)
            except RegistryError as error:
                _log.warning("not looked after records now: %s", error)
            await asyncio.sleep(self.seconds)


def _tell(term: asyncio.Task[None]) -> None:
    """What ended a term, for people; another replica's being at it is nothing to tell."""
    if term.cancelled():
        return
    error = term.exception()
    if isinstance(error, ExceptionGroup):
        expected, others = error.split(RegistryError)
        error = others or (expected.exceptions[0] if expected else None)
    if isinstance(error, RegistryError):
        _log.warning("records are not sent now: %s", error)
    elif error is not None and not isinstance(error, collect.Busy):
        _log.error("records are not sent now", exc_info=error)


@dataclass(frozen=True, slots=True)
class Arrival:
    """Waits for *seconds* at most until a project's records have arrived."""

    outbox: Outbox
    seconds: float
    sleep: Sleep = asyncio.sleep

    async def __call__(self, project: str) -> str | None:
        """Why a client should not look for them yet; None where all are there."""
        left = self.seconds
        while left > 0:
            try:
                lag = await self.outbox.lag(project)
            except RegistryError:  # what was pushed is acknowledged all the same
                break
            if lag.count == 0:
                refused = "some image records were refused: ask the operator"
                return refused if lag.parked else None
            await self.sleep(LOOK)
            left -= LOOK
        return f"the image records are not in the image service after {self.seconds:g} s"
