"""Processes that push, move and delete race processes that collect; all of them die at any point.

One PostgreSQL, one directory whose deletions come late, no grace: what was acknowledged resolves
whole all the time, also out of a ledger made anew of the journal, and nothing else stays.
"""

import pytest

from support import race
from support.raceplants import PLANTS

WHERE = {"in a transaction", "Ledger"}
"""Somebody must have died in the middle of a transaction, and between calls of a port."""
ERRORS = "registry.oci.errors."


def test_what_was_acknowledged_survives_races_deaths_and_late_deletions(postgres_url: str) -> None:
    tally = race.Tally()
    while not is_enough(tally) and tally.races < 4:  # a busy machine needs more than one
        tally.add(race.play(postgres_url, f"short-{tally.races}", 15, race.TRASH[0]))
        assert tally.complaints == []
    assert is_enough(tally), tally


def is_enough(tally: race.Tally) -> bool:
    late = tally.late["after the next push"] + tally.late["some time later"]
    everything = set(race.DEEDS) <= set(tally.deeds) and set(tally.deaths) >= WHERE
    return everything and late > 0 and tally.checked > 0 and len(tally.meetings) > 50


@pytest.mark.parametrize("plant", sorted(PLANTS))
def test_a_planted_fault_loses_the_race(postgres_url: str, plant: str) -> None:
    found: list[str] = []
    for attempt in range(10):  # short: some are seen only by who looks when a race has ended
        tally = race.play(postgres_url, f"planted-{attempt}", 5, race.TRASH[0], plant)
        found = list(filter(is_the_registrys, tally.complaints))
        if found:
            break
    assert found


def is_the_registrys(complaint: str) -> bool:
    """Whether the registry broke its word or gave up: a plant that fails itself shows nothing."""
    return "a process ended with" not in complaint or ERRORS in complaint.splitlines()[-1]
