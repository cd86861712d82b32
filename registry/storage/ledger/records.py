"""Image records in the ledger: found, made of drafts, and ended when no tag reaches them."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import (
    BindParameter,
    ColumnElement,
    Connection,
    and_,
    asc,
    bindparam,
    desc,
    func,
    or_,
    select,
)

from registry.oci.chain import RecordDraft
from registry.oci.errors import ManifestUnknown
from registry.oci.names import RepositoryName
from registry.storage.changes import RecordState
from registry.storage.ledger.apply import remove_record
from registry.storage.ledger.prepared import Prepared, PreparedList
from registry.storage.ledger.schema import member, record, record_use
from registry.storage.records import ImageRecord, Member

_PRUNED = ("layer", "manifest")
"""Kinds that live only as long as something names them."""

_CANDIDATE: BindParameter[Any] = bindparam("candidate")
_CHILD = record.alias("child")
_BY_ID = Prepared(lambda _: select(record).where(record.c.id == bindparam("wanted")))
_BY_KEYS = PreparedList(
    lambda keys: select(record).where(
        record.c.project_id == bindparam("project"), record.c.key.in_(keys)
    )
)
_MEMBERS = Prepared(
    lambda _: (
        select(member.c.project_id, member.c.status)
        .where(member.c.record_id == bindparam("wanted"))
        .order_by(member.c.project_id)
    )
)
_USES = PreparedList(
    lambda users: (
        select(record_use.c.user_id, record_use.c.used_id)
        .where(record_use.c.user_id.in_(users))
        .order_by(record_use.c.used_id)
    )
)
_PARENT = Prepared(lambda _: select(record.c.parent_id).where(record.c.id == bindparam("wanted")))
_UNUSED = Prepared(
    lambda _: select(record.c.id).where(
        record.c.id == _CANDIDATE,
        or_(*(record.c.kind == kind for kind in _PRUNED)),
        ~select(_CHILD.c.id).where(_CHILD.c.parent_id == _CANDIDATE).exists(),
        ~select(record_use.c.user_id).where(record_use.c.used_id == _CANDIDATE).exists(),
    )
)


def find(connection: Connection, wanted: str) -> ImageRecord:
    """As in Ledger.find_record."""
    row = _BY_ID(connection, wanted=wanted).one_or_none()
    if row is None:
        raise ManifestUnknown("there is no such image record")
    return read(row)


def members(connection: Connection, wanted: str) -> list[Member]:
    """Who a record is shared with, by project."""
    return [Member(row.project_id, row.status) for row in _MEMBERS(connection, wanted=wanted)]


def listed(
    connection: Connection,
    projects: Iterable[str] | None,
    filters: Mapping[str, str],
    after: str | None,
    limit: int,
    *,
    descending: bool,
) -> list[ImageRecord]:
    """As in Ledger.list_records."""
    order = desc if descending else asc
    query = select(record).order_by(order(record.c.created_at), order(record.c.id))
    if projects is not None:
        own = list(projects)
        shared = select(member.c.record_id).where(
            member.c.project_id.in_(own), member.c.status == "accepted"
        )
        query = query.where(
            or_(
                record.c.project_id.in_(own),
                record.c.visibility == "public",
                record.c.id.in_(shared),
            )
        )
    wanted = {"os_hidden": "false", **filters}
    for name, value in wanted.items():
        query = query.where(_matches(connection, name, value))
    if after is not None:
        mark = find(connection, after)
        earlier = _before if descending else _behind
        query = query.where(earlier(mark))
    return [read(row) for row in connection.execute(query.limit(limit))]


def resolve(
    connection: Connection,
    name: RepositoryName,
    drafts: Sequence[RecordDraft],
    now: float,
    new_id: Callable[[], str],
) -> tuple[list[RecordState], list[str]]:
    """Drafts to records with ids: those that are new or changed, and ids that nothing may name.

    A record keeps its id, its visibility and its members for life.
    """
    known = _by_keys(connection, name.project, [draft.key for draft in drafts])
    used = _uses(connection, [each.id for each in known.values()])
    named = {draft.parent for draft in drafts} | {key for draft in drafts for key in draft.uses}
    ids: dict[str, str] = {}
    changed: list[RecordState] = []
    released: list[str] = []
    for draft in drafts:
        parent_id = None if draft.parent is None else ids[draft.parent]
        keeps = tuple(sorted(ids[key] for key in draft.uses))
        present = known.get(draft.key)
        if present is None:
            made = ImageRecord.begin(draft, name.project, parent_id, now, new_id())
            changed.append(RecordState(made, keeps))
            if draft.key not in named:
                released.append(made.id)
            ids[draft.key] = made.id
            continue
        ids[draft.key] = present.id
        wanted = replace(
            present,
            name=draft.name,
            parent_id=parent_id,
            size=draft.size,
            properties=dict(draft.properties),
        )
        before = used.get(present.id, ())
        if wanted != present or keeps != before:
            released += [each for each in (present.parent_id, *before) if each is not None]
            wanted = replace(wanted, updated_at=now, version=present.version + 1)
            shared = tuple((each.project, each.status) for each in members(connection, present.id))
            changed.append(RecordState(wanted, keeps, shared))
    return changed, released


def end(
    connection: Connection, project: str, keys: Sequence[str], released: Sequence[str] = ()
) -> list[str]:
    """Remove the records of *keys*, then whatever of what they named nothing names any more.

    *released* are ids that lost a name already. Answers the ids that are gone, in order.
    """
    gone: list[str] = []
    waiting = list(released)
    for present in _by_keys(connection, project, keys).values():
        waiting += _named_by(connection, present.id)
        remove_record(connection, present.id)
        gone.append(present.id)
    while waiting:
        candidate = waiting.pop()
        if _is_unused(connection, candidate):
            waiting += _named_by(connection, candidate)
            remove_record(connection, candidate)
            gone.append(candidate)
    return gone


def uses(connection: Connection, user: str) -> tuple[str, ...]:
    """The ids of the records that *user* keeps alive."""
    return _uses(connection, [user]).get(user, ())


def state(connection: Connection, wanted: str) -> RecordState:
    """The record as a change writes it; raises ManifestUnknown."""
    found = find(connection, wanted)
    shared = tuple((each.project, each.status) for each in members(connection, wanted))
    return RecordState(found, uses(connection, wanted), shared)


def read(row: Any) -> ImageRecord:
    """A row of the table."""
    return ImageRecord(
        id=row.id,
        project=row.project_id,
        key=row.key,
        kind=row.kind,
        name=row.name,
        parent_id=row.parent_id,
        size=row.size,
        properties=json.loads(row.properties),
        visibility=row.visibility,
        created_at=row.created_at,
        updated_at=row.updated_at,
        version=row.version,
    )


def _by_keys(connection: Connection, project: str, keys: Sequence[str]) -> dict[str, ImageRecord]:
    return {row.key: read(row) for row in _BY_KEYS(connection, keys, project=project)}


def _uses(connection: Connection, users: Sequence[str]) -> dict[str, tuple[str, ...]]:
    used: dict[str, list[str]] = {}
    for row in _USES(connection, users):
        used.setdefault(row.user_id, []).append(row.used_id)
    return {user: tuple(each) for user, each in used.items()}


def _named_by(connection: Connection, wanted: str) -> list[str]:
    """The parent of a record, and those that it uses."""
    named = [row.used_id for row in _USES(connection, [wanted])]
    above = _PARENT(connection, wanted=wanted).scalar()
    return named if above is None else [*named, above]


def _is_unused(connection: Connection, candidate: str) -> bool:
    return _UNUSED(connection, candidate=candidate).scalar() is not None


def _before(mark: ImageRecord) -> ColumnElement[bool]:
    return or_(
        record.c.created_at < mark.created_at,
        and_(record.c.created_at == mark.created_at, record.c.id < mark.id),
    )


def _behind(mark: ImageRecord) -> ColumnElement[bool]:
    return or_(
        record.c.created_at > mark.created_at,
        and_(record.c.created_at == mark.created_at, record.c.id > mark.id),
    )


def _matches(connection: Connection, name: str, value: str) -> ColumnElement[bool]:
    if name == "os_hidden":
        hidden = record.c.kind.in_(("repository", "manifest"))
        return hidden if value == "true" else ~hidden
    if name == "owner":
        return record.c.project_id == value
    if name in {"name", "visibility", "parent_id", "id"}:
        return record.c[name] == value
    # Both databases' functions on JSON stumble over texts that JSON can hold and they cannot.
    member = f"{json.dumps(name)}: {json.dumps(value)}"
    spelt = record.c.properties
    place = func.strpos if connection.dialect.name == "postgresql" else func.instr
    return or_(place(spelt, "{" + member) > 0, place(spelt, ", " + member) > 0)
