"""Every port's calls, watched: where a process can be made to die.

The points are not written by hand: they are the methods of the ports' protocols, each before and
after, and each transaction of the ledger, before and after its COMMIT.
"""

import inspect
import os
import signal
import threading
from collections import Counter
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

from sqlalchemy.engine.default import DefaultDialect

from registry.storage.ports.blobs import BlobStore, SegmentWriter
from registry.storage.ports.journal import Journal
from registry.storage.ports.ledger import Ledger

PORTS = (BlobStore, Journal, Ledger, SegmentWriter)
COMMIT = "Transaction.commit"


def methods(port: type) -> list[str]:
    """The names of a port's methods."""
    return [name for name, value in vars(port).items() if callable(value) and name[0] != "_"]


def all_points() -> list[str]:
    """Every point there is."""
    calls = [f"{port.__name__}.{name}" for port in PORTS for name in methods(port)]
    return [f"{call}:{edge}" for call in [*calls, COMMIT] for edge in ("before", "after")]


class FaultPoints:
    """Counts how often each point is reached, in a file that outlives the process."""

    def __init__(self, log: Path, deadly: tuple[str, int] | None = None) -> None:
        """Die by SIGKILL at the *deadly* point, when it is reached for the n-th time (from 1)."""
        self._log = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self._deadly = deadly
        self._counts: Counter[str] = Counter()
        self._lock = threading.Lock()

    def reach(self, point: str) -> None:
        """Count *point*, and die if its time has come."""
        with self._lock:
            self._counts[point] += 1
            os.write(self._log, f"{point}\n".encode())
            if self._deadly == (point, self._counts[point]):
                os.kill(os.getpid(), signal.SIGKILL)

    def watched(self, port: type, adapter: type) -> type:
        """A kind of *adapter* with every method of *port* between two points."""
        between = {
            name: self.between(f"{port.__name__}.{name}", getattr(adapter, name))
            for name in methods(port)
        }
        return type(f"Watched{adapter.__name__}", (adapter,), between)

    def watch_commits(self) -> None:
        """From now on every COMMIT of this process lies between two points."""
        commit: Callable[[DefaultDialect, Any], None] = DefaultDialect.do_commit

        def watched(dialect: DefaultDialect, connection: Any) -> None:
            self.reach(f"{COMMIT}:before")
            commit(dialect, connection)
            self.reach(f"{COMMIT}:after")

        DefaultDialect.do_commit = watched  # type: ignore[method-assign]

    def between(self, call: str, method: Callable[..., Any]) -> Callable[..., Any]:
        """*method* between its two points."""

        async def iterate(*arguments: Any, **named: Any) -> AsyncIterator[Any]:
            self.reach(f"{call}:before")
            async for item in method(*arguments, **named):
                yield item
            self.reach(f"{call}:after")

        async def run(*arguments: Any, **named: Any) -> Any:
            self.reach(f"{call}:before")
            answer = await method(*arguments, **named)
            self.reach(f"{call}:after")
            if call == "BlobStore.writer":
                return _WatchedWriter(answer, self)
            return answer

        return iterate if inspect.isasyncgenfunction(method) else run


class _WatchedWriter:
    """A SegmentWriter between points."""

    def __init__(self, writer: SegmentWriter, points: FaultPoints) -> None:
        for name in methods(SegmentWriter):
            call = f"SegmentWriter.{name}"
            setattr(self, name, points.between(call, getattr(writer, name)))


def hits(log: Path) -> Counter[str]:
    """How often each point was reached."""
    return Counter(log.read_text().split()) if log.exists() else Counter()
