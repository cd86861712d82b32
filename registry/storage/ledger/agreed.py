"""Who sees a record, in columns: as agreed with the image service, and as attempts were to say."""

import json
from collections.abc import Iterable, Sequence
from typing import Any

from registry.storage.sharing import Members, Sharing

TRIED = 32
"""Attempts at most that are remembered, the last ones: an outage may be long."""


def columns(sharing: Sharing) -> dict[str, str]:
    """What becomes of ``projected``: an image keeps its members while it is not ``shared``."""
    values = {"visibility": sharing.visibility}
    return values | ({"members": dump(sharing.members)} if sharing.visibility == "shared" else {})


def dump(members: Members) -> str:
    """JSON."""
    return json.dumps(members)


def members(row: Any) -> Members:
    """Of a row of ``projected``, which may be none: those that its image has, shared or not."""
    return () if row is None or row.members is None else _members(json.loads(row.members))


def agreed(row: Any) -> Sharing | None:
    """Of a row of ``projected``; None where it was sent before that was noted."""
    if row is None or row.visibility is None:
        return None
    return Sharing.of(row.visibility, members(row))


def tried(row: Any) -> tuple[Sharing, ...]:
    """Of a row of ``outbox``."""
    found = json.loads(row.tried or "[]")
    return tuple(Sharing(visibility, _members(listed)) for visibility, listed in found)


def with_tried(row: Any, sharing: Sharing) -> str:
    """The column of *row* with one more."""
    return dump_tried([*(each for each in tried(row) if each != sharing), sharing])


def dump_tried(several: Sequence[Sharing]) -> str:
    """The column; the last of them."""
    return json.dumps([(each.visibility, each.members) for each in several[-TRIED:]])


def _members(listed: Iterable[Iterable[str]]) -> Members:
    return tuple((project, status) for project, status in listed)
