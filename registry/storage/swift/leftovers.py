"""Work that nobody waits for: objects that are not needed any more."""

import asyncio
import logging
import time
from collections.abc import Coroutine
from typing import Final

from registry.oci.errors import RegistryError

AT_ONCE: Final = 4
MOST: Final = 10_000
"""Pieces of work that may wait; beyond that they are left to the orphan sweep."""

_log = logging.getLogger("berth.swift")


class Leftovers:
    """Does what it is given, a few pieces at a time; what fails is told in the log only."""

    def __init__(self) -> None:
        self._slots = asyncio.Semaphore(AT_ONCE)
        self._tasks: set[asyncio.Task[None]] = set()

    def add(self, work: Coroutine[None, None, None]) -> None:
        """Do *work* some time soon."""
        if len(self._tasks) >= MOST:
            work.close()
            _log.warning("too much is left over in Swift; a sweep has to find it")
            return
        task = asyncio.create_task(self._do(work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def settle(self, seconds: float | None = None) -> None:
        """Answer once nothing waits; what still does after *seconds* is given up."""
        end = None if seconds is None else time.monotonic() + seconds
        while self._tasks:
            left = None if end is None else max(0.0, end - time.monotonic())
            _, waiting = await asyncio.wait(self._tasks, timeout=left)
            if waiting:
                _log.warning("%d things are left over in Swift", len(waiting))
            for task in waiting:
                task.cancel()

    async def _do(self, work: Coroutine[None, None, None]) -> None:
        async with self._slots:
            try:
                await work
            except RegistryError as error:
                _log.warning("something is left over in Swift: %s", error)
