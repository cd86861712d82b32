"""A TOML file and variables of the environment, checked against a dataclass of dataclasses.

What a table may hold are the fields of its dataclass: text, numbers, truth, paths, words of a
`Literal` or a `StrEnum`, lists of text, tables, and tables of tables. Bounds are the dataclass's
own matter: its ``__post_init__`` raises ValueError, and names the key.
"""

import dataclasses
import math
import re
import tomllib
from collections.abc import Collection, Mapping
from enum import StrEnum
from pathlib import Path
from types import UnionType
from typing import Any, Final, Literal, TypeVar, get_args, get_origin, get_type_hints

from settings.files import read

_MOST: Final = 1 << 20
"""Bytes of a configuration: tens of thousands of lines."""
_PART = r"""(?:[\w-]++|"[^"\n]*+"|'[^'\n]*+')"""
_DEEP = re.compile(rf"(?<![\w-]){_PART}(?:[ \t]*+\.[ \t]*+{_PART}){{64}}")
"""A key of so many parts that no table is meant; the time to read one grows as their square."""
_LINE: Final = 600
"""Letters of a complaint, which may quote what was written."""

T = TypeVar("T")


def printable(text: str) -> str:
    """*text* in one line, with nothing in it that a terminal would obey: it may quote anybody."""
    return "".join(each if each.isprintable() else ascii(each)[1:-1] for each in text)


class ConfigError(Exception):
    """The configuration is wrong: which key, what of it, and what to write instead; one line."""

    def __init__(self, message: str) -> None:
        line = printable(message)
        half = _LINE // 2
        super().__init__(line if len(line) <= _LINE else f"{line[:half]}…{line[-half:]}")


class _Text(str):
    """A value out of the environment: text that stands for whatever type the key has."""

    __slots__ = ()


def load(
    kind: type[T],
    path: Path | None,
    environment: Mapping[str, str] | None = None,
    prefix: str = "BERTH_",
    ignored: Collection[str] = (),
) -> T:
    """Read *path* (None: defaults alone), then *environment* over it, into a *kind*.

    Variables count that begin with *prefix*, as in <PREFIX><TABLE>_<KEY>, and are not *ignored*.
    Raises ConfigError, which names the key.
    """
    table: dict[str, Any] = {}
    if path is not None:
        table = _parse(path)
    for name, text in (environment or {}).items():
        if name.startswith(prefix) and name not in ignored:
            _overlay(kind, table, name, prefix, text)
    return _build(kind, table, "")


def _parse(path: Path) -> dict[str, Any]:
    too_deep = f"{path}: its values lie too deep in one another"
    try:
        text = read(path, _MOST, piped=True).decode("utf-8").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: not TOML: {error}") from error
    except ValueError as error:
        raise ConfigError(str(error)) from error
    if _DEEP.search(text):
        raise ConfigError(too_deep)
    try:
        return tomllib.loads(text)
    except RecursionError as error:
        raise ConfigError(too_deep) from error
    except ValueError as error:  # no TOML, or a number of thousands of digits
        raise ConfigError(f"{path}: not TOML: {error}") from error


def _overlay(kind: type[Any], table: dict[str, Any], name: str, prefix: str, text: str) -> None:
    """Write BERTH_HTTP_LISTEN=… into table["http"]["listen"], as the text that it is."""
    hints = get_type_hints(kind)
    words = name.removeprefix(prefix).lower()
    if words in hints and not dataclasses.is_dataclass(hints[words]):
        table[words] = _Text(text)
        return
    section, _, key = words.partition("_")
    if section not in hints or not dataclasses.is_dataclass(hints[section]):
        raise ConfigError(f"{name}: there is no such setting")
    inner = table.setdefault(section, {})
    if isinstance(inner, dict):
        inner[key] = _Text(text)


def _build(kind: type[T], table: object, path: str) -> T:
    if not isinstance(table, dict):
        raise ConfigError(f"{path} must be a table")
    hints = get_type_hints(kind)
    unknown = sorted(set(table) - set(hints))
    if unknown:
        where = f"[{path}]" if path else "the top level"
        raise ConfigError(f"{unknown[0]}: no such key in {where}; there are {', '.join(hints)}")
    values = {
        key: _read(hints[key], value, f"{path}.{key}" if path else key)
        for key, value in table.items()
    }
    assert dataclasses.is_dataclass(kind)
    for each in dataclasses.fields(kind):
        needed = each.default is each.default_factory is dataclasses.MISSING
        if needed and each.name not in values:
            raise ConfigError(f"{path}.{each.name} is missing")
    try:
        return kind(**values)
    except ValueError as error:
        raise ConfigError(str(error)) from error


def _read(kind: Any, value: object, name: str) -> Any:
    """*value* as the type *kind*; raises ConfigError that names the key and the type wanted."""
    if get_origin(kind) is UnionType:
        kind = next(each for each in get_args(kind) if each is not type(None))
    if dataclasses.is_dataclass(kind):
        assert isinstance(kind, type)
        return _build(kind, value, name)
    if isinstance(value, _Text):
        value = _from_text(kind, str(value), name)
    origin = get_origin(kind)
    if origin is tuple and isinstance(value, list | tuple):
        if all(isinstance(each, str) for each in value):
            return tuple(value)
    elif origin is Mapping and isinstance(value, dict):
        inner = get_args(kind)[1]
        return {key: _read(inner, each, f"{name}.{key}") for key, each in value.items()}
    elif words := _words(kind):
        if value in words:
            return kind(value) if isinstance(kind, type) else value
        raise ConfigError(f"{name} must be one of {', '.join(words)}")
    return _simple(kind, value, name)


def _simple(kind: Any, value: object, name: str) -> Any:
    if kind is Path and isinstance(value, str) and value and "\0" not in value:
        return Path(value)
    if kind is float and type(value) in {int, float}:
        number = _float(value)
        if math.isfinite(number):  # nan passes every bound
            return number
    elif kind in {str, int, bool} and type(value) is kind:
        return value
    raise ConfigError(f"{name} must be {_NAMES.get(get_origin(kind) or kind, 'a table')}")


def _float(value: Any) -> float:
    try:
        return float(value)
    except OverflowError:
        return math.inf


def _words(kind: Any) -> tuple[str, ...]:
    if get_origin(kind) is Literal:
        return get_args(kind)
    if isinstance(kind, type) and issubclass(kind, StrEnum):
        return tuple(kind)
    return ()


_NAMES = {
    str: "a string",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    Path: "a path",
    tuple: "a list of strings",
}


def _from_text(kind: Any, text: str, name: str) -> object:
    if kind is bool:
        if text.lower() in {"true", "false", "1", "0"}:
            return text.lower() in {"true", "1"}
        raise ConfigError(f"{name} must be true or false")
    if kind in {int, float}:
        try:
            return kind(text)
        except ValueError:
            raise ConfigError(f"{name} must be {_NAMES[kind]}") from None
    if get_origin(kind) is tuple:
        return [each.strip() for each in text.split(",") if each.strip()]
    return text
