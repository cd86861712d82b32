"""What a set and its volumes are called on their host (pure)."""

import uuid
from collections.abc import Iterable, Sequence

from setspec.desired import PlacedVolume
from setspec.faults import DocumentInvalid, Fault
from setspec.normal import SetSpec, Volume


def volumes(wanted: Sequence[Volume], known: Sequence[PlacedVolume]) -> tuple[PlacedVolume, ...]:
    """The volumes of a document by their ids; those that are *known* keep theirs."""
    former = {volume.name: volume for volume in known}
    made = []
    for volume in wanted:
        fresh = PlacedVolume(name=volume.name, id=volume.source or str(uuid.uuid4()))
        made.append(former.get(volume.name, fresh))
    return tuple(made)


def refuse_twin(spec: SetSpec, others: Iterable[SetSpec]) -> None:
    """Raise DocumentInvalid where another set of the same application has the caller's number."""
    if spec.id is None:
        return
    if any((each.appkey, each.id) == (spec.appkey, spec.id) for each in others):
        why = f"Another set of {spec.appkey} has this number: it is one set's alone"
        fix = "Choose another, leave it out, or update that set"
        raise DocumentInvalid([Fault(("id",), "unavailable", f"is {spec.id}", why, fix)])


def hostname(appkey: str, set_id: str) -> str:
    """A set's host name: its appkey's letters, and the beginning of its id."""
    letters = "".join(each if each.isalnum() else "-" for each in appkey.lower())
    label = letters.strip("-")[-40:].strip("-") or "set"
    return f"{label}-{set_id[:8]}"
