"""JSON Schemas, and a value's form held against them."""

import json
from functools import cache
from importlib import resources
from typing import Any, Final

from jsonschema import Draft202012Validator

from setspec.faults import Faults, Path
from setspec.formats import format_checker
from setspec.plain import told
from setspec.strict import JsonObject

SCHEMAS: Final = ("common.json", "set-v2.json", "set-v3.json", "desired-state.json", "status.json")
ADDRESS: Final = "https://berth.example/schemas/"
"""The schemas' ``$id`` begins so; nothing is ever fetched from there."""

_ANNOTATIONS: Final = frozenset({"default", "description", "examples", "title"})


@cache
def schema(name: str) -> JsonObject:
    """The JSON Schema (draft 2020-12) in the file *name*, one of SCHEMAS. Not to be changed."""
    text = (resources.files("setspec") / "schemas" / name).read_text("utf-8")
    loaded: JsonObject = json.loads(text)
    return loaded


def check(value: object, name: str, path: Path = ()) -> Faults:
    """What of *value*'s form is not as *name* has it: a schema file, and ``#/...`` for a part.

    *path* is where the value stands in its document.
    """
    faults = Faults()
    for error in validator(name).iter_errors(value):
        faults.extend(told(error, path))
        if faults.more:
            break
    return faults


@cache
def validator(name: str) -> Draft202012Validator:
    """What holds a value against *name*: a schema file, and ``#/...`` for a part of it."""
    return Draft202012Validator(_resolved(name), format_checker=format_checker())


@cache
def _resolved(name: str) -> Any:
    """The schema *name* with what it refers to in the place of each reference.

    No schema refers to itself, and looking references up takes most of a validation's time.
    """
    file, _, pointer = name.partition("#")
    part: Any = schema(file)
    for step in pointer.split("/")[1:]:
        part = part[step]
    return _without_references(part, file)


def _without_references(part: Any, file: str) -> Any:
    if isinstance(part, list):
        return [_without_references(each, file) for each in part]
    if not isinstance(part, dict):
        return part
    own = {key: _without_references(each, file) for key, each in part.items() if key != "$ref"}
    if "$ref" not in part:
        return own
    reference = part["$ref"]
    referred = _resolved(file + reference if reference.startswith("#") else reference)
    if own.keys() <= _ANNOTATIONS:
        return {**referred, **own}
    return {**own, "allOf": [referred, *own.get("allOf", [])]}
