#!/usr/bin/env python3
"""A ledger of a million blobs and 100,000 manifests: what a plan takes, and what a request does.

    .venv/bin/python bench/million.py [--blobs 1000000] [--manifests 100000]
                                      [--ledger sqlite|postgresql]

A tenth of the blobs is garbage, every manifest is tagged and names some of the others. The plan is
made in a process of its own, whose memory is told. Then requests are timed against this ledger and
against one of a hundredth of it, in turns. In the end the garbage is swept, and manifest PUTs
beside that are timed (bench/million_sweep.py). The last line is
``million: plan_seconds=S peak_MiB=M garbage=N``.
"""

import argparse
import asyncio
import contextlib
import hashlib
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
# Instead of bench/, where registry.py would pass for the package `registry`.
sys.path[:1] = [str(ROOT), str(ROOT / "tests")]

from sqlalchemy import Connection, insert  # noqa: E402 - needs the line above

from bench import million_sweep  # noqa: E402
from bench.measure import workplace  # noqa: E402
from registry.gc import plan  # noqa: E402
from registry.gc.policy import Rules  # noqa: E402
from registry.oci.descriptor import OCI_MANIFEST  # noqa: E402
from registry.oci.digest import Digest  # noqa: E402
from registry.oci.names import RepositoryName, Tag  # noqa: E402
from registry.storage.ledger import SqlLedger  # noqa: E402
from registry.storage.ledger.garbage import SqlCollection  # noqa: E402
from registry.storage.ledger.schema import (  # noqa: E402
    blob,
    link,
    manifest,
    reference,
    repository,
    tag,
)
from registry.storage.records import ManifestPut, ManifestRecord  # noqa: E402
from support.ledgers import own_schema  # noqa: E402
from support.postgres import running_postgres  # noqa: E402

TAGS = 1000
"""Of a repository."""
GARBAGE = 10
"""Of so many blobs one is named by nothing."""
ROWS = 20_000
"""Rows of one INSERT."""
TIMES = 1000
LESS = 100
"""How much smaller the other ledger is."""
OLD = 1_600_000_000.0
RULES = Rules(untagged=0.0)


def named(kind: str, number: int) -> str:
    """A digest of its own."""
    return "sha256:" + hashlib.sha256(f"{kind} {number}".encode()).hexdigest()


def content(number: int) -> bytes:
    """A manifest of its own, as large as most are."""
    return json.dumps({"schemaVersion": 2, "number": number, "filler": "x" * 900}).encode()


def fill(connection: Connection, blobs: int, manifests: int) -> None:
    """Rows as pushes leave them."""
    repositories = max(1, manifests // TAGS)
    names = [{"id": n + 1, "project_id": "p", "path": f"r{n}", "name": f"p/r{n}"}
             for n in range(repositories)]  # fmt: skip
    connection.execute(insert(repository), names)
    each = (blobs - blobs // GARBAGE) // manifests
    digests = [str(Digest.of(content(number))) for number in range(manifests)]

    def here(number: int) -> int:
        return number // max(each, 1) % repositories + 1

    def add(table: Any, make: Callable[[int], dict[str, Any]], count: int) -> None:
        for start in range(0, count, ROWS):
            rows = [make(number) for number in range(start, min(count, start + ROWS))]
            connection.execute(insert(table), rows)

    old = {"created_at": OLD, "verified_at": OLD, "bad": False, "size": 1000}
    add(blob, lambda n: {"digest": named("blob", n), "object": f"object-{n}", **old}, blobs)
    add(
        link,
        lambda n: {"repository_id": here(n), "digest": named("blob", n), "touched_at": OLD},
        blobs,
    )

    def one(number: int) -> dict[str, Any]:
        return {
            "repository_id": here(number * each),
            "digest": digests[number],
            "media_type": OCI_MANIFEST,
            "content": content(number),
            "annotations": "{}",
            "pushed_at": OLD,
        }

    add(manifest, one, manifests)
    add(
        reference,
        lambda n: {
            "repository_id": here(n),
            "manifest_digest": digests[n // each],
            "digest": named("blob", n),
            "kind": "blob",
        },
        each * manifests,
    )
    add(
        tag,
        lambda n: {
            "repository_id": here(n * each),
            "name": f"t{n:08}",
            "digest": digests[n],
            "version": 1,
            "moved_at": OLD,
        },
        manifests,
    )


async def prepare(url: str, blobs: int, manifests: int) -> None:
    """Fill the ledger at *url*."""
    ledger = await SqlLedger.open(url)
    await ledger._database.write(lambda c: fill(c, blobs, manifests))  # noqa: SLF001 - by rows
    await ledger.close()


def peak_memory() -> float:
    """MiB that this program took at most; getrusage(2) counts what stood in its place before."""
    lines = Path("/proc/self/status").read_text("ascii").splitlines()
    (peak,) = [line for line in lines if line.startswith("VmHWM")]
    return int(peak.split()[1]) / 1024


async def make_plan(url: str) -> None:
    """In a process of its own: what it took."""
    collection = SqlCollection(url)
    before = peak_memory()
    began = time.monotonic()
    made = await plan.make(collection, RULES, time.time())
    seconds = time.monotonic() - began
    told = {"seconds": seconds, "peak": peak_memory(), "before": before,
            "links": made.link_count, "untagged": len(made.untagged)}  # fmt: skip
    sys.stdout.write(json.dumps(told) + "\n")
    await collection.close()


def one_more(number: int) -> ManifestPut:
    """A manifest of its own, of blobs that are there."""
    body = content(10**9 + number)
    record = ManifestRecord(Digest.of(body), OCI_MANIFEST, body)
    blobs = tuple(Digest.parse(named("blob", each)) for each in range(5))
    tags = (Tag.parse(f"new{number}"),)
    return ManifestPut(RepositoryName("p", "r0"), record, tags, blobs, ())


async def compare(urls: dict[str, str]) -> list[str]:
    """The requests of each ledger, in turns; lines of medians."""
    ledgers = {name: await SqlLedger.open(url) for name, url in urls.items()}
    name = RepositoryName("p", "r0")
    tags = {which: await ledger.list_tags(name) for which, ledger in ledgers.items()}

    def put(which: str, turn: int) -> Awaitable[Any]:
        return ledgers[which].put_manifest(one_more(turn))

    works: dict[str, Callable[[str, int], Awaitable[Any]]] = {
        "manifest GET by tag": lambda which, turn: ledgers[which].find_manifest(
            name, Tag.parse(tags[which][turn * 7 % len(tags[which])])
        ),
        "tag page": lambda which, turn: ledgers[which].list_tags(
            name, after=tags[which][turn % len(tags[which])], limit=100
        ),
        "manifest PUT": put,
    }
    lines = []
    for what, work in works.items():
        seconds: dict[str, list[float]] = {which: [] for which in ledgers}
        for turn in range(TIMES if what != "manifest PUT" else TIMES // 5):
            for which in ledgers:
                began = time.perf_counter()
                await work(which, turn)
                seconds[which].append(time.perf_counter() - began)
        told = {which: statistics.median(each) * 1e6 for which, each in seconds.items()}
        shown = ", ".join(f"{which} {middle:.0f} us" for which, middle in told.items())
        lines.append(f"{what}: median {shown}, ratio {told['large'] / told['small']:.2f}")
    for ledger in ledgers.values():
        await ledger.close()
    return lines


@contextlib.contextmanager
def places(kind: str) -> Iterator[dict[str, str]]:
    """Two empty ledgers."""
    with contextlib.ExitStack() as stack:
        if kind == "sqlite":
            place = stack.enter_context(workplace())
            yield {each: f"sqlite:///{place}/{each}.db" for each in ("large", "small")}
            return
        server = stack.enter_context(running_postgres())
        yield {each: stack.enter_context(own_schema(server)) for each in ("large", "small")}


def say(line: str) -> None:
    """How far it is, to whoever waits."""
    sys.stderr.write(f"{line}\n")


def main(words: list[str] | None = None) -> int:
    """Read the command line, run, tell."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--blobs", type=int, default=1_000_000)
    parser.add_argument("--manifests", type=int, default=100_000)
    parser.add_argument("--ledger", choices=["sqlite", "postgresql"], default="sqlite")
    parser.add_argument("--plan", metavar="URL", help=argparse.SUPPRESS)
    asked = parser.parse_args(words)
    if asked.plan:
        asyncio.run(make_plan(asked.plan))
        return 0
    with contextlib.ExitStack() as stack:
        urls = stack.enter_context(places(asked.ledger))
        began = time.monotonic()
        asyncio.run(prepare(urls["large"], asked.blobs, asked.manifests))
        asyncio.run(prepare(urls["small"], asked.blobs // LESS, asked.manifests // LESS))
        say(f"filled in {time.monotonic() - began:.0f} s; now the plan")
        done = subprocess.run(  # noqa: S603
            [sys.executable, __file__, "--plan", urls["large"]],
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        told = json.loads(done.stdout)
        say("now the requests")
        lines = asyncio.run(compare(urls))
        say("now the sweep")
        place = stack.enter_context(workplace())
        sweeping = million_sweep.compare(
            urls["large"], place, lambda number: one_more(TIMES + number)
        )
        lines += asyncio.run(sweeping)
    lines.append(
        f"plan of {asked.blobs} blobs, {asked.manifests} manifests on {asked.ledger}: "
        f"{told['seconds']:.1f} s, {told['before']:.0f} MiB before, {told['peak']:.0f} at most"
    )
    last = f"plan_seconds={told['seconds']:.1f} peak_MiB={told['peak']:.0f}"
    lines.append(f"million: {last} garbage={told['links']}")
    sys.stdout.writelines(f"{line}\n" for line in lines)
    return 0


if __name__ == "__main__":
    sys.exit(main())
