"""Every port's calls, watched: where a process can be made to die, or to stand still.

The points are not written by hand: they are the methods of the ports' protocols, each before and
after, and each transaction of the ledger, before and after its COMMIT.
"""

import inspect
import os
import signal
from collections import Counter
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

from registry.storage.ports import BlobStore, Journal, Ledger, SegmentWriter

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

    def reach(self, point: str) -> None:
        self._counts[point] += 1
        os.write(self._log, f"{point}\n".encode())
        if self._deadly == (point, self._counts[point]):
            os.kill(os.getpid(), signal.SIGKILL)

    def watch(self, port: type, target: Any) -> Any:
        """*target*, with every method of *port* between two points."""
        return _Watched(port, target, self)


def hits(log: Path) -> Counter[str]:
    """How often each point was reached."""
    return Counter(log.read_text().split())


class _Watched:
    def __init__(self, port: type, target: Any, points: FaultPoints) -> None:
        self._target = target
        self._points = points
        for name in methods(port):
            setattr(self, name, self._between(f"{port.__name__}.{name}", getattr(target, name)))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._target, name)

    def _between(self, call: str, method: Callable[..., Any]) -> Callable[..., Any]:
        points = self._points

        async def iterate(*arguments: Any, **named: Any) -> AsyncIterator[Any]:
            points.reach(f"{call}:before")
            async for item in method(*arguments, **named):
                yield item
            points.reach(f"{call}:after")

        async def run(*arguments: Any, **named: Any) -> Any:
            points.reach(f"{call}:before")
            answer = await method(*arguments, **named)
            points.reach(f"{call}:after")
            return points.watch(SegmentWriter, answer) if call.endswith(".writer") else answer

        return iterate if inspect.isasyncgenfunction(method) else run
