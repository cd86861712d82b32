"""The desired-state document: read item by item, so that one bad set stops no other."""

from typing import Final

from setspec import desired_rules
from setspec.desired import PROTOCOL, DesiredState
from setspec.faults import Fault, Faults
from setspec.items import Kind, Reading, envelope, no_rules, refusal, sift
from setspec.shape import dump, load
from setspec.strict import JsonObject

_FILE: Final = "desired-state.json"
_SETS: Final = Kind("sets", "set", f"{_FILE}#/$defs/set", "set")
_TOMBSTONES: Final = Kind("tombstones", "tombstone", f"{_FILE}#/$defs/tombstone", "set")
_SESSIONS: Final = Kind("sessions", "session", f"{_FILE}#/$defs/session", "id")


def read_desired(raw: bytes | str | JsonObject) -> Reading[DesiredState]:
    """The desired state that *raw* is, and what of it is refused.

    A set, tombstone or session with a field that is not known, or with any other fault, is
    refused alone. Raises DocumentInvalid where the envelope is at fault, or the protocol another.
    """
    document = envelope(raw, _FILE, PROTOCOL)
    sets, bad_sets = sift(document, _SETS, desired_rules.check)
    tombstones, bad_tombstones = sift(document, _TOMBSTONES, no_rules)
    sessions, bad_sessions = sift(document, _SESSIONS, no_rules)
    refused = [*bad_sets, *bad_tombstones, *bad_sessions]
    torn = _named(sets) & _named(tombstones)
    for kind, items in ((_SETS, sets), (_TOMBSTONES, tombstones)):
        refused += [refusal(item, kind, _torn()) for item in items if item["set"] in torn]
    good = {
        **document,
        "sets": [item for item in sets if item["set"] not in torn],
        "tombstones": [item for item in tombstones if item["set"] not in torn],
        "sessions": sessions,
    }
    return Reading(load(DesiredState, good), tuple(refused))


def write_desired(state: DesiredState) -> JsonObject:
    """*state* as JSON."""
    return dump(state)


def _named(items: list[JsonObject]) -> set[str]:
    return {item["set"] for item in items}


def _torn() -> Faults:
    faults = Faults()
    what = "stands among the sets and among the tombstones"
    faults.add(Fault(("set",), "torn", what, "Nobody knows which one is meant", ""))
    return faults
