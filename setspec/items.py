"""A document of many items: a bad item is refused alone, a bad envelope refuses them all."""

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Final, Generic, TypeVar

from setspec import form
from setspec.faults import DocumentInvalid, Fault, Path
from setspec.loose import number, text
from setspec.strict import HOST_BOUNDS, JsonObject, copy, read

T = TypeVar("T")

_REASON: Final = 4096
"""Characters; what a status report bears."""


@dataclass(frozen=True, slots=True)
class Refused:
    """An item that is refused, and nothing is done about what it names."""

    kind: str
    """set, tombstone, session or result."""
    id: str | None
    """As far as it could be read."""
    generation: int | None
    faults: tuple[Fault, ...]

    @property
    def reason(self) -> str:
        """Its faults in one text, short enough for a report."""
        whole = "; ".join(str(fault) for fault in self.faults)
        return whole if len(whole) <= _REASON else whole[: _REASON - 3] + "..."


@dataclass(frozen=True, slots=True)
class Reading(Generic[T]):
    """A document as far as it could be read."""

    document: T
    refused: tuple[Refused, ...]


@dataclass(frozen=True, slots=True)
class Kind:
    """A list of items in a document."""

    field: str
    """The list's name in the document."""
    name: str
    """What one item is called."""
    schema: str
    id: str
    """The name of an item's field that says which one it is."""


def envelope(raw: bytes | str | JsonObject, file: str, protocol: int) -> JsonObject:
    """The document that *raw* is, of which all but the items has been held against *file*.

    Raises DocumentInvalid.
    """
    document = copy(raw, HOST_BOUNDS) if isinstance(raw, dict) else read(raw, HOST_BOUNDS)
    spoken = number(document, "protocol")
    if spoken is not None and spoken != protocol:
        what = f"is {spoken}"
        why = "Its fields might mean something else"
        fix = f"Ask for protocol {protocol}"
        raise DocumentInvalid([Fault(("protocol",), "protocol", what, why, fix)])
    form.check(document, f"{file}#/$defs/envelope").refuse_if_any()
    return document


def no_rules(_: JsonObject) -> Iterable[Fault]:
    """For items of which their schema says everything."""
    return ()


def sift(
    document: JsonObject,
    kind: Kind,
    rules: Callable[[JsonObject], Iterable[Fault]] = no_rules,
    others: Kind | None = None,
) -> tuple[list[JsonObject], list[Refused]]:
    """The items of *kind* that are good by schema and *rules*, and those that are not.

    An id that stands twice among them, or among the *others* too, is refused each time: nobody
    knows which one is meant. What *rules* finds has paths from the item on.
    """
    good: list[JsonObject] = []
    refused: list[Refused] = []
    items = document.get(kind.field, [])
    times = Counter(_ids(document, kind))
    if others is not None:
        times.update(set(_ids(document, others)))
    for place, item in enumerate(items):
        path: Path = (kind.field, place)
        faults = form.check(item, kind.schema, path)
        if not faults.found():
            if times[item[kind.id]] > 1:
                why = "Nobody knows which one is meant"
                faults.add(Fault((*path, kind.id), "twice", "stands there twice", why, ""))
            faults.extend(replace(fault, path=(*path, *fault.path)) for fault in rules(item))
        if faults.found():
            generation = number(item, "generation") if isinstance(item, dict) else None
            refused.append(Refused(kind.name, _id(item, kind), generation, faults.found()))
        else:
            good.append(item)
    return good, refused


def _id(item: object, kind: Kind) -> str | None:
    return text(item, kind.id) if isinstance(item, dict) else None


def _ids(document: JsonObject, kind: Kind) -> list[str | None]:
    return [_id(item, kind) for item in document.get(kind.field, [])]
