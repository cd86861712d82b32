#!/usr/bin/env python3
"""Measure the host agent: how long a set takes to run, and (--full) 1,000 containers on one host.

    .venv/bin/python bench/host.py [--starts N] [--full] [--json F]

Run as root on an idle machine. Each start is a set of one container of busybox, its image on the
host already, from the moment the agent is told until the container's process runs. With --full,
500 sets of two containers each run at once, and then are deleted.
"""

import argparse
import json
import statistics
import sys
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path[:1] = [str(ROOT), str(ROOT / "tests")]

from hostagent.records import Attempt, AttemptState, SetRow  # noqa: E402 - needs the line above
from support.agents import Agent, placed, running_agent, shop  # noqa: E402
from support.environment import wait_until  # noqa: E402
from support.hostplaces import host_place  # noqa: E402

SLEEP = {"command": {"cmd": "/bin/sleep", "args": ["100000"]}, "stop": {"grace_s": 0}}


def percentile(values: list[float], share: int) -> float:
    """The value that *share* percent are at most."""
    return statistics.quantiles(values, n=100, method="inclusive")[share - 1]


def starts(agent: Agent, count: int) -> dict[str, float]:
    """Start *count* sets, one after the other; milliseconds each."""
    took = []
    for number in range(count):
        desired = placed(shop(SLEEP), octet=2 + number % 200)
        began = time.monotonic()
        agent.take(desired)
        _wait_started(agent, desired.set)
        took.append((time.monotonic() - began) * 1000)
        agent.delete(desired)
    return {
        "sets": count,
        "p50_ms": percentile(took, 50),
        "p99_ms": percentile(took, 99),
        "most_ms": max(took),
    }


def full(agent: Agent, count: int) -> dict[str, float]:
    """Start *count* sets of two containers, and delete them; memory and time."""
    before = _available()
    sets = [placed(shop(SLEEP, SLEEP)) for _ in range(count)]
    began = time.monotonic()
    for desired in sets:
        agent.take(desired)
    wait_until(lambda: _all_started(agent) == 2 * count, "all of them", 3600, poll=0.5)
    up = time.monotonic() - began
    used = before - _available()
    began = time.monotonic()
    for desired in sets:
        agent.delete_soon(desired)
    wait_until(lambda: not agent.host.store.rows(SetRow), "their end", 3600, poll=0.5)
    return {
        "containers": 2 * count,
        "up_s": up,
        "mib_each": used / 2048 / count,
        "deleted_s": time.monotonic() - began,
    }


def _wait_started(agent: Agent, set_id: str) -> None:
    def is_started() -> bool:
        return bool(agent.host.store.rows(Attempt, set=set_id, state=AttemptState.STARTED))

    wait_until(is_started, "a start", 60, poll=0.001)


def _all_started(agent: Agent) -> int:
    return len(agent.host.store.rows(Attempt, state=AttemptState.STARTED))


def _available() -> int:
    """KiB of memory that could be had."""
    lines = Path("/proc/meminfo").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("MemAvailable"))


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--starts", type=int, default=50)
    parser.add_argument("--full", action="store_true")
    parser.add_argument("--sets", type=int, default=500, help="of two containers, with --full")
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    found: dict[str, Any] = {}
    with host_place() as place, running_agent(place) as agent:
        found["starts"] = starts(agent, asked.starts)
        if asked.full:
            found["full"] = full(agent, asked.sets)
        left = place.leftovers()
        assert not left, left
    for name, figures in found.items():
        words = "  ".join(f"{key} {value:.1f}" for key, value in figures.items())
        print(f"{name}: {words}")  # noqa: T201 - the benchmark's answer
    if asked.json:
        asked.json.write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
