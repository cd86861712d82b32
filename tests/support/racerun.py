"""A race: people and collectors in processes of their own, which die and are followed by others.

This process only forks, waits and counts; it must have no threads, for its children are copies.

    python -m support.racerun DIRECTORY URL OTHER --seed S --seconds N [--plant NAME]
"""

import argparse
import asyncio
import contextlib
import logging
import os
import random
import signal
import sys
import time
import traceback
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from registry import agreement
from registry.gc import collect
from registry.limits import Limits
from registry.oci.names import RepositoryName
from registry.storage.ledger.garbage import SqlCollection
from support.raceactor import Actor
from support.racecollector import Collector
from support.racecontent import REPOSITORIES
from support.racelog import Memory
from support.raceplants import PLANTS
from support.racepoints import RacePoints
from support.raceproof import Broken
from support.racestore import LateBlobStore
from support.raceverdict import judge
from support.raceworld import open_collection, open_storage

if TYPE_CHECKING:
    from _typeshed import HasFileno

ACTORS: Final = 4
COLLECTORS: Final = 2
LIVES: Final = 4.0
"""Seconds that a process lives, on average."""
LEASE: Final = 0.5
"""Seconds after which a dead collector's lease ends."""
ENDING: Final = 60.0
"""Seconds within which all come to an end."""
FIRST: Final = "first"
"""Who was there before the race."""
FOUND: Final = 3
"""The exit status of a process that found the registry's word broken."""


@dataclass(frozen=True, slots=True)
class Race:
    """Where it is run, and how."""

    directory: Path
    url: str
    other: str
    seed: str
    trash: float
    plant: str | None

    @property
    def stop(self) -> Path:
        return self.directory / "stop"

    def log(self, name: str) -> Path:
        return self.directory / f"{name}.log"


async def act(race: Race, name: str, chance: random.Random, points: RacePoints) -> None:
    """Be one of the people."""
    memory = Memory(race.log(name))
    store = race.directory / "store"
    try:
        async with open_storage(store, race.url, chance, points) as (storage, ledger):
            await agreement.settle(storage)
            await Actor(name, storage, ledger, memory, chance).live(race.stop.exists)
    except Broken as error:
        memory.complain(str(error))
        raise


async def gather(race: Race, name: str, chance: random.Random, points: RacePoints) -> None:
    """Be a collector."""
    collect.LEASE = LEASE
    store = race.directory / "store"
    async with open_storage(store, race.url, chance, points) as (storage, _):
        await agreement.settle(storage)
        collection = open_collection(race.url, points)
        assert isinstance(storage.blobs, LateBlobStore)
        memory = Memory(race.log(name))
        one = Collector(storage, collection, storage.blobs, memory, chance, race.trash)
        await one.live(race.stop.exists)
        await collection.close()


async def conclude(race: Race) -> None:
    """Look at what is left."""
    memory = Memory(race.log("verdict"))
    logs = [race.log(name) for name in (FIRST, *(f"actor{n}" for n in range(ACTORS)))]
    try:
        checked = await judge(race.directory / "store", race.url, race.other, logs)
    except Broken as error:
        memory.complain(str(error))
        raise
    memory.did("verdict", time.monotonic(), str(checked))


def fork(race: Race, name: str, life: int) -> int:
    """Begin the *life*th of a process; its id."""

    def work() -> Coroutine[Any, Any, None]:
        chance = random.Random(f"{race.seed} {name} {life}")
        points = RacePoints(race.log(name), chance, chance.expovariate(1 / LIVES))
        points.watch_commits()
        points.watch_statements()
        return (act if name.startswith("actor") else gather)(race, name, chance, points)

    return _forked(race, work)


def _forked(race: Race, work: Callable[[], Coroutine[Any, Any, None]]) -> int:
    pid = os.fork()
    if pid:
        return pid
    status = FOUND
    try:
        log = os.open(race.log("errors"), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        os.dup2(log, 2)
        os.fsync = no_sync  # nothing here cuts the power
        if race.plant is not None:
            PLANTS[race.plant]()
        asyncio.run(work())
        status = 0
    except BaseException:  # noqa: BLE001 - whatever it is, the race ends and tells it
        traceback.print_exc()
    finally:
        os._exit(status)


def run(race: Race, seconds: float) -> int:
    """Run a race and look at what came of it; the exit status."""
    (race.directory / "store").mkdir()
    asyncio.run(_prepare(race))  # its threads end with it
    names = [f"actor{n}" for n in range(ACTORS)] + [f"collector{n}" for n in range(COLLECTORS)]
    lives = dict.fromkeys(names, 0)
    running: dict[int, str] = {}
    try:
        status = _live(race, seconds, lives, running)
    finally:
        race.stop.touch()
        status = _end(running) or status
    if status == 0:
        status = _wait(_forked(race, lambda: conclude(race)))
    return status


async def _prepare(race: Race) -> None:
    """Make the tables, and do everything once: what was compiled then, every child has."""
    chance, memory = random.Random(race.seed), Memory(race.log(FIRST))
    async with open_storage(race.directory / "store", race.url, chance) as (storage, ledger):
        await ledger.migrate()
        await agreement.settle(storage)
        # Where a limit holds, uploads and mounts take the project's lock before the blobs'.
        bounded = RepositoryName(REPOSITORIES[-1].project, "")
        await ledger.quotas.set_limits(bounded, Limits(bytes=10**12))
        assert isinstance(storage.blobs, LateBlobStore)
        collection = SqlCollection(race.url)
        actor = Actor(FIRST, storage, ledger, memory, chance)
        collector = Collector(storage, collection, storage.blobs, memory, chance, race.trash)
        for _ in range(3):
            for deed in actor.deeds:
                await actor.do(deed)
        for deed in collector.deeds:
            await collector.do(deed)
        await collection.close()


def _live(race: Race, seconds: float, lives: dict[str, int], running: dict[int, str]) -> int:
    until = time.monotonic() + seconds
    for name in lives:
        running[fork(race, name, 0)] = name
    while time.monotonic() < until:
        pid, raw = os.waitpid(-1, os.WNOHANG)
        if pid == 0:
            time.sleep(0.01)
            continue
        name = running.pop(pid)
        status = os.waitstatus_to_exitcode(raw)
        if status != -signal.SIGKILL:
            return status or FOUND
        lives[name] += 1
        running[fork(race, name, lives[name])] = name
    return 0


def _end(running: dict[int, str]) -> int:
    """Wait for all; those that die now die as they did before."""
    until = time.monotonic() + ENDING
    worst = 0
    while running:
        pid, raw = os.waitpid(-1, os.WNOHANG)
        if pid:
            running.pop(pid)
            status = os.waitstatus_to_exitcode(raw)
            worst = worst if status in {0, -signal.SIGKILL} else status
        elif time.monotonic() > until:
            for each in running:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(each, signal.SIGKILL)
            until, worst = float("inf"), worst or FOUND
        else:
            time.sleep(0.01)
    return worst


def no_sync(fd: "int | HasFileno") -> None:
    """In place of fsync."""
    del fd


def _wait(pid: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def main() -> int:
    """Run what the arguments say."""
    words = argparse.ArgumentParser()
    words.add_argument("directory", type=Path)
    words.add_argument("url")
    words.add_argument("other", help="of an empty ledger")
    words.add_argument("--seed", required=True)
    words.add_argument("--seconds", type=float, required=True)
    words.add_argument("--trash", type=float, required=True, help="the term, in seconds")
    words.add_argument("--plant", choices=sorted(PLANTS))
    asked = words.parse_args()
    logging.disable(logging.CRITICAL)
    race = Race(asked.directory, asked.url, asked.other, asked.seed, asked.trash, asked.plant)
    return run(race, asked.seconds)


if __name__ == "__main__":
    sys.exit(main())
