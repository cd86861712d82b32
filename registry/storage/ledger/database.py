"""Connections to SQLite or PostgreSQL, and how a transaction is run on each."""

import asyncio
import fcntl
import os
import queue
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from sqlalchemy import Connection, create_engine, event, make_url, text
from sqlalchemy.exc import DBAPIError, OperationalError, SQLAlchemyError
from sqlalchemy.pool import NullPool

from registry.oci.errors import RegistryError, StorageFull, StorageUnavailable
from registry.storage.ledger.place import refuse_network_file_system

BUSY_SECONDS = 30
"""For which a writer waits while other processes write."""
BATCH = 64
"""Transactions at most that share one commit."""
POOL = 16
"""Connections to PostgreSQL at most, of one process."""
RETRIES = 5
"""Of a transaction that PostgreSQL broke off because of others."""
_BROKEN_OFF = {"40001", "40P01"}
"""serialization_failure, deadlock_detected."""

Answer = TypeVar("Answer")
Work = Callable[[Connection], Answer]


@contextmanager
def translated() -> Iterator[None]:
    """Turn the drivers' exceptions into the registry's; a full disk keeps its own name."""
    try:
        yield
    except (SQLAlchemyError, sqlite3.Error) as error:
        cause = error.orig if isinstance(error, DBAPIError) else error
        if isinstance(cause, sqlite3.OperationalError) and "full" in str(cause):
            raise StorageFull("the ledger's disk is full") from error
        raise StorageUnavailable(f"the ledger: {type(cause).__name__}") from error


class SqliteDatabase:
    """One file; reads in the caller's thread, writes in one thread that shares commits.

    Writes that queue up while a transaction commits go into the next one together, each in a
    savepoint of its own, and are answered after the one COMMIT: they share its fsync.
    """

    dialect_name = "sqlite"

    def __init__(self, url: str) -> None:
        path = make_url(url).database
        if not path:
            raise StorageUnavailable("a SQLite ledger needs a file: sqlite:////path/ledger.db")
        refuse_network_file_system(Path(path))
        with translated():
            self._reader = self._connect(url, synchronous="FULL", write=False)
            self._durable = self._connect(url, synchronous="FULL", write=True)
            # Session bookkeeping may lose its last moments in a power cut, but not in a crash: the
            # offset goes back, the client is told so, and the digest is verified in the end.
            self._quick = self._connect(url, synchronous="NORMAL", write=True)
        self.dialect = self._reader.dialect
        raw = self._reader.connection.driver_connection
        assert isinstance(raw, sqlite3.Connection)
        self._raw = raw
        # Processes queue up here rather than in SQLite, whose waiters sleep and try again.
        self._turn = os.open(f"{path}-turn", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._jobs: queue.SimpleQueue[_Job[Any] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._serve, name="ledger", daemon=True)
        self._thread.start()

    def rows(self, sql: str, values: Any) -> list[Any]:
        """The rows of one hot query, on the driver itself: a tenth of the time."""
        try:
            return self._raw.execute(sql, values).fetchall()
        except sqlite3.Error as error:
            raise StorageUnavailable(f"the ledger: {type(error).__name__}") from error

    async def fetch(self, sql: str, values: Any) -> list[Any]:
        """``rows``, at once: tens of microseconds need no thread."""
        return self.rows(sql, values)

    async def read(self, work: Work[Answer]) -> Answer:
        """Carry out *work*, which only reads, at once."""
        with translated():
            return work(self._reader)

    async def write(self, work: Work[Answer], *, durable: bool = True) -> Answer:
        """Carry out *work* in a transaction; it has been committed when this answers."""
        loop = asyncio.get_running_loop()
        job = _Job(work, durable, loop, loop.create_future())
        self._jobs.put(job)
        return await asyncio.shield(job.answer)

    def now(self, connection: Connection) -> float:
        """The database's clock: this machine's."""
        del connection
        return time.time()

    async def close(self) -> None:
        """End the thread and the connections."""
        self._jobs.put(None)
        await asyncio.to_thread(self._thread.join)
        for connection in (self._reader, self._durable, self._quick):
            connection.close()
            connection.engine.dispose()
        os.close(self._turn)

    def _connect(self, url: str, *, synchronous: str, write: bool) -> Connection:
        engine = create_engine(
            url,
            poolclass=NullPool,
            connect_args={"check_same_thread": False, "timeout": BUSY_SECONDS},
        )

        @event.listens_for(engine, "connect")
        def prepare(raw: sqlite3.Connection, _: object) -> None:
            raw.isolation_level = None  # BEGIN is said here, not guessed by the driver
            raw.execute("PRAGMA journal_mode=WAL")
            raw.execute(f"PRAGMA synchronous={synchronous}")
            raw.execute("PRAGMA foreign_keys=ON")

        if write:

            @event.listens_for(engine, "begin")
            def begin(connection: Connection) -> None:
                connection.exec_driver_sql("BEGIN IMMEDIATE")

            return engine.connect()
        return engine.connect().execution_options(isolation_level="AUTOCOMMIT")

    @contextmanager
    def _alone(self) -> Iterator[None]:
        fcntl.flock(self._turn, fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.flock(self._turn, fcntl.LOCK_UN)

    def _serve(self) -> None:
        while (job := self._jobs.get()) is not None:
            batch = [job]
            ended = False
            while len(batch) < BATCH and not self._jobs.empty():
                following = self._jobs.get()
                if following is None:
                    ended = True
                    break
                batch.append(following)
            self._carry_out(batch)
            if ended:
                return

    def _carry_out(self, batch: list["_Job[Any]"]) -> None:
        connection = self._durable if any(job.durable for job in batch) else self._quick
        done: list[tuple[_Job[Any], Any]] = []
        try:
            with translated(), self._alone(), connection.begin():
                for job in batch:
                    try:
                        with translated(), connection.begin_nested():
                            done.append((job, job.work(connection)))
                    except RegistryError as error:
                        job.fail(error)  # and of this job alone nothing is committed
        except Exception as error:  # noqa: BLE001 - whatever it is, the callers must hear of it
            for job in batch:
                job.fail(error)
        else:
            for job, answer in done:
                job.succeed(answer)


@dataclass(slots=True)
class _Job(Generic[Answer]):
    work: Work[Answer]
    durable: bool
    loop: asyncio.AbstractEventLoop
    answer: asyncio.Future[Answer]

    def succeed(self, answer: Answer) -> None:
        self._tell(lambda: self.answer.set_result(answer))

    def fail(self, error: Exception) -> None:
        self._tell(lambda: self.answer.set_exception(error))

    def _tell(self, tell: Callable[[], None]) -> None:
        def once() -> None:
            if not self.answer.done():
                tell()

        self.loop.call_soon_threadsafe(once)


class PostgresqlDatabase:
    """A server; every call in one of POOL threads, each with a connection of the pool."""

    dialect_name = "postgresql"

    def __init__(self, url: str) -> None:
        self._engine = create_engine(
            url,
            pool_size=POOL,
            max_overflow=0,
            pool_pre_ping=True,
            isolation_level="READ COMMITTED",
        )
        self.dialect = self._engine.dialect
        self._threads = ThreadPoolExecutor(POOL, "ledger")

    async def fetch(self, sql: str, values: Any) -> list[Any]:
        """The rows of one hot query."""

        def work(connection: Connection) -> list[Any]:
            return list(connection.exec_driver_sql(sql, values).fetchall())

        return await self.read(work)

    async def read(self, work: Work[Answer]) -> Answer:
        """Carry out *work*, which only reads."""

        def run() -> Answer:
            with translated(), self._engine.connect() as connection:
                return work(connection)

        return await asyncio.get_running_loop().run_in_executor(self._threads, run)

    async def write(self, work: Work[Answer], *, durable: bool = True) -> Answer:
        """Carry out *work* in a transaction; it has been committed when this answers."""

        def run() -> Answer:
            for attempt in range(RETRIES):
                try:
                    with self._engine.begin() as connection:
                        if not durable:
                            connection.execute(text("SET LOCAL synchronous_commit = off"))
                        return work(connection)
                except OperationalError as error:
                    state = getattr(error.orig, "sqlstate", None)
                    if state not in _BROKEN_OFF or attempt == RETRIES - 1:
                        raise
                    time.sleep(0.01 * 2**attempt)
            raise AssertionError

        def told() -> Answer:
            with translated():
                return run()

        return await asyncio.get_running_loop().run_in_executor(self._threads, told)

    def now(self, connection: Connection) -> float:
        """The server's clock, which all replicas share."""
        clock = text("SELECT extract(epoch FROM clock_timestamp())::double precision")
        return float(connection.execute(clock).scalar_one())

    async def close(self) -> None:
        """End the threads and the connections."""
        await asyncio.to_thread(self._threads.shutdown)
        self._engine.dispose()


Database = SqliteDatabase | PostgresqlDatabase


def open_database(url: str) -> Database:
    """Connect; raises StorageUnavailable."""
    name = make_url(url).get_backend_name()
    if name == "sqlite":
        return SqliteDatabase(url)
    if name == "postgresql":
        return PostgresqlDatabase(url)
    raise StorageUnavailable(f"a ledger lies in SQLite or PostgreSQL, not in {name}")
