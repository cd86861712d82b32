"""The desired-state document: read item by item, so that one bad set stops no other."""

from typing import Final

from setspec import desired_rules
from setspec.desired import PROTOCOL, DesiredState
from setspec.items import Kind, Reading, envelope, sift
from setspec.shape import dump, load
from setspec.strict import JsonObject

_FILE: Final = "desired-state.json"
_SETS: Final = Kind("sets", "set", f"{_FILE}#/$defs/set", "set")
_TOMBSTONES: Final = Kind("tombstones", "tombstone", f"{_FILE}#/$defs/tombstone", "set")
_SESSIONS: Final = Kind("sessions", "session", f"{_FILE}#/$defs/session", "id")


def read_desired(raw: bytes | str | JsonObject) -> Reading[DesiredState]:
    """The desired state that *raw* is, and what of it is refused.

    A set, tombstone or session with a field that is not known, or with any other fault, is
    refused alone; so is a set that stands among the sets and among the tombstones. Raises
    DocumentInvalid where the envelope is at fault, or the protocol is another.
    """
    document = envelope(raw, _FILE, PROTOCOL)
    sets, bad_sets = sift(document, _SETS, desired_rules.check, others=_TOMBSTONES)
    tombstones, bad_tombstones = sift(document, _TOMBSTONES, others=_SETS)
    sessions, bad_sessions = sift(document, _SESSIONS)
    good = {**document, "sets": sets, "tombstones": tombstones, "sessions": sessions}
    return Reading(load(DesiredState, good), (*bad_sets, *bad_tombstones, *bad_sessions))


def write_desired(state: DesiredState) -> JsonObject:
    """*state* as JSON."""
    return dump(state)
