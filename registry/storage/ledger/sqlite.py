"""One SQLite file: reads in the caller's thread, writes in one thread that shares commits."""

import asyncio
import contextlib
import fcntl
import os
import queue
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Generic, TypeVar

from sqlalchemy import Connection, create_engine, event, make_url
from sqlalchemy.pool import NullPool

from registry.oci.errors import StorageFull, StorageUnavailable
from registry.storage.faults import unavailable_on
from registry.storage.ledger.faults import translated
from registry.storage.ledger.place import refuse_network_file_system
from registry.storage.ledger.prepared import sqlite_driver

BUSY_SECONDS: Final = 30
"""For which a writer waits while other processes write."""
BATCH: Final = 64
"""Transactions at most that share one commit."""

Answer = TypeVar("Answer")


class SqliteDatabase:
    """Any number of processes use the same file, each with an object of this kind.

    Writes that queue up while a transaction commits go into the next one together, each in a
    savepoint of its own, and are answered after the one COMMIT: they share its fsync.
    """

    def __init__(self, url: str, options: Mapping[str, Any]) -> None:
        path = make_url(url).database
        if not path:
            raise StorageUnavailable("a SQLite ledger needs a file: sqlite:////path/ledger.db")
        refuse_network_file_system(Path(path))
        with unavailable_on(OSError):  # for the owner alone: it holds signing keys
            # Never opened here once it is there: closing it would drop the locks that other
            # connections of this process hold on it (sqlite.org/howtocorrupt.html, 2.2).
            with contextlib.suppress(FileExistsError):
                os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
            # Processes queue up here rather than in SQLite, whose waiters sleep and try again.
            self._turn = os.open(f"{path}-turn", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._path = Path(path)
        self._file = _identify(self._path)
        self.interruptions = 0
        self._options = options
        self._connections: list[Connection] = []
        with translated():
            self._reader = self._connect(url, synchronous="FULL", write=False)
            self._durable = self._connect(url, synchronous="FULL", write=True)
            # Session bookkeeping may lose its last moments in a power cut, but not in a crash: the
            # offset goes back, the client is told so, and the digest is verified in the end.
            self._quick = self._connect(url, synchronous="NORMAL", write=True)
        self.dialect = self._reader.dialect
        self._raw = sqlite_driver(self._reader)
        self._jobs: queue.SimpleQueue[_Job[Any] | None] = queue.SimpleQueue()
        self._closed = False
        self._reading = threading.Lock()
        self._thread = threading.Thread(target=self._serve, name="ledger", daemon=True)
        self._thread.start()

    async def fetch(self, sql: str, values: Any) -> list[Any]:
        """The rows of one hot query, on the driver itself and at once.

        Tens of microseconds need no thread: the way there and back takes ten times as long.
        """
        try:
            return self._raw.execute(sql, values).fetchall()
        except sqlite3.Error as error:
            raise StorageUnavailable(f"the ledger: {type(error).__name__}") from error

    async def read(self, work: Callable[[Connection], Answer]) -> Answer:
        """Carry out *work*, which only reads, at once."""
        with translated():
            return work(self._reader)

    async def read_aside(self, work: Callable[[Connection], Answer]) -> Answer:
        """The same in a thread, for what takes long; one at a time, and never beside ``read``."""

        def run() -> Answer:
            with self._reading, translated():
                return work(self._reader)

        return await asyncio.to_thread(run)

    async def write(self, work: Callable[[Connection], Answer], *, durable: bool = True) -> Answer:
        """Carry out *work* in a transaction; it has been committed when this answers.

        Where it raises, nothing of it is. A caller who is cancelled does not stop it.
        """
        if self._closed:
            raise StorageUnavailable("the ledger was closed")
        loop = asyncio.get_running_loop()
        job = _Job(work, durable, loop, loop.create_future())
        self._jobs.put(job)
        return await asyncio.shield(job.answer)

    def now(self, connection: Connection) -> float:
        """The database's clock: this machine's."""
        del connection
        return time.time()

    def check(self) -> None:
        """Raise StorageUnavailable if another file took the place of the one that is open here."""
        if _identify(self._path) != self._file:
            raise StorageUnavailable(
                f"another file was put in place of {self._path.name} under the running server: "
                "restart it, so that it opens that one"
            )

    async def close(self) -> None:
        """Let the writes that wait end, then the thread and the connections. Idempotent."""
        if self._closed:
            return
        self._closed = True
        self._jobs.put(None)
        await asyncio.to_thread(self._thread.join)
        for connection in self._connections:
            connection.close()
            connection.engine.dispose()
        os.close(self._turn)

    def _connect(self, url: str, *, synchronous: str, write: bool) -> Connection:
        engine = create_engine(
            url,
            poolclass=NullPool,
            execution_options=self._options,
            connect_args={"check_same_thread": False, "timeout": BUSY_SECONDS},
        )

        @event.listens_for(engine, "connect")
        def prepare(raw: sqlite3.Connection, _: object) -> None:
            raw.isolation_level = None  # BEGIN is said here, not guessed by the driver
            _use_wal(raw)
            raw.execute(f"PRAGMA synchronous={synchronous}")
            raw.execute("PRAGMA foreign_keys=ON")

        if write:

            @event.listens_for(engine, "begin")
            def begin(connection: Connection) -> None:
                connection.exec_driver_sql("BEGIN IMMEDIATE")

        connection = engine.connect()
        if not write:
            connection.execution_options(isolation_level="AUTOCOMMIT")
        self._connections.append(connection)
        return connection

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        fcntl.flock(self._turn, fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.flock(self._turn, fcntl.LOCK_UN)

    def _serve(self) -> None:
        ended = False
        while not ended:
            batch: list[_Job[Any]] = []
            job = self._jobs.get()
            while job is not None:
                batch.append(job)
                if len(batch) == BATCH or self._jobs.empty():
                    break
                job = self._jobs.get()
            ended = job is None
            if batch:
                self._carry_out(batch)

    def _carry_out(self, batch: list["_Job[Any]"]) -> None:
        connection = self._durable if any(job.durable for job in batch) else self._quick
        try:
            with translated(), self._alone(), connection.begin():
                outcomes = [_attempt(connection, job) for job in batch]
        except StorageFull as error:
            if len(batch) == 1:
                _tell([(batch[0], error)])
                return
            for job in batch:  # there may be room for some of them, above all for deletions
                self._carry_out([job])
        except Exception as error:  # noqa: BLE001 - whatever it is, the callers must hear of it
            _tell([(job, error) for job in batch])
        else:
            _tell(list(zip(batch, outcomes, strict=True)))


@dataclass(slots=True)
class _Job(Generic[Answer]):
    work: Callable[[Connection], Answer]
    durable: bool
    loop: asyncio.AbstractEventLoop
    answer: asyncio.Future[Answer]


@dataclass(frozen=True, slots=True)
class _Done:
    answer: Any


def _attempt(connection: Connection, job: _Job[Any]) -> _Done | Exception:
    """Carry out *job* within the open transaction; where it fails, nothing of it stays there.

    Raises where the whole transaction is lost: SQLite ends it by itself after some errors, and the
    driver's commit would not even say so.
    """
    raw = sqlite_driver(connection)
    raw.execute("SAVEPOINT job")
    try:
        with translated():
            outcome: _Done | Exception = _Done(job.work(connection))
    except Exception as error:
        if not raw.in_transaction:
            raise
        raw.execute("ROLLBACK TO job")
        outcome = error
    raw.execute("RELEASE job")
    return outcome


def _tell(outcomes: list[tuple[_Job[Any], _Done | Exception]]) -> None:
    """Answer the callers, each event loop woken once."""

    def tell(told: list[tuple[_Job[Any], _Done | Exception]]) -> None:
        for job, outcome in told:
            if job.answer.done():
                continue
            if isinstance(outcome, _Done):
                job.answer.set_result(outcome.answer)
            else:
                job.answer.set_exception(outcome)

    for loop in {job.loop for job, _ in outcomes}:
        here = [(job, outcome) for job, outcome in outcomes if job.loop is loop]
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(tell, here)


def _identify(path: Path) -> tuple[int, int] | None:
    """Which file *path* is; None if it is none any more."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _use_wal(raw: sqlite3.Connection) -> None:
    """Turn the file to WAL; of several processes at once one does it, and the others wait.

    SQLite does not wait by itself here (sqlite.org/c3ref/busy_handler.html: it may find that
    waiting would be a deadlock).
    """
    deadline = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            raw.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.01)
        else:
            return
