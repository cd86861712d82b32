"""Two transactions that meet at one lock, in the order that a test says."""

import asyncio
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection, text

from registry.oci.errors import RegistryError
from registry.storage.ledger.database import Database

Work = Callable[[Connection], Any]
"""What a transaction does."""

PATIENCE: Final = 30.0
"""Seconds."""
_WAITING: Final = text(
    "SELECT query, pg_blocking_pids(pid) AS blockers FROM pg_stat_activity "
    "WHERE pid = :pid AND wait_event_type = 'Lock'"
)


@dataclass(frozen=True, slots=True)
class Met:
    """How a meeting went."""

    first: Any
    """What the first transaction answered, or the RegistryError that it raised."""
    second: Any
    query: str
    """The statement in which the second one waited for the first."""


async def meet(one: Database, other: Database, first: Work, second: Work) -> Met:
    """Begin *second* when all of *first* but its COMMIT is done; go on once it waits for it."""
    done, go_on = threading.Event(), threading.Event()
    pids: dict[str, int] = {}

    def hold(connection: Connection) -> Any:
        pids["first"] = _pid(connection)
        try:
            return first(connection)
        finally:
            done.set()
            assert go_on.wait(PATIENCE)

    def follow(connection: Connection) -> Any:
        pids["second"] = _pid(connection)
        return second(connection)

    holding = asyncio.create_task(_outcome(one, hold))
    assert await asyncio.to_thread(done.wait, PATIENCE)
    following = asyncio.create_task(_outcome(other, follow))
    try:
        query = await _see_waiting(other, pids, following)
    finally:
        go_on.set()
        await asyncio.wait({holding, following})
    return Met(holding.result(), following.result(), query)


async def _see_waiting(other: Database, pids: dict[str, int], following: asyncio.Task[Any]) -> str:
    async with asyncio.timeout(PATIENCE):
        while not following.done():
            if "second" in pids:
                rows = await other.read(
                    lambda c: c.execute(_WAITING, {"pid": pids["second"]}).all()
                )
                if rows and pids["first"] in rows[0].blockers:
                    return str(rows[0].query)
            await asyncio.sleep(0.01)
    raise AssertionError(f"the second does not wait: {following.result()!r}")


async def _outcome(database: Database, work: Work) -> Any:
    try:
        return await database.write(work)
    except RegistryError as error:
        return error


def _pid(connection: Connection) -> int:
    return int(connection.exec_driver_sql("SELECT pg_backend_pid()").scalar_one())
