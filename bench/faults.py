#!/usr/bin/env python3
"""Play schedules of pushes, pulls, deletions and collections on a real cloud that fails at random.

    .venv/bin/python bench/faults.py [--schedules N] [--seed S] [--processes N] [--json F]
                                     [--plant NAME]

Each schedule is one of a seed, S-0, S-1 and so on; `--schedules 1 --seed 7-31` plays S-31 of 7
again: the same people do the same under the same weather, though not to the millisecond. The exit
status is 1 if one was found in which the registry broke its word. docs/reliability.md tells what is
done and held.
"""

import argparse
import atexit
import contextlib
import json
import logging
import signal
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict
from multiprocessing import get_context
from pathlib import Path
from typing import Final

ROOT = Path(__file__).resolve().parents[1]
# Instead of bench/, where registry.py would pass for the package `registry`.
sys.path[:1] = [str(ROOT), str(ROOT / "tests")]

import uvloop  # noqa: E402 - needs the line above
from rich.console import Console  # noqa: E402
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn  # noqa: E402

from support.faultplants import PLANTS  # noqa: E402
from support.faultrun import Outcome, Schedule, play  # noqa: E402
from support.faultstage import Stage, staged  # noqa: E402
from support.openstack import OpenStack, running_cloud  # noqa: E402

TOLD: Final = 10
"""Schedules after which a line tells how far it is, where no bar can be drawn."""
_stages: list[Stage] = []
"""This process's own."""


def prepare(directory: Path) -> None:
    """Make ready to play, in a process of its own."""
    logging.disable(logging.CRITICAL)
    stack = contextlib.ExitStack()
    atexit.register(stack.close)
    _stages.append(stack.enter_context(staged(OpenStack.read(directory))))


def play_one(seed: str, plant: str | None) -> Outcome:
    """Play the schedule of *seed*."""
    return uvloop.run(play(_stages[0], Schedule.of(seed), PLANTS.get(plant or "")))


def outcomes(
    directory: Path, seeds: list[str], processes: int, plant: str | None
) -> Iterator[Outcome]:
    """What came of each, as they end."""
    pool = ProcessPoolExecutor(processes, get_context("spawn"), prepare, (directory,))
    try:
        for each in as_completed([pool.submit(play_one, seed, plant) for seed in seeds]):
            yield each.result()
    finally:  # broken off, too, what is being played is played to its end
        pool.shutdown(cancel_futures=True)


class Totals:
    """Of all schedules."""

    def __init__(self) -> None:
        self.schedules = 0
        self.on_postgresql = 0
        self.counts: Counter[str] = Counter()
        self.deeds: Counter[str] = Counter()
        self.events: Counter[str] = Counter()
        self.faults: Counter[str] = Counter()
        self.requests: Counter[str] = Counter()
        self.complaints: dict[str, str] = {}

    def add(self, outcome: Outcome) -> None:
        """Count one in."""
        self.schedules += 1
        self.on_postgresql += outcome.served
        self.events.update(outcome.events)
        tally = asdict(outcome.tally)
        self.deeds.update(tally.pop("operations"))
        tally |= {"collected": outcome.collected, "orphans": outcome.orphans,
                  "stranded": outcome.stranded}  # fmt: skip
        self.counts.update(tally)
        self.faults.update(outcome.faults)
        self.requests.update(outcome.requests)
        if outcome.complaint is not None:
            self.complaints[outcome.seed] = outcome.complaint

    def line(self) -> str:
        """The last line."""
        parts = {
            "schedules": self.schedules,
            "on_postgresql": self.on_postgresql,
            "events": self.events.total(),
            "requests": self.requests.total(),
            "faults": self.faults.total(),
            "kinds": len({name.partition(" ")[2] for name in self.faults}),
            **{name: self.counts[name] for name in ("acknowledged", "words", "blobs",
                                                     "bytes_checked", "collected", "orphans",
                                                     "stranded")},
            "findings": len(self.complaints),
        }  # fmt: skip
        return "faults: " + " ".join(f"{name}={value}" for name, value in parts.items())


def main() -> int:
    """Play what the arguments say; answer the exit status."""
    words = argparse.ArgumentParser(description="Random schedules on a cloud that fails.")
    words.add_argument("--schedules", type=int, default=500)
    words.add_argument("--seed", default="1", help="a word; the same one plays the same again")
    words.add_argument("--processes", type=int, default=2, help="at once")
    words.add_argument("--json", type=Path, metavar="F", help="write all counts there")
    words.add_argument("--plant", choices=sorted(PLANTS), help="put this fault into the registry")
    asked = words.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    many = asked.schedules > 1
    seeds = [f"{asked.seed}-{n}" for n in range(asked.schedules)] if many else [asked.seed]
    totals = Totals()
    begin = time.monotonic()
    console = Console(stderr=True)
    columns = (BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    bar = Progress(*columns, console=console, disable=not console.is_terminal)
    with running_cloud("--cached") as cloud, bar as progress:
        task = progress.add_task("schedules", total=len(seeds))
        for outcome in outcomes(cloud.directory, seeds, asked.processes, asked.plant):
            totals.add(outcome)
            progress.advance(task)
            if not console.is_terminal and totals.schedules % TOLD == 0:
                far = f"{totals.schedules} of {len(seeds)} schedules"
                console.print(
                    f"{far}, {len(totals.complaints)} findings, {time.monotonic() - begin:.0f} s",
                    soft_wrap=True,
                )
            if asked.json:  # each time: a long run may be broken off
                told = {"seed": asked.seed, "seconds": round(time.monotonic() - begin)}
                text = json.dumps({**told, **vars(totals)}, indent=1)
                asked.json.write_text(text + "\n", "utf-8")
            if outcome.complaint is not None:
                console.print(f"{outcome.seed}: {outcome.complaint}", markup=False)
    seconds = time.monotonic() - begin
    for name, count in sorted(totals.faults.items()):
        sys.stdout.write(f"{count:8} {name}\n")
    sys.stdout.write(f"{totals.line()} seconds={seconds:.0f}\n")
    return 1 if totals.complaints else 0


if __name__ == "__main__":
    sys.exit(main())
