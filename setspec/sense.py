"""Rules of a set document v3 that no schema can say: what its parts have to do with each other.

They hold for a document of any form, so that all faults are told at once; what is of the wrong
type is the schema's business.
"""

import ipaddress
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final

from setspec import paths
from setspec.faults import Fault, Path, shown
from setspec.loose import members, number, objects, text, workloads
from setspec.strict import JsonObject

LEASE_S: Final = 30
"""Seconds of a host's lease: so long may a host not know that it is thought silent."""

_GRACE_S = 10


def check(document: JsonObject) -> Iterator[Fault]:
    """All that is wrong with *document* beyond its form."""
    for rule in _RULES:
        yield from rule(document)


def _containers(document: JsonObject) -> Iterator[Fault]:
    containers = [*objects(document, "containers")]
    for field, why in (
        ("name", "Networks, logs and operations name a container by it"),
        ("index", "The order of start would be open"),
    ):
        values = [(("containers", place, field), each.get(field)) for place, each in containers]
        yield from _twice(values, why)


def _networks(document: JsonObject) -> Iterator[Fault]:
    networks = [*objects(document, "networks")]
    for field, why in (
        ("name", "Two interfaces in one network answer for each other's addresses"),
        ("vlan", "Two interfaces in one VLAN answer for each other's addresses"),
    ):
        values = [(("networks", place, field), each.get(field)) for place, each in networks]
        yield from _twice(values, why)
    ips = [(("networks", place, "ip"), _address(text(each, "ip"))) for place, each in networks]
    yield from _twice(ips, "An address stands on one interface")
    if document.get("host_network") is True and document.get("networks"):
        what = "stands beside host_network"
        why = "With the host's network a set has no interface of its own"
        yield Fault(("networks",), "excluded", what, why, "Leave out one of the two")


def _volumes(document: JsonObject) -> Iterator[Fault]:
    volumes = [*objects(document, "volumes")]
    names = [(("volumes", place, "name"), each.get("name")) for place, each in volumes]
    yield from _twice(names, "Containers mount a volume by its name")
    sources = [(("volumes", place, "from"), each.get("from")) for place, each in volumes]
    yield from _twice(sources, "It would be one volume under two names")
    declared = {name for _, name in names if isinstance(name, str)}
    mounted = set()
    for path, workload in workloads(document):
        for place, mount in objects(workload, "mounts"):
            volume = text(mount, "volume")
            mounted.add(volume)
            if volume is not None and volume not in declared:
                what, fix = "names no volume of this set", 'Declare it in "volumes"'
                yield Fault((*path, "mounts", place, "volume"), "unknown", what, "", fix)
    for name_path, name in names:
        if isinstance(name, str) and name not in mounted:
            why = "It would take disk for nothing"
            fix = "Mount it, or leave it out"
            yield Fault(name_path, "unused", "is mounted by no container", why, fix)


def _trees(document: JsonObject) -> Iterator[Fault]:
    for path, workload in workloads(document):
        yield from paths.check(workload, path)


def _times(document: JsonObject) -> Iterator[Fault]:
    for path, workload in workloads(document):
        readiness, restart = members(workload, "readiness"), members(workload, "restart")
        least, most = number(readiness, "min_ready_s"), number(readiness, "ready_timeout_s")
        if (1 if least is None else least) >= (60 if most is None else most):
            yield Fault(
                (*path, "readiness", "ready_timeout_s" if most is not None else "min_ready_s"),
                "order",
                "leaves no time to become ready",
                "A container must have been ready for min_ready_s before ready_timeout_s is over",
                "Make ready_timeout_s larger than min_ready_s",
            )
        base, cap = number(restart, "base_s"), number(restart, "cap_s")
        if (1 if base is None else base) > (60 if cap is None else cap):
            yield Fault(
                (*path, "restart", "cap_s" if cap is not None else "base_s"),
                "order",
                "has the first wait longer than the longest",
                "Waiting grows from base_s up to cap_s",
                "Make cap_s at least base_s",
            )


def _ssh(document: JsonObject) -> Iterator[Fault]:
    if "ssh" not in document:
        return
    container = text(members(document, "ssh"), "container")
    names = {text(each, "name") for _, each in objects(document, "containers")}
    if container is not None and container not in names:
        what, fix = "names no container of this set", "Name one of the containers"
        yield Fault(("ssh", "container"), "unknown", what, "", fix)
    if document.get("host_network") is True:
        why = "Port 22 of the host is the host's own"
        yield Fault(("ssh",), "excluded", "stands beside host_network", why, "Leave out one")
    elif document.get("networks") == []:
        why = "Nobody could reach it"
        fix = "Name a network, or leave ssh out"
        yield Fault(("ssh",), "excluded", "stands in a set without a network", why, fix)


def _partition(document: JsonObject) -> Iterator[Fault]:
    partition = members(document, "partition")
    stop = number(partition, "stop_on_host_after_s")
    replace = number(partition, "replace_after_s")
    if replace is None:
        return
    where = ("partition", "replace_after_s")
    if any(True for _ in objects(document, "volumes")):
        why = "A volume stays on its host, and the set would start elsewhere without it"
        fix = "Leave out replace_after_s, or the volumes"
        yield Fault(where, "excluded", "stands in a set with volumes", why, fix)
    graces = [number(members(each, "stop"), "grace_s") for _, each in workloads(document)]
    grace = sum(_GRACE_S if each is None else each for each in graces)
    if stop is not None and replace < stop + grace + LEASE_S:
        yield Fault(
            where,
            "order",
            "is too soon",
            f"Before it, the host must have stopped the set for certain: stop_on_host_after_s, all "
            f"graces together ({grace} s) and a lease ({LEASE_S} s)",
            f"Write at least {stop + grace + LEASE_S}",
        )


_RULES: Final[tuple[Callable[[JsonObject], Iterable[Fault]], ...]] = (
    _containers,
    _networks,
    _volumes,
    _trees,
    _times,
    _ssh,
    _partition,
)


def _twice(values: Sequence[tuple[Path, object]], why: str) -> Iterator[Fault]:
    seen = set()
    for path, value in values:
        if isinstance(value, str | int):
            if value in seen:
                what = f"is {shown(value)} a second time"
                yield Fault(path, "twice", what, why, "Choose another")
            seen.add(value)


def _address(value: str | None) -> str | None:
    try:
        return None if value is None else str(ipaddress.ip_address(value))
    except ValueError:
        return None
