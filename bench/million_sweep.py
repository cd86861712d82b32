#!/usr/bin/env python3
"""The sweep of a large ledger's garbage, and manifest PUTs beside it; bench/million.py calls it.

    .venv/bin/python bench/million_sweep.py LEDGER_URL DIRECTORY

collects by itself, a line of JSON in the end.
"""

import asyncio
import contextlib
import json
import sys
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
# Instead of bench/, where registry.py would pass for the package `registry`.
sys.path[:1] = [str(ROOT), str(ROOT / "tests")]

from registry import agreement  # noqa: E402 - needs the line above
from registry.gc import collect  # noqa: E402
from registry.gc.policy import Rules  # noqa: E402
from registry.storage.filesystem import FilesystemBlobStore  # noqa: E402
from registry.storage.flusher import Flusher  # noqa: E402
from registry.storage.journal_file import FilesystemJournal  # noqa: E402
from registry.storage.ledger import SqlLedger  # noqa: E402
from registry.storage.ledger.garbage import SqlCollection  # noqa: E402
from registry.storage.records import ManifestPut  # noqa: E402
from registry.storage.storage import Storage  # noqa: E402

ALONE = 1000
"""PUTs before the sweep begins."""
PAUSE = 0.005
"""Seconds between two of them."""
RULES = Rules(untagged=0.0)
Puts = Callable[[int], ManifestPut]
"""A manifest of its own for each number."""


@contextlib.asynccontextmanager
async def opened(url: str, place: Path) -> AsyncIterator[Storage]:
    """The ledger at *url* with a journal in *place*, where no bytes are."""
    ledger, journal = await SqlLedger.open(url), FilesystemJournal(place)
    storage = Storage(FilesystemBlobStore(place), journal, ledger, Flusher(ledger, journal))
    await agreement.settle(storage)
    try:
        yield storage
    finally:
        await storage.flusher.close()
        await ledger.close()


async def sweep(url: str, place: Path) -> None:
    """Collect once."""
    async with opened(url, place) as storage:
        collection = SqlCollection(url)
        began = time.monotonic()
        _, report = await collect.run(storage, collection, RULES, time.time(), force=True)
        told = {"seconds": time.monotonic() - began, "blobs": report.blobs}
        sys.stdout.write(json.dumps(told) + "\n")
        await collection.close()


async def compare(url: str, place: Path, puts: Puts) -> list[str]:
    """How long PUTs take alone, and beside the sweep in a process of its own."""
    alone: list[float] = []
    beside: list[float] = []
    async with opened(url, place) as storage:
        while len(alone) < ALONE:
            alone.append(await _put(storage, puts(len(alone))))
        process = await asyncio.create_subprocess_exec(
            sys.executable, __file__, url, str(place), stdout=asyncio.subprocess.PIPE
        )
        sweeping = asyncio.create_task(process.communicate())
        while not sweeping.done():
            beside.append(await _put(storage, puts(ALONE + len(beside))))
    told = json.loads((await sweeping)[0])
    return [
        f"sweep of {told['blobs']} blobs in {told['seconds']:.0f} s",
        f"manifest PUT with its journal line, {_shown(alone)} alone, {_shown(beside)} beside",
    ]


async def _put(storage: Storage, put: ManifestPut) -> float:
    began = time.perf_counter()
    await storage.flusher.flush(await storage.ledger.put_manifest(put))
    seconds = time.perf_counter() - began
    await asyncio.sleep(PAUSE)
    return seconds


def _shown(seconds: list[float]) -> str:
    ordered = sorted(seconds)
    middle, high = ordered[len(ordered) // 2], ordered[len(ordered) * 99 // 100]
    return f"p50 {middle * 1000:.1f} ms, p99 {high * 1000:.1f} ms of {len(ordered)}"


if __name__ == "__main__":
    asyncio.run(sweep(sys.argv[1], Path(sys.argv[2])))
