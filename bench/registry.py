#!/usr/bin/env python3
"""Measure our registry and a peer's side by side, in one run, and print the ratios.

    .venv/bin/python bench/registry.py [--storage directory|swift] [--peer docker-registry]
                                       [--quick] [--json F] [--workers N] [--rows PATTERN]

bench/README.md says what the rows are and how to read them.
"""

import argparse
import contextlib
import fnmatch
import itertools
import json
import os
import signal
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import groupby
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
# Instead of bench/, where this very file would pass for the package `registry`.
sys.path[:1] = [str(ROOT), str(ROOT / "tests")]

from rich.console import Console  # noqa: E402 - needs the line above

from bench import report, rows  # noqa: E402
from bench.measure import (  # noqa: E402
    PREFIX,
    QUIET,
    Figures,
    Generator,
    LoadFailed,
    Side,
    clear,
    running,
)
from bench.raw import Raw  # noqa: E402
from bench.report import RAW, ROLES, Result  # noqa: E402
from bench.rows import Row, Scale  # noqa: E402
from bench.swift import cloud_of  # noqa: E402
from support.environment import NotReady  # noqa: E402
from support.openstack import OpenStack  # noqa: E402
from support.server import PEER, PEER_ON_SWIFT  # noqa: E402

WIDTH = 150
"""Columns of the table, on a terminal or not."""


def select(scale: Scale, pattern: str) -> list[Row]:
    """Answer the rows whose names match *pattern*, with what they need, in the order they run."""
    every = rows.make(scale)
    asked = [row for row in every if fnmatch.fnmatchcase(row.name, pattern)]
    return [row for row in every if row in asked or rows.prepares(row, asked)]


def measure(
    result: Result,
    sides: dict[str, Side],
    rounds: int,
    seed: int,
    console: Console,
    raw: Callable[[Row], Figures] | None,
) -> None:
    """Fill *result*: ours, the peer's, then the other way round, and so on; *raw* in between."""
    begin = time.monotonic()
    for turn in range(1 if result.row.once else rounds):
        for role in ROLES if turn % 2 == 0 else reversed(ROLES):
            if role in result.failures:
                continue
            try:
                figures = sides[role].measure(result.row, seed + turn)
            except LoadFailed as error:
                result.failures[role] = str(error)
            else:
                result.figures[role].append(figures)
        if raw is not None and result.row.has_limit and RAW not in result.failures:
            try:
                result.figures[RAW].append(raw(result.row))
            except LoadFailed as error:
                result.failures[RAW] = str(error)
    told = [
        f"{role} {result.middle(role, lambda f: f.rate(result.row)):,.0f}"
        if result.figures[role] and role not in result.failures
        else f"{role} failed"
        for role in (*ROLES, RAW)
        if role in result.failures or result.figures[role]
    ]
    seconds = time.monotonic() - begin
    console.print(
        f"  {result.row.name:24} {', '.join(told)} {result.row.unit}  ({seconds:.1f} s)",
        highlight=False,
    )


def run(
    scale: Scale,
    chosen: list[Row],
    kinds: dict[str, str],
    workers: int,
    console: Console,
    cloud: OpenStack | None,
) -> list[Result]:
    """Measure the *chosen* rows; each group has fresh servers on empty directories."""
    generator = Generator()
    results = []
    for group, members in groupby(chosen, key=lambda row: row.group):
        console.print(f"{group}: starting {' and '.join(kinds.values())}")
        projecting = group == "image"
        with (
            running(kinds, workers, generator, cloud, projecting=projecting) as sides,
            plain_requests(cloud) as raw,
        ):
            for side in sides.values():
                # Also warms up a server that is about to be looked at while it idles.
                side.seed(scale.pull if group == "read" else 0)
            for row in members:
                result = Result(row)
                results.append(result)
                # No two measurements on a server push the same blobs.
                measure(result, sides, scale.rounds, 1000 * len(results), console, raw)
    return results


@contextlib.contextmanager
def plain_requests(cloud: OpenStack | None) -> Iterator[Callable[[Row], Figures] | None]:
    """What moves a row's bytes by plain requests to the *cloud*'s Swift, in a fresh container."""
    if cloud is None:
        yield None
        return
    prefix = f"{PREFIX}-{uuid.uuid4().hex[:8]}"
    names = map(str, itertools.count())
    try:
        raw = Raw(cloud.account_url("service"), cloud.token("registry"), f"{prefix}-raw")
        yield lambda row: raw.measure(row, names)
    finally:
        clear(cloud, prefix)


@contextlib.contextmanager
def cloud_for(storage: str, state: Path | None, *, apart: bool) -> Iterator[OpenStack | None]:
    """The cloud in which bytes are to lie, if any; *apart* on one half of the processors."""
    if storage == "directory":
        yield None
        return
    every = sorted(os.sched_getaffinity(0))
    half = max(1, len(every) // 2)
    try:
        if apart:
            os.sched_setaffinity(0, every[:half])  # what is started keeps it
        with cloud_of(state) as cloud:
            if apart:
                os.sched_setaffinity(0, every[half:])
            yield cloud
    finally:
        os.sched_setaffinity(0, every)


def main() -> int:
    """Read the command line, run, report; answer the exit status."""
    words = argparse.ArgumentParser(description="Measure our registry beside a peer's.")
    words.add_argument("--storage", choices=["directory", "swift"], default="directory")
    words.add_argument("--peer", choices=sorted(QUIET))
    words.add_argument("--state", type=Path, help="a cloud that runs, in this directory")
    words.add_argument(
        "--apart", action="store_true", help="the cloud has half of the processors for itself"
    )
    words.add_argument("--ours", choices=sorted(QUIET), default="berth", help=argparse.SUPPRESS)
    words.add_argument("--quick", action="store_true", help="a rough look, in under a minute")
    words.add_argument("--json", type=Path, metavar="F", help="write all raw figures there")
    words.add_argument("--workers", type=int, default=2, metavar="N", help="of ours (default 2)")
    words.add_argument("--rounds", type=int, metavar="N", help="other than 3, or 1 if quick")
    words.add_argument("--rows", default="*", metavar="PATTERN", help="such as 'push-*'")
    asked = words.parse_args()
    on_swift = asked.storage == "swift"
    full, quick = (rows.SWIFT, rows.SWIFT_QUICK) if on_swift else (rows.FULL, rows.QUICK)
    scale = quick if asked.quick else full
    peer = asked.peer or (PEER_ON_SWIFT if on_swift else PEER)
    if asked.rounds:
        scale = replace(scale, rounds=asked.rounds)
    chosen = select(scale, asked.rows)
    if not chosen:
        words.error(f"no row is called {asked.rows}")
    if report.filesystem(ROOT) == "tmpfs":
        words.error("the checkout lies in memory; the data must be on a disk")
    if asked.apart and (not on_swift or asked.state or len(os.sched_getaffinity(0)) < 2):
        words.error("--apart needs --storage swift, a cloud of its own and two processors")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # or the servers would stay
    console = Console(stderr=True, soft_wrap=True)
    kinds = {"ours": asked.ours, "peer": peer}
    begin = time.monotonic()
    try:
        with cloud_for(asked.storage, asked.state, apart=asked.apart) as cloud:
            results = run(scale, chosen, kinds, asked.workers, console, cloud)
    except (NotReady, LoadFailed, OSError) as error:
        sys.stderr.write(f"bench: {error}\n")
        return 2
    seconds = time.monotonic() - begin
    report.show(Console(width=WIDTH), results, kinds)
    sys.stdout.flush()
    if asked.json:
        settings: dict[str, object] = {
            **kinds, "storage": asked.storage, "quick": asked.quick, "apart": asked.apart,
            "workers": asked.workers, "seconds": seconds,
        }  # fmt: skip
        text = json.dumps(report.document(results, settings), indent=1)
        asked.json.write_text(text + "\n", "utf-8")
    sys.stdout.write(f"{len(results)} rows in {seconds:.0f} s\n")
    sys.stdout.writelines(f"{line}\n" for line in report.lines(results, kinds))
    return 1 if any(result.failures for result in results) else 0


if __name__ == "__main__":
    sys.exit(main())
