"""The fault run's short form: whatever Keystone and Swift do, nothing that was told is lost."""

import asyncio
import logging
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from support.faultplants import PLANTS
from support.faultrun import Outcome, Schedule, Stage, play
from support.ledgers import Template
from support.openstack import OpenStack
from support.weather import KINDS

SCHEDULES = 12
MORE = 12
"""Schedules at most for the kinds of faults that chance left out."""


@pytest.fixture(scope="module")
def stage(openstack: OpenStack) -> Iterator[Stage]:
    with tempfile.TemporaryDirectory() as directory:
        made = Stage(openstack, Template(Path(directory)))
        yield made
        asyncio.run(made.strike())


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    """The registry warns of each fault, as it should."""
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


@pytest.mark.timeout(900)
async def test_whatever_fails_what_was_acknowledged_is_there_and_right(stage: Stage) -> None:
    met: Counter[str] = Counter()
    checked = acknowledged = 0

    async def hold(schedule: Schedule) -> None:
        nonlocal checked, acknowledged
        outcome = await play(stage, schedule)
        assert outcome.complaint is None, f"seed {outcome.seed}: {outcome.complaint}"
        for name, count in outcome.faults.items():
            met[name.partition(" ")[2]] += count
        checked += outcome.tally.bytes_checked
        acknowledged += outcome.tally.acknowledged

    for number in range(SCHEDULES):
        await hold(Schedule.of(f"short-{number}"))
    every = [kind.name for kind in KINDS]
    for number in range(MORE):
        missing = {name for name in every if not met[name]}
        if not missing:
            break
        await hold(Schedule.of(f"more-{number}").only(*missing, rate=0.5))
    assert not [name for name in every if not met[name]]
    assert checked > 100_000
    assert acknowledged > SCHEDULES


FOCUS = {
    "an_object_name_is_used_again": (("late-delete",), {"push": 8, "pull": 3, "untag": 3}),
    "nobody_looks_at_the_epoch": (("503",), {"contest": 1}),
    "nobody_looks_at_the_etag": (("flipped-byte",), {"push": 3, "pull": 1}),
    "nothing_is_looked_at_again": (("503",), {"push": 3, "pull": 1, "alone": 1}),
}
"""Where a planted fault shows soon."""


@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", PLANTS)
async def test_a_planted_fault_is_found_by_schedules(stage: Stage, name: str) -> None:
    kinds, deeds = FOCUS[name]
    graceful = name == "nobody_looks_at_the_epoch"
    for number in range(20):
        schedule = replace(
            Schedule.of(f"planted-{number}").only(*kinds),
            small=True, people=2, graceful=graceful, deeds=deeds,
        )  # fmt: skip
        outcome: Outcome = await play(stage, schedule, PLANTS[name])
        if outcome.complaint is not None:
            assert "Wrong" in outcome.complaint, outcome.complaint
            return
    pytest.fail("twenty schedules, and nothing was found")


def test_every_kind_of_fault_can_be_met_by_chance() -> None:
    seen = {kind.name for n in range(50) for kind in Schedule.of(f"{n}").kinds}
    assert seen == {kind.name for kind in KINDS}
