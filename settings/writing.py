"""A configuration as the TOML file that would make it."""

import dataclasses
import json
from collections.abc import Iterator, Mapping
from typing import Any


def toml(config: Any) -> str:
    """*config*, a dataclass of tables, with all its values; those that may not be shown are not.

    A field with ``repr=False`` is a secret: it becomes a comment. What is not set has no line.
    """
    return "\n".join(_table(config, "")).strip() + "\n"


def _table(values: Any, path: str) -> Iterator[str]:
    inner: list[tuple[str, Any]] = []
    lines: list[str] = []
    for name, value, shown in _members(values):
        if dataclasses.is_dataclass(value) or isinstance(value, Mapping):
            inner.append((name, value))
        elif value is not None:
            key = _key(name)
            lines.append(f"{key} = {_value(value)}" if shown else f"# {key}: set, not shown")
    if lines:
        yield from ("", f"[{path}]") if path else ()
        yield from lines
    for name, value in inner:
        yield from _table(value, f"{path}.{_key(name)}" if path else _key(name))


def _members(values: Any) -> Iterator[tuple[str, Any, bool]]:
    if isinstance(values, Mapping):
        yield from ((name, value, True) for name, value in values.items())
    else:
        for each in dataclasses.fields(values):
            yield each.name, getattr(values, each.name), each.repr


def _key(name: str) -> str:
    bare = name.isascii() and name.replace("-", "").replace("_", "").isalnum()
    return name if bare else json.dumps(name)


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, tuple):
        return f"[{', '.join(map(_value, value))}]"
    # A basic string of TOML escapes as JSON does, but for DEL, which JSON leaves.
    return json.dumps(str(value)).replace("\x7f", "\\u007f")
