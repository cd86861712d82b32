"""Frozen dataclasses out of checked JSON, and JSON out of them: one table for each class.

A field's type says how it is read: Measure and Moment by their own rule, OBJECT as pairs in the
order of their names, Tagged by a sibling field that names the class. ``metadata["name"]`` is the
field's name in JSON where Python cannot have it. JSON must have been held against its schema.
"""

import dataclasses
from collections.abc import Callable, Hashable
from datetime import datetime
from enum import StrEnum
from functools import cache, partial
from types import NoneType, UnionType
from typing import Annotated, Any, Final, TypeVar, Union, cast, get_args, get_origin, get_type_hints

from setspec.moment import parse_moment, spell_moment
from setspec.strict import JsonObject
from setspec.units import Measure

T = TypeVar("T")


@dataclasses.dataclass(frozen=True, slots=True)
class Object:
    """Marks pairs that are an object in JSON."""


OBJECT: Final = Object()
Texts = Annotated[tuple[tuple[str, str], ...], OBJECT]
"""Names and texts, in the order of the names."""


@dataclasses.dataclass(frozen=True, slots=True)
class Tagged:
    """Marks a union of classes; each class's ``kind`` stands in the sibling field of that name."""


TAGGED: Final = Tagged()


@dataclasses.dataclass(frozen=True, slots=True)
class _Codec:
    load: Callable[[Any], Any]
    dump: Callable[[Any], Any]


@dataclasses.dataclass(frozen=True, slots=True)
class _Field:
    attribute: str
    name: str
    codec: _Codec
    kinds: dict[str, type] | None


def load(cls: type[T], value: JsonObject) -> T:
    """The *cls* that *value* is; what it leaves out has the class's default."""
    members: dict[str, Any] = {}
    for field in _fields(cast("Hashable", cls)):
        if field.name not in value:
            continue
        member = value[field.name]
        if field.kinds:
            members[field.attribute] = load(field.kinds[value["kind"]], member)
        else:
            members[field.attribute] = field.codec.load(member)
    return cls(**members)


def dump(instance: object) -> JsonObject:
    """*instance* as JSON, with everything that it has; what is None is left out."""
    value: JsonObject = {}
    for field in _fields(cast("Hashable", type(instance))):
        member = getattr(instance, field.attribute)
        if field.kinds:
            value["kind"] = type(member).kind
        if member is not None:
            value[field.name] = field.codec.dump(member)
    return value


@cache
def _fields(cls: Hashable) -> tuple[_Field, ...]:
    assert isinstance(cls, type)
    hints = get_type_hints(cls, include_extras=True)
    return tuple(
        _Field(
            field.name,
            field.metadata.get("name", field.name),
            _codec(hints[field.name]),
            _kinds(hints[field.name]),
        )
        for field in dataclasses.fields(cls)
    )


def _kinds(hint: Any) -> dict[str, type] | None:
    if get_origin(hint) is Annotated and TAGGED in hint.__metadata__:
        return {each.kind: each for each in get_args(get_args(hint)[0])}
    return None


@cache
def _codec(hint: Any) -> _Codec:
    origin = get_origin(hint)
    if origin is Annotated:
        return _marked(*get_args(hint))
    if origin is tuple:
        item = _codec(get_args(hint)[0])
        return _Codec(
            lambda values: tuple(map(item.load, values)),
            lambda values: list(map(item.dump, values)),
        )
    if origin in {Union, UnionType}:
        return _union([each for each in get_args(hint) if each is not NoneType])
    if isinstance(hint, type) and dataclasses.is_dataclass(hint):
        return _Codec(partial(load, hint), dump)
    if hint is datetime:
        return _Codec(parse_moment, spell_moment)
    if isinstance(hint, type) and issubclass(hint, StrEnum):
        return _Codec(hint, str)
    return _Codec(_same, _same)


def _marked(hint: Any, mark: object) -> _Codec:
    if isinstance(mark, Measure):
        return _Codec(mark.read, mark.write)
    if mark is TAGGED:
        return _Codec(_same, dump)
    assert mark is OBJECT
    member = _codec(get_args(get_args(hint)[0])[1])
    return _Codec(
        lambda value: tuple((name, member.load(value[name])) for name in sorted(value)),
        lambda pairs: {name: member.dump(each) for name, each in pairs},
    )


def _union(members: list[Any]) -> _Codec:
    if len(members) == 1:
        return _codec(members[0])
    text, record = members
    assert text is str
    of_record = _codec(record)
    return _Codec(
        lambda value: of_record.load(value) if isinstance(value, dict) else value,
        lambda value: value if isinstance(value, str) else of_record.dump(value),
    )


def _same(value: T) -> T:
    return value
