"""Chains drawn as trees (pure): index, its platforms, their layers from the top to the base."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from climg import records
from climg.chains import Catalogue
from climg.records import Record
from climg.text import one_line, shorten


@dataclass(frozen=True, slots=True)
class Node:
    """One line, and what stands below it."""

    text: str
    below: Sequence["Node"] = ()


def node(catalogue: Catalogue, record: Record) -> Node:
    """The tree of *record*; its chain must have been completed."""
    platforms = catalogue.platforms(record)
    if platforms:
        below = [_chain(catalogue, each, _platform(each)) for each in platforms]
        return Node(_line(record.label, record, f"index of {len(record.children)}"), below)
    if record.kind == "layer":
        return _chain(catalogue, record, _layer(record))
    return _chain(catalogue, record, _line(record.label, record))


def draw(top: Node, width: int | None = None) -> list[str]:
    """The lines of a tree, each cut at *width* columns if given."""
    lines = [top.text, *_below(top, "")]
    return [line if width is None else shorten(line, width) for line in lines]


def as_json(catalogue: Catalogue, top: Record) -> dict[str, Any]:
    """The tree of *top* for programs: the record, its platforms, its layers from the top down."""
    platforms = [
        {**records.as_json(each), "layers": _layers(catalogue, each)}
        for each in catalogue.platforms(top)
    ]
    layers = [] if platforms else _layers(catalogue, top)
    return {**records.as_json(top), "platforms": platforms, "layers": layers}


def _chain(catalogue: Catalogue, record: Record, text: str) -> Node:
    layers = catalogue.chain(record)
    nodes = [Node(_layer(each)) for each in layers]
    last = layers[-1] if layers else record
    if last.parent_id is not None:
        nodes.append(Node(f"{one_line(last.parent_id)}  not to be seen from here"))
    return Node(text, nodes)


def _below(top: Node, indent: str) -> Iterator[str]:
    for place, each in enumerate(top.below):
        is_last = place == len(top.below) - 1
        yield f"{indent}{'└── ' if is_last else '├── '}{each.text}"
        yield from _below(each, indent + ("    " if is_last else "│   "))


def _line(name: str, record: Record, *more: str) -> str:
    size = "" if record.shown_size is None else str(record.shown_size)
    return "  ".join(
        word for word in (one_line(name), record.id, size, *map(one_line, more)) if word
    )


def _platform(record: Record) -> str:
    return _line(record.properties.get("oci_platform") or "unknown", record, record.digest)


def _layer(record: Record) -> str:
    made = record.properties.get("oci_created_by", "")
    name = record.label if record.name else ""
    return _line(name, record, made)


def _layers(catalogue: Catalogue, record: Record) -> list[dict[str, Any]]:
    return [records.as_json(each) for each in catalogue.chain(record)]
