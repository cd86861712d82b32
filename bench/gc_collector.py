#!/usr/bin/env python3
"""A collector in a process of its own, which may be killed: a line in, a collection, a line out.

    .venv/bin/python bench/gc_collector.py CONFIG GRACE

GRACE (seconds) is every term there is, which no configuration may make so short: bench/gc_stress.py
and tests use it, nobody else should.
"""

import asyncio
import json
import sys
import time
from dataclasses import asdict
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:1] = [str(ROOT)]

from registry import agreement, stores, wiring  # noqa: E402 - needs the line above
from registry.gc import collect  # noqa: E402
from registry.gc.policy import Rules  # noqa: E402
from registry.oci.errors import RegistryError  # noqa: E402
from registry.storage.ledger.garbage import SqlCollection  # noqa: E402

UPLOADS = 20.0
"""Seconds for which an upload may rest, at least."""


async def work(config: Path, grace: float) -> None:
    """Collect at every line, and say what came of it."""
    settings = wiring.loaded(config)
    rules = Rules(grace=grace, uploads=max(grace, UPLOADS), trash=grace, untagged=grace)
    async with stores.opened(settings) as storage:
        await agreement.settle(storage)
        collection = SqlCollection(settings.ledger_url)
        say({})
        while await asyncio.to_thread(sys.stdin.readline):
            began = time.monotonic()
            try:
                _, report = await collect.run(storage, collection, rules, time.time(), force=True)
            except (collect.Busy, RegistryError) as error:
                say({"error": f"{type(error).__name__}: {error}"})
            else:
                say({**asdict(report), "seconds": time.monotonic() - began})
        await collection.close()


def say(told: dict[str, object]) -> None:
    """One line of JSON, at once."""
    sys.stdout.write(json.dumps(told) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    collect.LEASE = 2.0  # whoever is killed is replaced soon
    asyncio.run(work(Path(sys.argv[1]), float(sys.argv[2])))
