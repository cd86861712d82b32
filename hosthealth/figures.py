"""Figures, and Prometheus's text of them (pure)."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"


@dataclass(frozen=True, slots=True)
class Figure:
    """A family of samples; *values* by the one label that tells them apart."""

    name: str
    kind: str
    """``gauge`` or ``counter``."""
    what: str
    values: Mapping[str, float]
    label: str = ""
    """Empty: there is one value, under the empty text. Values are words of ours, never quoted."""


def text(figures: Iterable[Figure]) -> str:
    """The text format, version 0.0.4."""
    lines = []
    for each in figures:
        lines += [f"# HELP {each.name} {each.what}", f"# TYPE {each.name} {each.kind}"]
        for value, number in sorted(each.values.items()):
            label = f'{{{each.label}="{value}"}}' if each.label else ""
            lines.append(f"{each.name}{label} {number}")
    return "".join(f"{line}\n" for line in lines)
