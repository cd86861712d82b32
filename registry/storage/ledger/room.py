"""Room within limits: looked for under the project's lock by whatever is about to add."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import BindParameter, Connection, bindparam, exists, func, select, update

from registry.limits import NO_LIMITS, UNBOUNDED, Allowance, Leave, Limits
from registry.oci.errors import QuotaExceeded
from registry.oci.names import RepositoryName
from registry.storage.ledger.apply import NOWHERE, Place, find_place
from registry.storage.ledger.prepared import Prepared, PreparedList
from registry.storage.ledger.schema import (
    holding,
    link,
    manifest,
    project,
    repository,
    tag,
    upload,
    usage,
)
from registry.storage.ledger.usage import IN_USE
from registry.storage.sizes import human

WARN_AT: Final = 0.9
"""Of a limit: whoever pushes beyond is warned."""
ADVICE: Final = (
    "Delete tags, manifests or repositories that are not needed, or cancel unfinished uploads; "
    "what was deleted counts until it leaves the trash and is collected. Or ask an administrator "
    "for a higher limit."
)

_PROJECT: BindParameter[Any] = bindparam("project")
_HERE: BindParameter[Any] = bindparam("here")
_DIGEST: BindParameter[Any] = bindparam("held")
_LIMITS = Prepared(lambda _: select(project.c.limits).where(project.c.id == _PROJECT))
_FULLNESS = Prepared(
    lambda _: (
        select(
            usage.c.repository_id,
            func.sum(usage.c.bytes).label("bytes"),
            func.sum(usage.c.reserved).label("reserved"),
        )
        .where(
            usage.c.project_id == _PROJECT,
            (usage.c.repository_id == 0) | (usage.c.repository_id == _HERE),
        )
        .group_by(usage.c.repository_id)
    )
)
_IS_HELD = Prepared(
    lambda _: select(holding.c.uses).where(
        holding.c.project_id == _PROJECT, holding.c.digest == _DIGEST
    )
)
_IS_HERE = Prepared(
    lambda _: select(
        exists().where(link.c.repository_id == _HERE, link.c.digest == _DIGEST)
        | exists().where(manifest.c.repository_id == _HERE, manifest.c.digest == _DIGEST)
    )
)
_IS_IN_USE = Prepared(lambda _: select(repository.c.id).where(repository.c.id == _HERE, IN_USE))
_IN_USE = Prepared(
    lambda _: (
        select(func.count())
        .select_from(repository)
        .where(repository.c.project_id == _PROJECT, IN_USE)
    )
)
_TAGS_HERE = Prepared(
    lambda _: select(func.count()).select_from(tag).where(tag.c.repository_id == _HERE)
)
_TAGS = Prepared(
    lambda _: (
        select(func.count())
        .select_from(tag)
        .join(repository, repository.c.id == tag.c.repository_id)
        .where(repository.c.project_id == _PROJECT)
    )
)
_PRESENT = PreparedList(
    lambda names: select(tag.c.name).where(tag.c.repository_id == _HERE, tag.c.name.in_(names))
)
_LAPSE = Prepared(
    lambda _: (
        update(upload)
        .where(
            upload.c.repository_id.in_(
                select(repository.c.id).where(repository.c.project_id == _PROJECT)
            ),
            upload.c.finished.is_(None),
            upload.c.reserved > upload.c.position,
            upload.c.lease_until <= bindparam("now"),
        )
        .values(reserved=upload.c.position)
    )
)


@dataclass(frozen=True, slots=True)
class Bounds:
    """The limits that hold at one place."""

    name: RepositoryName
    here: int
    project: Limits
    repository: Limits


def bounds(name: RepositoryName, place: Place, allowance: Allowance) -> Bounds | None:
    """The limits at *place*; None where there are none at all."""
    if place.limits is None and place.whole is None and allowance is UNBOUNDED:
        return None
    whole = allowance.firm.over(read(place.whole)).over(allowance.project)
    own = read(place.limits).over(allowance.repository)
    held = [value for each in (whole, own) for value in each.spelt().values() if value >= 0]
    return Bounds(name, place.id, whole, own) if held else None


def find_bounds(
    connection: Connection, name: RepositoryName, allowance: Allowance
) -> Bounds | None:
    """The same for a repository that may not be there yet."""
    place = find_place(connection, name)
    if place is None:
        place = Place(NOWHERE, None, find_limits(connection, name.project))
    return bounds(name, place, allowance)


def find_limits(connection: Connection, owner: str) -> str | None:
    """A project's own limits, as they stand in its row."""
    limits: str | None = _LIMITS(connection, project=owner).scalar()
    return limits


def read(text: str | None) -> Limits:
    """Limits out of a row."""
    return NO_LIMITS if text is None else Limits.read(json.loads(text))


def admit_content(connection: Connection, now: float, held: Bounds, digest: str, size: int) -> None:
    """Let the content *digest* of *size* bytes in, which costs nothing where it is already.

    Raises QuotaExceeded.
    """
    is_held = _IS_HELD(connection, project=held.name.project, held=digest).scalar() is not None
    is_here = is_held and bool(_IS_HERE(connection, here=held.here, held=digest).scalar())
    admit_bytes(connection, now, held, 0 if is_held else size, 0 if is_here else size)
    if not is_here:
        admit_repository(connection, held)


def admit_bytes(
    connection: Connection, now: float, held: Bounds, in_project: int, in_repository: int
) -> int | None:
    """Let so many bytes in; the room there was for them, None where nothing bounds them.

    Before it refuses, it takes back what uploads announced whose server is gone. Raises
    QuotaExceeded.
    """
    refused: QuotaExceeded
    for attempt in ("first", "second"):
        fullness = find_fullness(connection, held)
        limits = (
            (f"project {held.name.project}", held.project.bytes, fullness[0], in_project),
            (f"repository {held.name}", held.repository.bytes, fullness[1], in_repository),
        )
        rooms = []
        for where, limit, (used, reserved), added in limits:
            if limit is None or limit < 0:
                continue
            room = limit - used - reserved
            rooms.append(room)
            if added > 0 and added > room:
                refused = _too_large(where, limit, used, reserved, added)
                break
        else:
            return min(rooms, default=None)
        if attempt == "first":
            _LAPSE(connection, project=held.name.project, now=now)
    raise refused


def _too_large(where: str, limit: int, used: int, reserved: int, added: int) -> QuotaExceeded:
    return QuotaExceeded(
        f"quota exceeded: {where} has {human(used)} and reserves {human(reserved)} "
        f"of {human(limit)}; {human(added)} more are needed",
        {
            "limit": "bytes",
            "of": where,
            "allowed": limit,
            "used": used,
            "reserved": reserved,
            "needed": added,
            "advice": ADVICE,
        },
    )


def admit_repository(connection: Connection, held: Bounds) -> None:
    """Let something into a repository that may be empty as yet; raises QuotaExceeded."""
    limit = held.project.repositories
    if limit is None or limit < 0 or _IS_IN_USE(connection, here=held.here).scalar() is not None:
        return
    used = _IN_USE(connection, project=held.name.project).scalar_one()
    if used + 1 > limit:
        raise _exceeded("repositories", f"project {held.name.project}", limit, used, 1)


def admit_tags(connection: Connection, held: Bounds, names: Sequence[str]) -> None:
    """Let tags in that may be there already; raises QuotaExceeded."""
    limits = (held.project.tags, held.repository.tags)
    if not names or all(limit is None or limit < 0 for limit in limits):
        return
    present = {row.name for row in _PRESENT(connection, names, here=held.here)}
    added = len(set(names) - present)
    if not added:
        return
    counts: tuple[tuple[Prepared, str, dict[str, object]], ...] = (
        (_TAGS, f"project {held.name.project}", {"project": held.name.project}),
        (_TAGS_HERE, f"repository {held.name}", {"here": held.here}),
    )
    for limit, (count, where, named) in zip(limits, counts, strict=True):
        if limit is not None and limit >= 0:
            used = count(connection, **named).scalar_one()
            if used + added > limit:
                raise _exceeded("tags", where, limit, used, added)


def find_fullness(connection: Connection, held: Bounds) -> tuple[tuple[int, int], tuple[int, int]]:
    """Bytes used and bytes reserved, in the project and in the repository."""
    rows = _FULLNESS(connection, project=held.name.project, here=held.here)
    found = {row.repository_id: (int(row.bytes), int(row.reserved)) for row in rows}
    return found.get(0, (0, 0)), found.get(held.here, (0, 0))


def warn(connection: Connection, held: Bounds, leave: Leave) -> None:
    """Say so where little room is left."""
    whole, own = find_fullness(connection, held)
    leave.warning = "; ".join(
        f"{where} has {human(used + reserved)} of {human(limit)} "
        f"({100 * (used + reserved) / max(limit, 1):.0f} %)"
        for limit, (used, reserved), where in (
            (held.project.bytes, whole, "the project"),
            (held.repository.bytes, own, "the repository"),
        )
        if limit is not None and limit >= 0 and used + reserved >= WARN_AT * limit
    )


def _exceeded(kind: str, where: str, limit: int, used: int, added: int) -> QuotaExceeded:
    return QuotaExceeded(
        f"quota exceeded: {where} has {used} of {limit} {kind}; {added} more are needed",
        {
            "limit": kind,
            "of": where,
            "allowed": limit,
            "used": used,
            "needed": added,
            "advice": ADVICE,
        },
    )
