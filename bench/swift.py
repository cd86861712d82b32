#!/usr/bin/env python3
"""Measure our store on a real Swift beside plain requests to the same Swift, and print the ratios.

    .venv/bin/python bench/swift.py [--quick] [--rounds N] [--rows PATTERN] [--state DIR]

Raw is one plain blocking connection for each stream, which hashes and verifies nothing; ours does
all that a push and a pull need of the store. Each round does one, then the other, and the next one
the other way round; what is told are medians. --state DIR names a cloud that runs already.
"""

import argparse
import asyncio
import contextlib
import fnmatch
import hashlib
import sys
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from statistics import median

ROOT = Path(__file__).resolve().parents[1]
# Instead of bench/, where the next file would pass for the package `registry`.
sys.path[:1] = [str(ROOT), str(ROOT / "tests")]

import uvloop  # noqa: E402 - needs the line above

from bench.raw import PIECE, SMALL, Raw  # noqa: E402 - needs the line above
from bench.rows import MIB  # noqa: E402
from registry.oci.digest import Digest  # noqa: E402
from registry.receive import RECORD_EVERY  # noqa: E402
from registry.storage.records import BlobRecord, JournalLine, Position, Segment  # noqa: E402
from registry.storage.swift import SwiftAccount, SwiftBlobStore, SwiftJournal  # noqa: E402
from support.openstack import OpenStack, running_cloud  # noqa: E402
from support.swift import service_session  # noqa: E402


@dataclass(slots=True)
class Bench:
    """Both sides, and what was stored before."""

    raw: Raw
    blobs: SwiftBlobStore
    journal: SwiftJournal
    size: int
    digest: Digest
    plain: BlobRecord | None = None
    large: BlobRecord | None = None
    sequence: int = 0

    async def body(self) -> AsyncIterator[bytes]:
        for _ in range(self.size // MIB):
            yield PIECE

    async def put(self) -> None:
        await self.blobs.put(self.digest, self.size, self.body())

    async def push_segments(self) -> BlobRecord:
        """As a PATCH without a length: hashed, and recorded now and then."""
        upload = str(uuid.uuid4())
        writer = await self.blobs.writer(upload, 1, 0)
        hasher = hashlib.sha256()
        segments: list[Segment] = []
        since = 0
        async for piece in self.body():
            hashing = asyncio.ensure_future(asyncio.to_thread(hasher.update, piece))
            await writer.write(piece)
            await hashing
            since += len(piece)
            if since >= RECORD_EVERY:
                segments += filter(None, [await writer.checkpoint()])
                since = 0
        segments += filter(None, [await writer.checkpoint()])
        await writer.close()
        assert hasher.hexdigest() == self.digest.encoded
        blob = await self.blobs.commit(upload, segments, self.digest)
        await self.blobs.discard(upload)
        return blob

    async def read(self, blob: BlobRecord | None) -> None:
        assert blob is not None
        got = 0
        async for piece in self.blobs.read(blob, 0, blob.size):
            got += len(piece)
        assert got == blob.size

    async def put_small(self) -> None:
        async def body() -> AsyncIterator[bytes]:
            yield SMALL

        await self.blobs.put(Digest.of(SMALL), len(SMALL), body())

    async def append(self) -> None:
        self.sequence += 1
        line = JournalLine(Position("bench", self.sequence), b'{"x": "%b"}' % SMALL.hex().encode())
        await self.journal.append([line])


@dataclass(frozen=True, slots=True)
class Row:
    """One measurement of both sides; bytes 0: operations are counted."""

    name: str
    raw: Callable[[Bench], None]
    ours: Callable[[Bench], Awaitable[object]]
    streams: int = 1
    times: int = 1
    counts_bytes: bool = True


ROWS = [
    Row("put-s1", lambda b: b.raw.put("raw", b.size), lambda b: b.put()),
    Row("put-s4", lambda b: b.raw.put(str(uuid.uuid4()), b.size), lambda b: b.put(), 4),
    Row("segments-s1", lambda b: b.raw.put("raw", b.size), lambda b: b.push_segments()),
    Row("read-s1", lambda b: b.raw.get("raw", b.size), lambda b: b.read(b.plain)),
    Row("read-segments-s1", lambda b: b.raw.get("raw", b.size), lambda b: b.read(b.large)),
    Row("read-s4", lambda b: b.raw.get("raw", b.size), lambda b: b.read(b.plain), 4),
    Row(
        "put-1KiB",
        lambda b: b.raw.put_small(str(uuid.uuid4())),
        lambda b: b.put_small(),
        times=20,
        counts_bytes=False,
    ),
    Row(
        "journal-line",
        lambda b: b.raw.put_small(str(uuid.uuid4())),
        lambda b: b.append(),
        times=20,
        counts_bytes=False,
    ),
]


def run_raw(row: Row, bench: Bench) -> float:
    """Seconds."""
    bench.raw.rest()
    began = time.monotonic()
    with ThreadPoolExecutor(row.streams) as threads:
        for _ in range(row.times):
            list(threads.map(lambda _: row.raw(bench), range(row.streams)))
    return time.monotonic() - began


async def run_ours(row: Row, bench: Bench) -> float:
    """Seconds."""
    began = time.monotonic()
    for _ in range(row.times):
        await asyncio.gather(*(row.ours(bench) for _ in range(row.streams)))
    return time.monotonic() - began


async def measure(cloud: OpenStack, size: int, rounds: int, rows: list[Row]) -> None:
    """Fill a store, then print each row."""
    hasher = hashlib.sha256()
    for _ in range(size // MIB):
        hasher.update(PIECE)
    account = SwiftAccount(service_session(cloud))
    prefix = f"bench-{uuid.uuid4().hex[:8]}"
    raw = Raw(cloud.account_url("service"), cloud.token("registry"), f"{prefix}-raw")
    blobs = SwiftBlobStore(account, prefix=prefix)
    journal = SwiftJournal(account, prefix=prefix)
    bench = Bench(raw, blobs, journal, size, Digest("sha256", hasher.hexdigest()))
    raw.put("raw", size)
    bench.plain = await blobs.put(bench.digest, size, bench.body())
    bench.large = await bench.push_segments()
    for row in rows:
        figures: dict[bool, list[float]] = {True: [], False: []}
        for turn in range(rounds):
            for ours in (True, False) if turn % 2 == 0 else (False, True):
                seconds = await run_ours(row, bench) if ours else run_raw(row, bench)
                figures[ours].append(seconds)
            await blobs.settle()
        tell(row, size, *(median(figures[ours]) for ours in (True, False)))
    await blobs.close()
    await account.close()


def tell(row: Row, size: int, ours: float, raw: float) -> None:
    """Print a row: its rates, for people, and its ratio, for programs too."""
    count = row.streams * row.times
    amount, unit = (count * size / MIB, "MiB/s") if row.counts_bytes else (count, "/s")
    say(f"{row.name:18} ours {amount / ours:7.0f} {unit:6} raw {amount / raw:7.0f} {unit}")
    say(f"ratio {row.name} {raw / ours:.2f}")


def say(text: str) -> None:
    """Print a line at once."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


@contextlib.contextmanager
def cloud_of(state: Path | None) -> Iterator[OpenStack]:
    """The cloud that runs in *state*, or one made for this run."""
    if state is not None:
        yield OpenStack.read(state)
    else:
        with running_cloud() as cloud:
            yield cloud


def main() -> int:
    """Measure what the arguments say; answer the exit status."""
    parser = argparse.ArgumentParser(description="Our store on Swift beside plain requests to it.")
    parser.add_argument("--quick", action="store_true", help="128 MiB instead of 512, fewer rounds")
    parser.add_argument("--rounds", type=int, help="how often each side is measured")
    parser.add_argument("--rows", default="*", help="only rows whose names match this pattern")
    parser.add_argument("--state", type=Path, help="a cloud that runs, in this directory")
    arguments = parser.parse_args()
    rounds = arguments.rounds or (3 if arguments.quick else 5)
    size = (128 if arguments.quick else 512) * MIB
    rows = [row for row in ROWS if fnmatch.fnmatchcase(row.name, arguments.rows)]
    with cloud_of(arguments.state) as cloud:
        uvloop.run(measure(cloud, size, rounds, rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
