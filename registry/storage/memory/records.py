"""Image records in a list: who sees which, and who may."""

from collections.abc import Iterable, Mapping

from registry.storage.changes import RecordState
from registry.storage.records import ImageRecord


def list_seen(
    states: Iterable[RecordState],
    *,
    projects: Iterable[str] | None,
    filters: Mapping[str, str],
    after: RecordState | None,
    descending: bool,
) -> list[RecordState]:
    """As in Ledger.list_records, without an end."""
    own = None if projects is None else set(projects)
    wanted = {"os_hidden": "false", **filters}.items()
    found = [
        state
        for state in states
        if _is_seen(state, own)
        and all(_attributes(state.record).get(name) == value for name, value in wanted)
    ]
    found.sort(key=_age, reverse=descending)
    if after is None:
        return found
    mark = _age(after)
    return [each for each in found if _age(each) != mark and (_age(each) < mark) == descending]


def _is_seen(state: RecordState, projects: set[str] | None) -> bool:
    return (
        projects is None
        or state.record.project in projects
        or state.record.visibility == "public"
        or any(who in projects and status == "accepted" for who, status in state.members)
    )


def _attributes(record: ImageRecord) -> dict[str, str | None]:
    return {
        **record.properties,
        "id": record.id,
        "name": record.name,
        "owner": record.project,
        "parent_id": record.parent_id,
        "visibility": record.visibility,
        "os_hidden": "true" if record.hidden else "false",
    }


def _age(state: RecordState) -> tuple[float, str]:
    return state.record.created_at, state.record.id
