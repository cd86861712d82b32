"""Which desired state a host takes after which: nothing old, nothing foreign, no gap."""

from typing import Any

import pytest

from setspec.desired_document import read_desired
from setspec.succession import Objection, Position, missing, objection
from support.setdesired import HOST, OTHER_SET, SET, SHIM, desired, desired_set


def taken(**fields: Any) -> Position:
    return Position.of(read_desired(desired(sets=[], **fields)).document)


TAKEN = taken()

CASES: list[tuple[dict[str, Any], Objection | None]] = [
    ({}, None),
    ({"rev": 41}, None),
    ({"rev": 41, "complete": False, "since": 40}, None),
    ({"epoch": {"incarnation": 1, "n": 3}, "rev": 1}, None),
    ({"epoch": {"incarnation": 2, "n": 0}, "rev": 0}, None),
    ({"rev": 39}, Objection.OLDER_REV),
    ({"epoch": {"incarnation": 1, "n": 1}, "rev": 99}, Objection.OLDER_EPOCH),
    ({"epoch": {"incarnation": 0, "n": 9}, "rev": 99}, Objection.OLDER_EPOCH),
    ({"rev": 42, "complete": False, "since": 41}, Objection.GAP),
    ({"rev": 42, "complete": False, "since": 39}, Objection.GAP),
    ({"epoch": {"incarnation": 1, "n": 3}, "complete": False, "since": 40}, Objection.GAP),
    ({"shim": HOST}, Objection.OTHER_SHIM),
    ({"host": SHIM}, Objection.OTHER_HOST),
]


@pytest.mark.parametrize(("fields", "wanted"), CASES)
def test_what_a_host_takes(fields: dict[str, Any], wanted: Objection | None) -> None:
    state = read_desired(desired(sets=[], **fields)).document
    assert objection(state, HOST, TAKEN) is wanted


def test_a_host_begins_with_a_complete_document() -> None:
    complete = read_desired(desired(sets=[])).document
    change = read_desired(desired(sets=[], complete=False, since=39)).document
    assert objection(complete, HOST, None) is None
    assert objection(change, HOST, None) is Objection.GAP
    assert objection(complete, SHIM, None) is Objection.OTHER_HOST


def names(count: int) -> list[str]:
    return [f"{number:08d}-0000-4000-8000-000000000000" for number in range(count)]


@pytest.mark.parametrize(
    ("known", "lost", "alarm"),
    [(30, 3, False), (29, 3, True), (30, 4, True), (2, 2, False), (3, 3, True), (0, 0, False)],
)
def test_a_document_that_drops_many_sets_is_an_alarm(known: int, lost: int, alarm: bool) -> None:
    tombstones = [{"set": each, "generation": 1} for each in names(known)[lost:]]
    reading = read_desired(desired(sets=[], tombstones=tombstones))
    found = missing(names(known), reading)
    assert found.sets == tuple(names(lost))
    assert found.alarm is alarm


def test_a_refused_set_is_not_missing() -> None:
    sets = [desired_set(colour=1), desired_set(set=OTHER_SET), 5]
    reading = read_desired(desired(sets=sets, tombstones=[]))
    assert missing([SET, OTHER_SET, SHIM], reading).sets == (SHIM,)
