"""One schedule: people and a collector at work while it rains, and what is true afterwards."""

import asyncio
import contextlib
import random
import time
import traceback
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Self

import httpx
import pytest

from registry import agreement
from registry.gc import collect, plan, sweep
from registry.gc.plan import Plan
from registry.gc.policy import HOUR, Rules
from registry.oci.errors import RegistryError
from registry.storage.ledger.garbage import SqlCollection
from registry.storage.storage import Storage
from support import faultverdict
from support.faultactor import Actor
from support.faultadapted import adapted
from support.faultasker import Tally
from support.faultevents import befall, some_events
from support.faultmodel import SIZES, Repository, pushed, pushed_index, text
from support.faultsharing import Glance
from support.faultspeaker import Speaker
from support.faultstage import Stage
from support.faultworld import World, chance_of, world
from support.weather import KINDS, Kind, Weather, some_kinds

NO_GRACE = Rules(grace=0, uploads=0, trash=0, untagged=0)
GRACE = Rules(grace=HOUR, uploads=HOUR, trash=HOUR, untagged=HOUR)
SERVED = 0.4
"""The share of schedules whose ledger is PostgreSQL's."""
TAGS = ("1", "2", "latest")
Plant = Callable[[pytest.MonkeyPatch], None]
"""Puts a fault into the registry on purpose."""
SECONDS = 240.0
"""No schedule takes a tenth of it."""


DEEDS: Mapping[str, float] = {
    "push": 8, "index": 1.5, "alone": 1, "pull": 3, "untag": 2, "delete": 1, "list": 1,
    "contest": 0.7, "restart": 0.5, "say": 2, "share": 1.5, "regret": 0.5, "bin": 0.5,
    "stranger": 1,
}  # fmt: skip
"""What people do, and how often."""


@dataclass(frozen=True)
class Schedule:
    """What happens, as far as it is not the machine's own timing."""

    seed: str
    kinds: Sequence[Kind]
    """Faults that are about."""
    rate: float
    """Of requests that are spoilt while it rains."""
    people: int
    graceful: bool
    """Whether what was promised is left alone for an hour; else it goes at once."""
    small: bool
    """Kilobytes go the ways that megabytes go."""
    served: bool
    """Whether the ledger is PostgreSQL's."""
    events: tuple[str, ...]
    """What befalls it."""
    deeds: Mapping[str, float] = field(default_factory=lambda: DEEDS)

    @classmethod
    def of(cls, seed: str) -> Self:
        """The schedule of a seed: always the same."""
        chance = chance_of(seed)
        served = chance.random() < SERVED
        return cls(
            seed=seed,
            kinds=some_kinds(chance),
            rate=chance.choice([0.04, 0.08, 0.15]),
            people=chance.choice([2, 2, 3]),
            graceful=chance.random() < 0.4,
            small=chance.random() < 0.97,
            served=served,
            events=some_events(chance, served=served),
        )

    def only(self, *kinds: str, rate: float = 0.3) -> Self:
        """The same with these kinds of faults."""
        chosen = [kind for kind in KINDS if kind.name in kinds]
        return replace(self, kinds=chosen, rate=rate)


@dataclass
class Outcome:
    """What one schedule came to."""

    seed: str
    complaint: str | None = None
    tally: Tally = field(default_factory=Tally)
    faults: Counter[str] = field(default_factory=Counter)
    requests: Counter[str] = field(default_factory=Counter)
    events: Counter[str] = field(default_factory=Counter)
    """What befell the ledger."""
    served: bool = False
    """Whether it was PostgreSQL's."""
    collected: int = 0
    orphans: int = 0
    """What nothing names in the end, and the slow sweep finds."""
    stranded: int = 0
    """What it leaves, for want of knowing better."""


async def play(stage: Stage, schedule: Schedule, plant: Plant | None = None) -> Outcome:
    """Live through one schedule; the registry may have a fault on purpose."""
    seed = schedule.seed
    weather = Weather(chance_of(seed, "weather"), schedule.kinds, schedule.rate)
    outcome = Outcome(
        seed, faults=weather.counts, requests=weather.requests, served=schedule.served
    )
    with adapted(small=schedule.small) as patch:
        if plant is not None:
            plant(patch)
        try:
            async with asyncio.timeout(SECONDS), stage.scene(served=schedule.served) as scene:
                words = ("red", "green", "blue")[: schedule.people]
                repositories = [Repository(f"{scene.place.name}/{word}") for word in words]
                async with world(scene, weather, repositories) as here:
                    await _live(here, schedule, outcome)
        except Exception as error:  # noqa: BLE001 - whatever it is, the seed goes with it
            # Of a schedule that took too long: where it stood.
            where = traceback.format_exception(error.__cause__)[-8:] if error.__cause__ else []
            outcome.complaint = "".join([*where, *traceback.format_exception(error)[-9:]])
    return outcome


async def _live(here: World, schedule: Schedule, outcome: Outcome) -> None:
    seed, graceful = schedule.seed, schedule.graceful
    names = [each.name for each in here.repositories]
    limits = httpx.Limits(max_connections=100)
    async with httpx.AsyncClient(timeout=60, limits=limits) as http:
        actors = [
            Actor(here, http, each, [other for other in names if other != each.name],
                  chance_of(seed, each.path), outcome.tally, graceful=graceful)
            for each in here.repositories
        ]  # fmt: skip
        glance = Glance(here, http)
        speaker = Speaker(here, glance, http)
        glance.does |= {"say": speaker.speak, "regret": speaker.regret}
        rules = GRACE if graceful else NO_GRACE
        if not graceful:
            here.promise = -1.0
            for replica in here.replicas:
                replica.storage.promise = here.promise
        async with (
            _beside(partial(_change_weather, here, chance_of(seed, "rain"))),
            _beside(partial(_collect, here, rules, chance_of(seed, "collector"), outcome)),
            _beside(
                partial(befall, here, schedule.events, chance_of(seed, "events"), outcome.events)
            ),
        ):
            await asyncio.gather(*(_day(here, glance, each, schedule.deeds) for each in actors))
        await here.calm()
        await faultverdict.hold(here, glance, actors, outcome)


@asynccontextmanager
async def _beside(
    work: Callable[[asyncio.Event], Coroutine[Any, Any, None]],
) -> AsyncIterator[None]:
    """*work* goes on meanwhile, until its event; if it fails, so does this."""
    over = asyncio.Event()
    task = asyncio.create_task(work(over))
    try:
        yield
    finally:
        over.set()
        (result,) = await asyncio.gather(task, return_exceptions=True)
    if isinstance(result, BaseException):
        raise result


async def _pause(over: asyncio.Event, seconds: float) -> bool:
    """Whether to go on after so many *seconds*."""
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(over.wait(), seconds)
    return not over.is_set()


async def _change_weather(here: World, chance: random.Random, over: asyncio.Event) -> None:
    while await _pause(over, chance.uniform(0.1, 0.8)):
        here.weather.rains = chance.random() < 0.7


async def _collect(
    here: World, rules: Rules, chance: random.Random, outcome: Outcome, over: asyncio.Event
) -> None:
    """Collect, by plans that may be old; fold the journal now and then."""
    plans: list[Plan] = []
    while not over.is_set():
        losses = here.losses
        async with here.collector() as (storage, collection):
            watch = agreement.Watch(storage)
            while losses == here.losses and await _pause(over, chance.uniform(0.1, 0.6)):
                async with here.collecting:
                    if losses != here.losses:  # the file may be another's
                        break
                    with contextlib.suppress(RegistryError, collect.Busy):
                        await watch.look()
                        job = _job(storage, collection, rules, chance, plans)
                        outcome.collected += await job


async def _job(
    storage: Storage, collection: SqlCollection, rules: Rules, chance: random.Random,
    plans: list[Plan],
) -> int:  # fmt: skip
    """One of the things that a collector does; how many objects went."""
    clock = _now()
    if plans and chance.random() < 0.3:
        old = chance.choice(plans)
        return (await sweep.execute(storage, collection, old, rules, clock)).objects
    if chance.random() < 0.15:
        await storage.journal.fold()
        return 0
    plans.append(await plan.make(collection, rules, clock))
    _, report = await collect.run(storage, collection, rules, clock)
    return report.objects


def _now() -> float:
    """A little ahead, so that what was promised this moment is promised no more."""
    return time.time() + 0.001


async def _day(here: World, glance: Glance, actor: Actor, deeds: Mapping[str, float]) -> None:
    chance = actor.chance
    for _ in range(chance.randint(3, 5)):
        what = chance.choices(list(deeds), list(deeds.values()))[0]
        actor.tally.done(what)
        if what == "restart":
            with here.fair():
                await here.restart(chance.randrange(2))
        else:
            words = "".join(chance.choices(list(SIZES), k=chance.choice([1, 1, 2])))
            await _do(glance, actor, what, chance.choice(TAGS), words)


async def _do(glance: Glance, actor: Actor, what: str, tag: str, words: str) -> None:
    match what:
        case "push":
            await actor.push(tag, pushed(words))
        case "index":
            await actor.push(tag, pushed_index(tuple(sorted({words, words[:1]}))))
        case "alone":
            await actor.put(tag, pushed(words))
        case "pull":
            await actor.pull(tag)
        case "untag":
            await actor.delete_tag(tag)
        case "delete":
            await actor.delete_settled(tag)
        case "contest":
            await actor.be_taken_over(text(max(words, "c")[-1]).encode())
        case "list":
            await actor.list_tags()
        case _:
            await glance.does[what](actor, tag)
