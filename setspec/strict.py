"""JSON, read strictly: bounded, nothing twice, nothing that could not be written again."""

import json
import math
import re
from collections import Counter
from dataclasses import dataclass
from typing import Any, Final

from setspec.faults import Fault, Faults, Path, shown

JsonObject = dict[str, Any]

_MIB = 2**20
_INTEGER_LIMIT: Final = 2**63 - 1
_INTEGER_DIGITS = 20
_NAME_LIMIT = 255
_STRING = re.compile(r'"(?:[^"\\]++|\\.)*+"', re.DOTALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """How much a document may be."""

    size: int
    """Bytes of its text."""
    values: int
    """Objects, lists, strings, numbers ... in all."""
    depth: int = 16
    """Objects and lists inside one another."""


SET_BOUNDS: Final = Bounds(size=4 * _MIB, values=50_000)
HOST_BOUNDS: Final = Bounds(size=64 * _MIB, values=2_000_000)
"""For desired state and status: a host's sets together."""


class _Enough(Exception):
    """The document is larger than a walk over it may be; never leaves this module."""


def read(raw: bytes | str, bounds: Bounds) -> JsonObject:
    """The JSON object that *raw* is; raise DocumentInvalid if it is none, or beyond *bounds*."""
    faults = Faults()
    size = len(raw) if isinstance(raw, bytes) else len(raw.encode("utf-8", "surrogatepass"))
    if size > bounds.size:
        faults.add(_whole("size", f"has {size} bytes", f"At most {bounds.size} are read"))
        faults.refuse_if_any()
    value: object = None
    try:
        text = raw.decode("utf-8") if isinstance(raw, bytes) else raw
        if _beyond(text, bounds) and (fault := _beyond(_STRING.sub("", text), bounds)):
            faults.add(fault)
            faults.refuse_if_any()
        value = json.loads(
            text, object_pairs_hook=_Members.of, parse_int=_integer, parse_constant=_no_constant
        )
    except UnicodeDecodeError as error:
        faults.add(_whole("json", f"is not UTF-8: byte {error.start}", "JSON is UTF-8"))
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}"
        faults.add(_whole("json", f"is not JSON: {error.msg} at {place}", ""))
    except RecursionError:
        faults.add(_too_deep((), bounds))
    faults.refuse_if_any()
    return copy(value, bounds)


def _beyond(text: str, bounds: Bounds) -> Fault | None:
    """Whether JSON without strings is too deep or has too many values, before there are any.

    An empty object is a hundred times as large as its text. Each value but the first stands behind
    a comma or is the first one in another.
    """
    commas, opened = text.count(","), text.count("[") + text.count("{")
    if max(commas, opened) <= bounds.values:
        return None
    return _too_deep((), bounds) if opened > (commas + 1) * bounds.depth else _too_many(bounds)


def copy(value: object, bounds: Bounds) -> JsonObject:
    """A plain, own copy of *value*: a JSON object within *bounds*, whole numbers as int.

    Raises DocumentInvalid, also where an object holds itself.
    """
    walk = _Walk(bounds)
    copied: object = None
    try:
        copied = walk.copy(value, ())
    except _Enough:
        walk.faults.add(_too_many(bounds))
    walk.faults.refuse_if_any()
    if not isinstance(copied, dict):
        walk.faults.add(_whole("type", "is no object", "A document is a JSON object"))
        walk.faults.refuse_if_any()
    assert isinstance(copied, dict)
    return copied


class _Members(dict[str, object]):
    """A JSON object that remembers the names it was given twice."""

    __slots__ = ("twice",)
    twice: tuple[str, ...]

    @classmethod
    def of(cls, pairs: list[tuple[str, object]]) -> "_Members":
        members = cls(pairs)
        members.twice = ()
        if len(members) != len(pairs):
            times = Counter(name for name, _ in pairs)
            members.twice = tuple(name for name in members if times[name] > 1)
        return members


class _Walk:
    def __init__(self, bounds: Bounds) -> None:
        self.faults = Faults()
        self._bounds = bounds
        self._values = 0

    def copy(self, value: object, path: Path) -> object:
        self._values += 1
        if self._values > self._bounds.values:
            raise _Enough
        match value:
            case None | bool():
                return value
            case str():
                return self._text(value, path)
            case int():
                return self._number(value, path)
            case float():
                return self._number(self._finite(value, path), path)
            case dict() | list() if len(path) >= self._bounds.depth:
                self.faults.add(_too_deep(path, self._bounds))
                return None
            case dict():
                return self._object(value, path)
            case list():
                return [self.copy(item, (*path, place)) for place, item in enumerate(value)]
            case _:
                what = f"is a {type(value).__name__}"
                self.faults.add(Fault(path, "json", what, "JSON has no such", ""))
                return None

    def _object(self, value: dict[Any, object], path: Path) -> JsonObject:
        copied: JsonObject = {}
        for name, member in value.items():
            if not isinstance(name, str) or len(name) > _NAME_LIMIT or not _is_text(name):
                what = f"has a field named {shown(name)}"
                why = f"A field's name is a string of at most {_NAME_LIMIT} characters"
                self.faults.add(Fault(path, "json", what, why, ""))
            else:
                copied[name] = self.copy(member, (*path, name))
        for name in value.twice if isinstance(value, _Members) else ():
            if name in copied:
                what, why = "stands there twice", "Readers differ in which of the two they take"
                self.faults.add(Fault((*path, name), "twice", what, why, "Keep one of them"))
        return copied

    def _text(self, value: str, path: Path) -> str:
        if _is_text(value):
            return str(value)
        why = "It is no character, and nothing could write it again"
        self.faults.add(Fault(path, "json", "holds half a surrogate pair", why, ""))
        return ""

    def _finite(self, value: float, path: Path) -> float:
        if math.isnan(value):
            why = "JSON has neither NaN nor Infinity"
            self.faults.add(Fault(path, "json", "is no number", why, "Write a number"))
            return 0
        return int(value) if value.is_integer() else value

    def _number(self, value: float, path: Path) -> float:
        if abs(value) > _INTEGER_LIMIT:
            what, why = "is too large a number", f"At most {_INTEGER_LIMIT} is read"
            self.faults.add(Fault(path, "json", what, why, "Write a smaller number"))
            return 0
        return value


def _is_text(value: str) -> bool:
    try:
        value.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _integer(text: str) -> float:
    return int(text) if len(text) <= _INTEGER_DIGITS else math.inf


def _no_constant(_: str) -> float:
    return math.nan


def _too_deep(path: Path, bounds: Bounds) -> Fault:
    why = f"At most {bounds.depth} objects and lists stand inside one another"
    return Fault(path, "depth", "is nested too deeply", why, "Write it flatter")


def _too_many(bounds: Bounds) -> Fault:
    return _whole("values", f"has more than {bounds.values} values", "")


def _whole(rule: str, what: str, why: str) -> Fault:
    return Fault((), rule, what, why, "")
