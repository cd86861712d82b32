"""One run of the collector: plan, then sweep unless dry, the only one at a time."""

import asyncio
import contextlib
import time
import uuid
from collections.abc import AsyncIterator, Callable
from typing import Any

from registry.gc import plan as planning
from registry.gc import sweep
from registry.gc.plan import Plan
from registry.gc.policy import Rules, is_braked
from registry.gc.sweep import Report
from registry.oci.errors import RegistryError, StorageUnavailable
from registry.oci.names import RepositoryName
from registry.storage.ports.collection import Collection
from registry.storage.storage import Storage

JOB = "collect"
LEASE = 60.0
"""Seconds after which another may collect in place of one that fell silent."""


class Busy(Exception):
    """Somebody collects at this moment."""


async def run(
    storage: Storage,
    collection: Collection,
    rules: Rules,
    now: float,
    *,
    repository: RepositoryName | None = None,
    force: bool = False,
    progress: Callable[[str, int], None] = lambda *_: None,
) -> tuple[Plan, Report]:
    """Collect once. *force* releases the brake.

    Raises Busy, and StorageUnavailable while store and ledger disagree: then nothing may go.
    """
    async with alone(collection):
        if storage.disagreement is not None:
            raise StorageUnavailable(storage.disagreement)
        plan = await planning.make(
            collection, rules, now, repository=repository,
            progress=lambda count: progress("plan", count),
        )  # fmt: skip
        if is_braked(rules, plan.doomed, plan.totals) and not force:
            return plan, Report(braked=True)
        report = await sweep.execute(
            storage, collection, plan, rules, now, lambda count: progress("sweep", count)
        )
        return plan, report


@contextlib.asynccontextmanager
async def alone(collection: Collection, job: str = JOB) -> AsyncIterator[None]:
    """Be the only one at *job*; raises Busy. So ends, too, a run that lost its lease meanwhile.

    It is lost as well where the ledger was out of reach until its end.
    """
    holder = str(uuid.uuid4())
    ended, lost = asyncio.Event(), asyncio.Event()
    me = asyncio.current_task()
    assert me is not None

    async def renew() -> None:
        ends = time.monotonic() + LEASE
        while not await _passes(ended, LEASE / 4):
            asked = time.monotonic()
            with contextlib.suppress(RegistryError):  # the next try may come in time
                ends = asked + LEASE if await collection.lease(job, holder, LEASE) else asked
            if asked + LEASE / 4 >= ends:
                lost.set()
                me.cancel("another has taken the job over")
                return

    async def let_go(*asking: asyncio.Future[Any]) -> None:
        """Release the lease once no call is under way that may take it anew."""
        ended.set()
        await asyncio.wait(asking)
        with contextlib.suppress(RegistryError):  # it ends by itself
            await collection.release(job, holder)

    taking = asyncio.create_task(collection.lease(job, holder, LEASE))
    try:
        # A caller who is cancelled does not stop the ledger's thread, which takes the lease.
        if not await asyncio.shield(taking):
            raise Busy(job)
    except asyncio.CancelledError:
        await asyncio.shield(let_go(taking))
        raise
    renewing = asyncio.create_task(renew())
    try:
        try:
            yield
        finally:
            await asyncio.shield(let_go(renewing))
    except asyncio.CancelledError:
        if lost.is_set() and me.uncancel() == 0:  # by nobody else
            raise Busy(job) from None
        raise
    renewing.result()


async def _passes(event: asyncio.Event, seconds: float) -> bool:
    """Whether *event* comes within so many seconds."""
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(event.wait(), seconds)
    return event.is_set()
