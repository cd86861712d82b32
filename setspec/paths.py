"""Mounts and deployed files of one container: nothing hides, and nothing lies in, another."""

from collections.abc import Iterator
from typing import Final

from setspec.faults import Fault, Path, shown
from setspec.loose import objects, text
from setspec.strict import JsonObject

OWN: Final = ("/etc/hosts", "/etc/hostname", "/etc/resolv.conf")
"""Files that the host agent writes."""


def check(workload: JsonObject, path: Path) -> Iterator[Fault]:
    """What is wrong with the mounts and files of *workload*, which stands at *path*."""
    places: list[tuple[str, Path, bool]] = []
    for kind in ("mounts", "files"):
        for place, each in objects(workload, kind):
            where = text(each, "path")
            if where is not None:
                places.append((where, (*path, kind, place, "path"), kind == "mounts"))
    yield from _own(places)
    yield from _overlapping(places)


def _own(places: list[tuple[str, Path, bool]]) -> Iterator[Fault]:
    for where, path, _ in places:
        if any(where == own or where.startswith(own + "/") for own in OWN):
            why = "The host writes it, with the set's own name and addresses"
            yield Fault(path, "reserved", f"is {where}", why, "Choose another path")


def _overlapping(places: list[tuple[str, Path, bool]]) -> Iterator[Fault]:
    """Sorted by their steps, a path is followed by all that lies below it."""
    above: list[tuple[str, bool]] = []
    for where, path, is_mount in sorted(
        places, key=lambda place: (place[0].split("/"), place[1][-3] != "mounts")
    ):
        while above and where != above[-1][0] and not where.startswith(above[-1][0] + "/"):
            above.pop()
        if above:
            yield _fault(where, path, *above[-1], is_mount=is_mount)
        above.append((where, is_mount))


def _fault(where: str, path: Path, other: str, other_is_mount: bool, *, is_mount: bool) -> Fault:
    kind = "mount" if other_is_mount else "file"
    if where == other:
        what = "is the same as another mount's" if is_mount else f"is the same as another {kind}'s"
        return Fault(path, "twice", what, "Only one of the two would be there", "Choose another")
    what = f"lies below the {kind} at {shown(other)}"
    if other_is_mount:
        why = (
            "It would lie in the volume, or be hidden by it"
            if not is_mount
            else "One volume would lie in another"
        )
    else:
        why = "A file is no directory"
    return Fault(path, "overlap", what, why, "Choose a path beside it")
