"""A PostgreSQL server: every call in one of a few threads, each with a connection of the pool."""

import asyncio
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, TypeVar

import psycopg
from psycopg.types.string import StrDumperUnknown
from sqlalchemy import Connection, ExceptionContext, create_engine, event, make_url, text
from sqlalchemy.exc import DBAPIError

from registry.oci.errors import StorageUnavailable
from registry.storage.ledger.faults import translated

POOL: Final = 16
"""Connections at most, of one process."""
LIMITS: Final = {
    "connect_timeout": 5,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 20_000,
}
"""libpq's: how long a server that is out of reach is waited for, unless the URL says otherwise.
Seconds, but the last: milliseconds."""
RETRIES: Final = 6
"""Of a transaction that PostgreSQL broke off because of others."""
_BROKEN_OFF: Final = {"40001", "40P01", "23503", "23505"}
"""serialization_failure, deadlock_detected; foreign_key_violation and unique_violation, where
another transaction was faster than a check in this one: the next attempt sees what it did."""

Answer = TypeVar("Answer")


def settings(connection: Connection, names: Sequence[str]) -> Mapping[str, str]:
    """The server's settings of these names; none of SQLite."""
    if connection.dialect.name != "postgresql":
        return {}
    query = text("SELECT name, setting FROM pg_settings WHERE name = ANY(:names)")
    rows = connection.execute(query, {"names": list(names)})
    return {row.name: row.setting for row in rows}


class PostgresqlDatabase:
    """READ COMMITTED; what must not change under a transaction is locked by it."""

    def __init__(self, url: str, options: Mapping[str, Any]) -> None:
        said = make_url(url).query
        self._engine = create_engine(
            url,
            connect_args={name: value for name, value in LIMITS.items() if name not in said},
            pool_size=POOL,
            max_overflow=0,
            pool_pre_ping=True,
            isolation_level="READ COMMITTED",
            execution_options=options,
        )
        self._reading = self._engine.execution_options(isolation_level="AUTOCOMMIT")
        event.listen(self._engine, "connect", self._welcome)
        event.listen(self._engine, "handle_error", self._notice)
        self.interruptions = 0
        self._counting = threading.Lock()
        self._started: object = None
        """When the server did that the last connection was made to."""
        self.dialect = self._engine.dialect
        self._threads = ThreadPoolExecutor(POOL, "ledger")
        self._closed = False

    async def fetch(self, sql: str, values: Any) -> list[Any]:
        """The rows of one hot query."""

        def work(connection: Connection) -> list[Any]:
            return list(connection.exec_driver_sql(sql, values).fetchall())

        return await self.read(work)

    async def read(self, work: Callable[[Connection], Answer]) -> Answer:
        """Carry out *work*, which only reads."""

        def run() -> Answer:
            with translated(), self._reading.connect() as connection:
                return work(connection)

        return await self._in_thread(run)

    async def read_aside(self, work: Callable[[Connection], Answer]) -> Answer:
        """The same, for what takes long."""
        return await self.read(work)

    async def write(self, work: Callable[[Connection], Answer], *, durable: bool = True) -> Answer:
        """Carry out *work* in a transaction; it has been committed when this answers.

        Where it raises, nothing of it is. A caller who is cancelled does not stop it.
        """

        def attempt() -> Answer:
            with self._engine.begin() as connection:
                if not durable:
                    # As with SQLite: what a power cut may take here is harmless.
                    connection.execute(text("SET LOCAL synchronous_commit = off"))
                return work(connection)

        def run() -> Answer:
            with translated():
                for tried in range(RETRIES):
                    try:
                        return attempt()
                    except DBAPIError as error:
                        if getattr(error.orig, "sqlstate", None) not in _BROKEN_OFF:
                            raise
                        time.sleep(0.005 * 2**tried)
                return attempt()

        return await self._in_thread(run)

    def now(self, connection: Connection) -> float:
        """The server's clock, which all replicas share."""
        clock = text("SELECT extract(epoch FROM clock_timestamp())::double precision")
        return float(connection.execute(clock).scalar_one())

    async def close(self) -> None:
        """End the threads and the connections. Idempotent."""
        self._closed = True
        await asyncio.to_thread(self._threads.shutdown)
        self._engine.dispose()

    def check(self) -> None:
        """Another server shows itself by itself."""

    def _welcome(self, raw: psycopg.Connection[Any], _: object) -> None:
        """A new connection: to the server of the others, or to another or restarted one?"""
        raw.adapters.register_dumper(str, _TextDumper)
        started = raw.execute("SELECT pg_postmaster_start_time()").fetchone()
        raw.rollback()
        if self._started not in {None, started}:
            self._interrupted()
        self._started = started

    def _notice(self, context: ExceptionContext) -> None:
        """Before any new connection takes the place of the one that broke."""
        if context.is_disconnect:
            self._interrupted()

    def _interrupted(self) -> None:
        with self._counting:
            self.interruptions += 1

    async def _in_thread(self, run: Callable[[], Answer]) -> Answer:
        if self._closed:
            raise StorageUnavailable("the ledger was closed")
        return await asyncio.get_running_loop().run_in_executor(self._threads, run)


class _TextDumper(StrDumperUnknown):
    """PostgreSQL holds no NUL in its texts: whoever asks for one finds nothing, as he should.

    For U+FFFF is no character, and none of the registry's names and types holds it.
    """

    def dump(self, obj: str) -> Any:
        return super().dump(obj.replace("\0", "\uffff"))
