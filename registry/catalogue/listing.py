"""A list's query, read, and the page of image records that it names."""

import itertools
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from starlette.datastructures import QueryParams

from registry import sharing
from registry.catalogue import answers
from registry.oci.errors import ManifestUnknown, Unsupported
from registry.sharing import Caller
from registry.storage.records import ImageRecord
from registry.storage.storage import Storage

PAGE = 25
"""Images in one answer where the client does not say (Glance: limit_param_default)."""
PAGE_LIMIT = 1000
SORTED_LIMIT = 10_000
"""Records that are sorted by anything but their time of creation."""
LISTS_LIMIT = 200
"""Values, multiplied over all filters, that ``in:`` may name."""
SORT_KEYS = frozenset(
    ("name", "status", "container_format", "disk_format", "size", "id", "created_at", "updated_at")
)
_CONTROL = frozenset({"limit", "marker", "sort", "sort_key", "sort_dir"})
_CONSTANT = {
    "status": "active",
    "disk_format": "docker",
    "container_format": "docker",
    "min_disk": "0",
    "min_ram": "0",
}
_EMPTY = frozenset({"tag", "checksum", "os_hash_algo", "os_hash_value", "virtual_size"})
"""What no record has."""
_IGNORED = frozenset({"member_status"})
_REFUSED = frozenset({"created_at", "updated_at", "size"})
"""An answer without them would be wrong, and nobody has asked for them yet."""
_BOOLEAN = {"true": True, "1": True, "false": False, "0": False}
_ITEM = re.compile(r'"((?:[^"\\]|\\.)*)"|([^,"]+)')
_PROPERTY = re.compile(r"[A-Za-z0-9_.:-]{1,255}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Query:
    """What is asked for: filters with their alternatives, order, page."""

    filters: Mapping[str, tuple[str, ...]]
    """Of the ledger. An id's alternatives are found one by one."""
    nothing: bool
    """Whether some filter names what no record of ours is."""
    protected: bool | None
    size_min: int | None
    size_max: int | None
    sort: tuple[tuple[str, bool], ...]
    """Keys, and whether each descends."""
    limit: int
    marker: str | None

    @property
    def by_time(self) -> bool:
        return self.sort[0][0] == "created_at"


def read(parameters: QueryParams) -> Query:
    """The query of GET /v2/images; raises Unsupported where it cannot be understood."""
    filters: dict[str, tuple[str, ...]] = {}
    nothing = False
    for name, value in parameters.multi_items():
        if name in _CONTROL or name in _IGNORED or name in {"protected", "size_min", "size_max"}:
            continue
        if name in _REFUSED:
            raise Unsupported(f"images cannot be filtered by {name}; sort by it")
        if name in _EMPTY:
            nothing = True
        elif name in _CONSTANT:
            nothing = nothing or _CONSTANT[name] not in _alternatives(value)
        elif name == "os_hidden":
            filters[name] = (str(_boolean(name, value)).lower(),)
        elif name == "visibility" and value == "all":
            continue
        elif not _PROPERTY.fullmatch(name):
            raise Unsupported(f"{name!r} is no property's name")
        else:
            filters[name] = tuple(dict.fromkeys(_alternatives(value)))
    text = parameters.get("protected")
    return Query(
        filters,
        nothing,
        None if text is None else _boolean("protected", text),
        _number(parameters, "size_min"),
        _number(parameters, "size_max"),
        _sort(parameters),
        _limit(parameters),
        parameters.get("marker"),
    )


async def page(storage: Storage, caller: Caller, query: Query) -> tuple[list[ImageRecord], bool]:
    """The records of one page, and whether more may follow.

    Raises Unsupported where the marker names nothing that the caller sees.
    """
    if query.marker is not None:
        try:
            await sharing.find(storage, caller, query.marker)
        except ManifestUnknown:
            raise Unsupported("the marker names no image") from None
    if query.nothing or query.limit == 0:
        return [], False
    if "id" in query.filters:
        found = await _named(storage, caller, query)
    elif query.by_time:
        return await _in_time(storage, caller, query)
    else:
        found = await _every(storage, caller, query)
    for key, descends in reversed(query.sort):
        found.sort(key=_key(key), reverse=descends)
    start = 0
    if query.marker is not None:
        ids = [record.id for record in found]
        start = ids.index(query.marker) + 1 if query.marker in ids else 0
    return found[start : start + query.limit], len(found) > start + query.limit


async def _in_time(
    storage: Storage, caller: Caller, query: Query
) -> tuple[list[ImageRecord], bool]:
    """A page in the ledger's own order; pages are read on until one is full."""
    found: list[ImageRecord] = []
    after = query.marker
    while True:
        batch, more = await _batch(storage, caller, query, after)
        found += [record for record in batch if await _fits(storage, caller, query, record)]
        if len(found) > query.limit or not more:
            return found[: query.limit], len(found) > query.limit
        after = batch[-1].id


async def _every(storage: Storage, caller: Caller, query: Query) -> list[ImageRecord]:
    found: list[ImageRecord] = []
    after = None
    more = True
    while more:
        batch, more = await _batch(storage, caller, query, after)
        found += [record for record in batch if await _fits(storage, caller, query, record)]
        if len(found) > SORTED_LIMIT:
            raise Unsupported(f"more than {SORTED_LIMIT} images: sort by created_at, or filter")
        after = batch[-1].id if batch else None
    return found


async def _batch(
    storage: Storage, caller: Caller, query: Query, after: str | None
) -> tuple[list[ImageRecord], bool]:
    """Records after *after*, unfiltered but for what the ledger knows; whether more follow."""
    limit = PAGE_LIMIT if not query.by_time else query.limit + 1
    descending = query.sort[0][1] if query.by_time else True
    merged: dict[str, ImageRecord] = {}
    for filters in _combinations(query.filters):
        records = await storage.ledger.list_records(
            projects=caller.projects,
            filters=filters,
            after=after,
            limit=limit,
            descending=descending,
        )
        merged.update((record.id, record) for record in records)
    ordered = sorted(
        merged.values(), key=lambda each: (each.created_at, each.id), reverse=descending
    )
    return ordered[:limit], len(ordered) >= limit


async def _named(storage: Storage, caller: Caller, query: Query) -> list[ImageRecord]:
    """The records of an id filter that there are and that the caller sees."""
    found = []
    for wanted in query.filters["id"]:
        try:
            record = await sharing.find(storage, caller, wanted)
        except ManifestUnknown:
            continue
        shown = answers.image(record)
        others = {"os_hidden": ("false",), **query.filters}
        if all(_text(shown.get(name)) in values for name, values in others.items()) and await _fits(
            storage, caller, query, record
        ):
            found.append(record)
    return found


async def _fits(storage: Storage, caller: Caller, query: Query, record: ImageRecord) -> bool:
    return (
        query.protected in {None, record.protected}
        and (query.size_min is None or record.size >= query.size_min)
        and (query.size_max is None or record.size <= query.size_max)
        and await sharing.is_listed(storage, caller, record)
    )


def _combinations(filters: Mapping[str, tuple[str, ...]]) -> Iterator[dict[str, str]]:
    count = 1
    for values in filters.values():
        count *= len(values)
    if count > LISTS_LIMIT:
        raise Unsupported(f"in: names too many values; {LISTS_LIMIT} are the most")
    for values in itertools.product(*filters.values()):
        yield dict(zip(filters, values, strict=True))


def _alternatives(value: str) -> tuple[str, ...]:
    """A filter's values: one, with or without ``eq:``, or those of ``in:a,"b,c"``."""
    operator, colon, rest = value.partition(":")
    if colon and operator == "eq":
        return (rest,)
    if colon and operator == "in":
        items = []
        place = 0
        while match := _ITEM.match(rest, place):
            quoted, plain = match.groups()
            items.append(plain if quoted is None else re.sub(r"\\(.)", r"\1", quoted))
            place = match.end() + 1
            if rest[match.end() : place] not in {"", ","}:
                break
        if place <= len(rest) or not items:
            raise Unsupported("in: names values divided by commas, each perhaps in quotes")
        return tuple(items)
    return (value,)


def _sort(parameters: QueryParams) -> tuple[tuple[str, bool], ...]:
    """``sort=key:dir,…`` or ``sort_key`` and ``sort_dir``; the newest first where not said."""
    if "sort" in parameters:
        pairs = [word.partition(":")[::2] for word in parameters["sort"].split(",")]
    else:
        keys = parameters.getlist("sort_key") or ["created_at"]
        directions = parameters.getlist("sort_dir")
        if len(directions) < 2:
            directions = (directions or ["desc"]) * len(keys)
        if len(directions) != len(keys):
            raise Unsupported("one sort_dir, or as many as there are of sort_key")
        pairs = list(zip(keys, directions, strict=True))
    for key, direction in pairs:
        if key not in SORT_KEYS or direction not in {"", "asc", "desc"}:
            raise Unsupported(f"cannot sort by {key}:{direction}")
    return tuple((key, direction != "asc") for key, direction in pairs)


def _key(name: str) -> Any:
    def key(record: ImageRecord) -> Any:
        if name in {"created_at", "updated_at"}:
            return getattr(record, name)
        return answers.image(record)[name] or ("" if name != "size" else 0)

    return key


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _boolean(name: str, text: str) -> bool:
    found = _BOOLEAN.get(text.lower())
    if found is None:
        raise Unsupported(f"{name} must be true or false")
    return found


def _limit(parameters: QueryParams) -> int:
    limit = _number(parameters, "limit")
    return PAGE if limit is None else min(limit, PAGE_LIMIT)


def _number(parameters: QueryParams, name: str) -> int | None:
    text = parameters.get(name)
    if text is None:
        return None
    if not (text.isascii() and text.isdecimal() and len(text) < 19):
        raise Unsupported(f"{name} must be a number, 0 or more")
    return int(text)
