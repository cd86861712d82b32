"""Processes that push, move and delete race processes that collect; all of them die at any point.

One PostgreSQL, one directory whose deletions come late, no grace: what was acknowledged resolves
whole all the time, also out of a ledger made anew of the journal, and nothing else stays.
"""

import pytest

from support import race
from support.raceplants import PLANTS


def test_what_was_acknowledged_survives_races_deaths_and_late_deletions(postgres_url: str) -> None:
    tally = race.play(postgres_url, "short", 40, race.TRASH[0])
    assert tally.complaints == []
    assert not set(race.DEEDS) - set(tally.deeds)
    assert {"in a transaction", "Ledger"} <= set(tally.deaths)
    assert sum(tally.late[when] for when in ("after the next push", "some time later")) > 0
    assert tally.checked > 0
    assert len(tally.meetings) > 50


@pytest.mark.parametrize("plant", sorted(PLANTS))
def test_a_planted_fault_loses_the_race(postgres_url: str, plant: str) -> None:
    found: list[str] = []
    for attempt in range(4):
        found = race.play(postgres_url, f"planted-{attempt}", 20, race.TRASH[0], plant).complaints
        if found:
            break
    assert found
