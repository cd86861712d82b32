"""Ways into a document whose form may be wrong: what is of the wrong type is passed by."""

from collections.abc import Iterator
from typing import Any

from setspec.faults import Path
from setspec.strict import JsonObject


def objects(value: JsonObject, name: str) -> Iterator[tuple[int, JsonObject]]:
    """The objects in the list *name*, each with its place; an empty one for what is none."""
    items = value.get(name)
    for place, item in enumerate(items if isinstance(items, list) else ()):
        yield place, item if isinstance(item, dict) else {}


def members(value: JsonObject, name: str) -> JsonObject:
    """The object *name*; empty if there is none."""
    member = value.get(name)
    return member if isinstance(member, dict) else {}


def text(value: JsonObject, name: str) -> str | None:
    """The string *name*."""
    member = value.get(name)
    return member if isinstance(member, str) else None


def number(value: JsonObject, name: str) -> int | None:
    """The whole number *name*."""
    member = value.get(name)
    return member if isinstance(member, int) and not isinstance(member, bool) else None


def workloads(document: JsonObject) -> Iterator[tuple[Path, JsonObject]]:
    """The containers and the infra container of a set document v3, each with its path."""
    if members(document, "infra"):
        yield ("infra",), members(document, "infra")
    for place, container in objects(document, "containers"):
        yield ("containers", place), container


def visit(value: Any, steps: Path, path: Path = ()) -> Iterator[tuple[Path, Any, str | int]]:
    """Each place that *steps* lead to, where ``*`` is every name or place of a list.

    Answers its path, the object or list that it stands in, and its name or place there.
    """
    step, *rest = steps
    if isinstance(value, dict):
        names: list[str | int] = [*value] if step == "*" else [step] if step in value else []
    elif isinstance(value, list) and step == "*":
        names = [*range(len(value))]
    else:
        names = []
    for name in names:
        if rest:
            yield from visit(value[name], tuple(rest), (*path, name))
        else:
            yield (*path, name), value, name
