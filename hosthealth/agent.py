"""A host agent's figures, out of plain counts (pure)."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from typing import Final

from hosthealth.figures import Figure


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """What an agent counts."""

    levels: Mapping[str, int]
    """Sets by what they should be."""
    states: Mapping[str, int]
    """Runs of containers by how far they are."""
    containers_alive: int
    crashing: int
    troubles: int
    cache_bytes: int
    cache_inodes: int
    cache_layers: int
    cache_hits_total: int
    fetched_layers_total: int
    fetched_bytes_total: int
    layers_coming: int
    cpu_seconds_total: float


_WHAT: Final = {
    "containers_alive": "Containers whose first process runs.",
    "crashing": "Containers that have ended by themselves and not run for long since.",
    "troubles": "Steps that have failed and are tried again.",
    "cache_bytes": "Bytes of unpacked image layers.",
    "cache_inodes": "Files of unpacked image layers.",
    "cache_layers": "Image layers that are here.",
    "cache_hits_total": "Layers that were needed and were here.",
    "fetched_layers_total": "Image layers fetched since the start.",
    "fetched_bytes_total": "Bytes of image layers fetched since the start.",
    "layers_coming": "Image layers that are being fetched or wait for it.",
    "cpu_seconds_total": "Processor time of the agent.",
}


def figures(counts: Counts) -> Iterator[Figure]:
    """All of them."""
    yield Figure(_named("sets"), "gauge", "Sets by what they should be.", counts.levels, "level")
    what = "Runs of containers by how far they are."
    yield Figure(_named("attempts"), "gauge", what, counts.states, "state")
    for name in (each.name for each in fields(counts) if each.name in _WHAT):
        kind = "counter" if name.endswith("_total") else "gauge"
        yield Figure(_named(name), kind, _WHAT[name], {"": getattr(counts, name)})


def _named(name: str) -> str:
    return f"berth_agent_{name}"
