"""The fault run in short: whatever the cloud does, nothing that was told is lost."""

import logging
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace

import pytest

from support.faultevents import IN_A_FILE, ON_A_SERVER
from support.faultplants import PLANTS
from support.faultrun import DEEDS, Outcome, Schedule, play
from support.faultstage import Stage, staged
from support.openstack import OpenStack
from support.weather import NAMES

MORE = 6
"""Schedules at most for what chance left out: kinds of faults, words."""


@pytest.fixture(scope="module")
def stage(openstack: OpenStack) -> Iterator[Stage]:
    with staged(openstack) as made:
        yield made


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    """The registry warns of each fault, as it should."""
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


LEDGERS = [(False, ("lose", "rebuild")), (True, ("kill",)), (True, ("put-back",))]
"""Whose each schedule's ledger is, and what befalls it."""
TALKATIVE = {**DEEDS, "say": 5}
TALK = {"push": 2, "say": 3}
WORDS = 2
"""That are said at Berth at least."""


@pytest.mark.timeout(900)
async def test_whatever_fails_what_was_acknowledged_is_there_and_right(stage: Stage) -> None:
    met: Counter[str] = Counter()
    befallen: Counter[str] = Counter()
    checked = acknowledged = words = 0

    async def hold(schedule: Schedule) -> None:
        nonlocal checked, acknowledged, words
        outcome = await play(stage, schedule)
        assert outcome.complaint is None, f"seed {outcome.seed}: {outcome.complaint}"
        for name, count in outcome.faults.items():
            met[name.partition(" ")[2]] += count
        befallen.update(outcome.events)
        checked += outcome.tally.bytes_checked
        acknowledged += outcome.tally.acknowledged
        words += outcome.tally.words

    for number, (served, events) in enumerate(LEDGERS):
        schedule = Schedule.of(f"short-{number}").only(*NAMES[number :: len(LEDGERS)], rate=0.4)
        await hold(replace(schedule, served=served, events=events, deeds=TALKATIVE))
    for number in range(MORE):
        missing = {name for name in NAMES if not met[name]}
        if not missing and words >= WORDS:
            break
        schedule = Schedule.of(f"more-{number}").only(*missing, rate=0.5)
        await hold(replace(schedule, events=(), deeds=DEEDS if missing else TALK))
    assert not [name for name in NAMES if not met[name]]
    assert set(befallen) == {event for _, events in LEDGERS for event in events}
    assert checked > 20_000
    assert acknowledged > len(LEDGERS)
    assert words >= WORDS


FOCUS = {
    "an_object_name_is_used_again": (("late-delete",), {"push": 8, "pull": 3, "untag": 3}),
    "nobody_looks_at_the_epoch": (("503",), {"contest": 1}),
    "nobody_looks_at_the_etag": (("flipped-byte",), {"push": 3, "pull": 1}),
    "nothing_is_looked_at_again": (("503",), {"push": 3, "pull": 1, "alone": 1}),
    "whoever_has_the_like_may_pull": (("503",), {"push": 2, "stranger": 3}),
    "a_change_without_an_answer_is_done": (("503", "reset-before"), {"push": 1, "say": 4}),
    "an_id_is_given_up_at_one_look": (("missing-image",), {"push": 2, "say": 4}),
    "members_of_a_private_image_are_as_they_were": (("503",), {"push": 1, "regret": 4}),
}
"""Where a planted fault shows soon."""


@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", PLANTS)
async def test_a_planted_fault_is_found_by_schedules(stage: Stage, name: str) -> None:
    kinds, deeds = FOCUS[name]
    graceful = name == "nobody_looks_at_the_epoch"
    others: list[str] = []
    for number in range(20):
        schedule = replace(
            Schedule.of(f"planted-{number}").only(*kinds),
            small=True, people=2, graceful=graceful, deeds=deeds, served=False, events=(),
        )  # fmt: skip
        outcome: Outcome = await play(stage, schedule, PLANTS[name])
        if outcome.complaint is None:
            continue
        if re.search(r"\.(Wrong|Missing): ", outcome.complaint):
            return
        # With such a fault a registry may also come to no end in time, which finds nothing.
        others.append(outcome.complaint)
        assert len(others) < 3, "\n".join(others)
    pytest.fail("twenty schedules, and nothing was found")


def test_every_kind_of_fault_can_be_met_by_chance() -> None:
    seen = {kind.name for n in range(50) for kind in Schedule.of(f"{n}").kinds}
    assert seen == set(NAMES)


def test_everything_can_befall_a_ledger_by_chance() -> None:
    drawn = [Schedule.of(f"{n}") for n in range(100)]
    assert {event for each in drawn for event in each.events} == {*IN_A_FILE, *ON_A_SERVER}
    assert 30 < sum(each.served for each in drawn) < 50
