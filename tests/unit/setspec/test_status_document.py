"""Reported status: read item by item, written and read again."""

import json
from datetime import timedelta, timezone
from typing import Any

import pytest

from setspec.faults import DocumentInvalid
from setspec.moment import parse_moment, spell_moment
from setspec.status_document import read_status, write_status
from support.setdesired import OPERATION, OTHER_SET, SET
from support.setstatus import NOON, WHOLE


def test_what_is_written_is_read_again() -> None:
    reading = read_status(json.dumps(write_status(WHOLE)))
    assert reading.refused == ()
    assert reading.document == WHOLE


def test_the_least_report_is_good() -> None:
    least = written(sets=[], refused=[], gone=[], operations=[], alarms=[])
    del least["resources"]
    read = read_status(least).document
    assert (read.sets, read.resources) == ((), None)


def written(**fields: Any) -> dict[str, Any]:
    return {**json.loads(json.dumps(write_status(WHOLE))), **fields}


@pytest.mark.parametrize(
    ("field", "fault"),
    [
        ({"colour": 1}, "/sets/0/colour"),
        ({"state": "odd"}, "/sets/0/state"),
        ({"containers": [{"name": "web", "state": "odd"}]}, "/sets/0/containers/0/state"),
        (
            {"containers": [{"name": "web", "state": "exited", "exit_code": 256}]},
            "/sets/0/containers/0/exit_code",
        ),
        (
            {"containers": [{"name": "web", "state": "exited", "ended": "yesterday"}]},
            "/sets/0/containers/0/ended",
        ),
    ],
)
def test_a_bad_report_of_a_set_hides_no_other(field: dict[str, Any], fault: str) -> None:
    sets = [written()["sets"][0] | field, written()["sets"][0] | {"set": OTHER_SET}]
    reading = read_status(written(sets=sets))
    assert [each.set for each in reading.document.sets] == [OTHER_SET]
    (refused,) = reading.refused
    assert (refused.kind, refused.id, refused.generation) == ("set", SET, 3)
    assert [each.pointer for each in refused.faults] == [fault]


def test_a_bad_result_hides_no_other() -> None:
    good = written()["operations"][0]
    bad = {**good, "id": OPERATION.format(2), "colour": 1}
    reading = read_status(written(operations=[bad, good]))
    assert [each.id for each in reading.document.operations] == [good["id"]]
    assert [(each.kind, each.id) for each in reading.refused] == [("result", bad["id"])]


@pytest.mark.parametrize("fields", [{"colour": 1}, {"protocol": 9}, {"seq": -1}, {"gone": [5]}])
def test_a_fault_of_the_envelope_refuses_the_report(fields: dict[str, Any]) -> None:
    with pytest.raises(DocumentInvalid):
        read_status(written(**fields))


def test_moments_are_in_utc() -> None:
    east = NOON.astimezone(timezone(timedelta(hours=8)))
    assert spell_moment(east) == "2026-02-03T12:00:00.500000Z"
    assert parse_moment(spell_moment(east)) == NOON
    assert parse_moment("2026-02-03T12:00:00Z") == NOON.replace(microsecond=0)
    assert parse_moment("2026-02-03T12:00:00.5Z").microsecond == 500000


@pytest.mark.parametrize(
    "text",
    ["", "2026-02-03", "2026-02-03T12:00:00", "2026-02-03T12:00:00+00:00", "2026-13-03T12:00:00Z"],
)
def test_no_moments(text: str) -> None:
    with pytest.raises(ValueError, match="must be a moment"):
        parse_moment(text)
