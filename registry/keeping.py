"""What a server does by itself for its stores: of all workers and replicas, one at a time."""

import asyncio
import logging
import time
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, Never

from registry import metrics
from registry.gc import collect, fsck, orphans
from registry.gc.policy import DAY, HOUR, Rules
from registry.oci.errors import RegistryError
from registry.storage.ports.collection import Collection
from registry.storage.storage import Storage

PAUSE: Final = 0.5
"""Seconds between two pages of a listing of the store: nothing waits for it."""
SWEPT: Final = "orphans-of-the-day"
"""The lease that remembers that the store was listed lately."""
_log = logging.getLogger("berth")


@dataclass(frozen=True, slots=True, kw_only=True)
class Keeper:
    """Collects, sweeps orphans once a day, hashes blobs anew, and tells how that stands."""

    storage: Storage
    collection: Collection
    rules: Rules
    every: float
    """Seconds between collections; 0: none, and no orphans are swept."""
    verify: float
    """Seconds within which each blob is hashed anew; 0: none is."""
    rate: float
    """Bytes a second that are read for it, at most."""

    async def run(self) -> Never:
        """Until cancelled."""
        async with asyncio.TaskGroup() as group:
            if self.every:
                group.create_task(_now_and_then(self.every, self.collect))
                group.create_task(_now_and_then(HOUR, self.sweep_orphans))
            if self.verify:
                group.create_task(_now_and_then(HOUR, self.hash_anew))
            group.create_task(_now_and_then(60.0, self.tell))
        raise AssertionError  # they never end by themselves

    async def collect(self) -> None:
        """Once."""
        _, report = await collect.run(self.storage, self.collection, self.rules, time.time())
        _log.info("collected: %s", report)

    async def sweep_orphans(self) -> None:
        """Once a day, whoever of all replicas comes first."""
        mark = str(uuid.uuid4())
        if not await self.collection.lease(SWEPT, mark, DAY):
            return
        try:
            async with collect.alone(self.collection, orphans.JOB):
                found = await orphans.sweep(
                    self.storage, self.collection, self.rules, time.time(), pause=PAUSE
                )
        except BaseException:
            await self.collection.release(SWEPT, mark)
            raise
        _log.info(
            "orphans: %s of %s objects, removed %s, uploads %s, braked %s",
            found.objects, found.listed.blobs, found.removed, found.uploads, found.braked,
        )  # fmt: skip

    async def hash_anew(self) -> None:
        """What was not for long."""
        async with collect.alone(self.collection, fsck.JOB):
            before = time.time() - self.verify
            verdict = await fsck.check(self.storage, self.collection, before=before, rate=self.rate)
        for blob in verdict.bad:
            _log.error("bad: %s, object %s: absent until it is pushed again", blob.digest,
                       blob.object)  # fmt: skip

    async def tell(self) -> None:
        """How old the oldest verification is, and how many blobs are bad."""
        oldest = await self.collection.oldest_verified()
        age = 0.0 if oldest is None else max(0.0, time.time() - oldest)
        metrics.tell_verified(age, await self.collection.count_bad())


async def _now_and_then(seconds: float, work: Callable[[], Awaitable[None]]) -> Never:
    while True:
        await asyncio.sleep(seconds)
        try:
            await work()
        except collect.Busy:
            continue
        except RegistryError as error:
            _log.warning("not now: %s: %s", work.__name__, error)
