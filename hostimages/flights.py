"""One job for each thing, however many wait for it; a job runs in a thread."""

import asyncio
from collections.abc import Callable, Hashable
from concurrent.futures import Executor
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from hostimages.wire import Watch

T = TypeVar("T")


@dataclass(slots=True)
class Flight(Generic[T]):
    """A job under way."""

    future: asyncio.Future[None]
    watch: Watch
    about: T
    """What its starter said of it."""
    waiters: int = field(default=0)


class Flights(Generic[T]):
    """The jobs under way, by what they are for."""

    def __init__(self, executor: Executor) -> None:
        self._executor = executor
        self._under_way: dict[Hashable, Flight[T]] = {}

    def under_way(self) -> list[Flight[T]]:
        """Jobs that run or wait for a thread, in the order of their beginning."""
        return list(self._under_way.values())

    def find(self, key: Hashable) -> Flight[T] | None:
        """The job for *key* that somebody has begun."""
        return self._under_way.get(key)

    def begin(self, key: Hashable, job: Callable[[Watch], None], watch: Watch, about: T) -> None:
        """Begin the job for *key*; there is none so far."""
        future = asyncio.get_running_loop().run_in_executor(self._executor, job, watch)
        flight = Flight(future, watch, about)
        self._under_way[key] = flight

        def land(done: asyncio.Future[None]) -> None:
            if self._under_way.get(key) is flight:
                del self._under_way[key]
            if not done.cancelled():
                done.exception()  # heard, even if the last waiter has gone

        future.add_done_callback(land)

    async def wait(self, key: Hashable) -> None:
        """Wait for the job of *key*; it ends early only when the last who waited is cancelled."""
        flight = self._under_way[key]
        flight.waiters += 1
        try:
            await asyncio.shield(flight.future)
        finally:
            flight.waiters -= 1
            if not flight.waiters and not flight.future.done():
                if self._under_way.get(key) is flight:
                    del self._under_way[key]  # who comes now begins anew
                flight.watch.cancel()
                flight.future.cancel()
