"""The status document: read item by item, so that one bad report hides no other."""

from typing import Final

from setspec.desired import PROTOCOL
from setspec.items import Kind, Reading, envelope, sift
from setspec.shape import dump, load
from setspec.status import Status
from setspec.strict import JsonObject

_FILE: Final = "status.json"
_SETS: Final = Kind("sets", "set", f"{_FILE}#/$defs/set", "set")
_RESULTS: Final = Kind("operations", "result", f"{_FILE}#/$defs/result", "id")


def read_status(raw: bytes | str | JsonObject) -> Reading[Status]:
    """The status that *raw* is, and what of it is refused: a set or a result, each alone.

    Raises DocumentInvalid where the envelope is at fault, or the protocol another.
    """
    document = envelope(raw, _FILE, PROTOCOL)
    sets, bad_sets = sift(document, _SETS)
    results, bad_results = sift(document, _RESULTS)
    good = {**document, "sets": sets, "operations": results}
    return Reading(load(Status, good), (*bad_sets, *bad_results))


def write_status(status: Status) -> JsonObject:
    """*status* as JSON."""
    return dump(status)
