"""The schemas, the readers and the dataclasses say the same."""

import dataclasses
import re
from collections.abc import Iterator
from types import NoneType
from typing import Annotated, Any, get_args, get_origin, get_type_hints

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from referencing import Registry, Resource

from setspec import desired, normal, status
from setspec.desired_document import read_desired
from setspec.faults import DocumentInvalid
from setspec.form import ADDRESS, SCHEMAS, check, schema
from setspec.formats import format_checker
from setspec.shape import TAGGED, load
from setspec.status_document import read_status, write_status
from setspec.units import Measure
from support.setdesired import desired as desired_state
from support.setdocs import WHOLE, refused, small
from support.setdraws import BUSY, mutated, v3_documents
from support.setstatus import WHOLE as WHOLE_STATUS

OURS = {
    *("overlap", "twice", "unknown", "unused", "reserved", "order", "excluded", "unit"),
    *("other", "secret", "normal", "fingerprint"),
}
"""Rules beyond the schemas."""


def plain(name: str) -> Draft202012Validator:
    """What anybody would hold documents by: the schemas as they are shipped."""
    pairs = [(ADDRESS + each, Resource.from_contents(schema(each))) for each in SCHEMAS]
    registry: Registry[Any] = Registry().with_resources(pairs)
    reference = {"$ref": ADDRESS + name}
    return Draft202012Validator(reference, registry=registry, format_checker=format_checker())


MANY = settings(BUSY, max_examples=400)
SET_V3 = plain("set-v3.json")
DESIRED = plain("desired-state.json")
STATUS = plain("status.json")


@pytest.mark.parametrize("name", SCHEMAS)
def test_a_schema_is_a_schema(name: str) -> None:
    Draft202012Validator.check_schema(schema(name))
    assert schema(name)["$id"] == ADDRESS + name
    assert schema(name)["$schema"] == Draft202012Validator.META_SCHEMA["$id"]


def nodes(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        yield value
        for each in value.values():
            yield from nodes(each)
    elif isinstance(value, list):
        for each in value:
            yield from nodes(each)


@pytest.mark.parametrize("name", SCHEMAS)
def test_no_object_takes_fields_that_nobody_knows(name: str) -> None:
    open_on_purpose = [{"type": "object"}]  # args, which hang on the kind beside them
    for node in nodes(schema(name)):
        if node.get("type") == "object" and node not in open_on_purpose:
            is_closed = "additionalProperties" in node or node.get("required", [""])[0] == "image"
            assert is_closed or "$ref" in node, node


@pytest.mark.parametrize("name", SCHEMAS)
def test_every_pattern_is_whole_and_bears_no_line_break_behind_it(name: str) -> None:
    for node in nodes(schema(name)):
        pattern = node.get("pattern")
        if isinstance(pattern, str):
            assert pattern.startswith("^")
            assert pattern.endswith("$(?!\\n)") or pattern.startswith("^(?!")


@pytest.mark.parametrize("name", SCHEMAS)
def test_every_pattern_and_bound_has_a_description_beside_it(name: str) -> None:
    for node in nodes(schema(name)):
        if isinstance(node.get("pattern"), str):
            assert "description" in node or node.get("writeOnly"), node


@pytest.mark.timeout(60)
@pytest.mark.parametrize("name", SCHEMAS)
def test_no_pattern_takes_long_for_whatever_text(name: str) -> None:
    pieces = [
        "a",
        "a-",
        "a/",
        "/a",
        "/.",
        ".",
        "-",
        "a.",
        "_",
        "a_",
        "0",
        "a:",
        "a@",
        "A",
        " ",
        "a--",
    ]
    for node in nodes(schema(name)):
        if isinstance(node.get("pattern"), str):
            for piece in pieces:
                for end in ("!", "\0", "A/", "\n"):
                    re.search(node["pattern"], piece * 20_000 + end)


@pytest.mark.parametrize("name", SCHEMAS)
def test_every_example_is_good(name: str) -> None:
    for node in nodes(schema(name)):
        if isinstance(node.get("examples"), list):
            rules = {key: value for key, value in node.items() if key != "$ref"}
            validator = Draft202012Validator(rules, format_checker=format_checker())
            for example in node["examples"]:
                assert validator.is_valid(example), node


# Schema and reader --------------------------------------------------------------------------


@BUSY
@given(v3_documents())
def test_good_documents_are_good_by_the_schema(document: dict[str, Any]) -> None:
    assert SET_V3.is_valid(document)


@MANY
@given(mutated(v3_documents() | st.just(WHOLE)))
def test_schema_and_reader_agree(document: dict[str, Any]) -> None:
    faults = refused(document)
    if document.get("version") != "v3":
        assert faults
    elif SET_V3.is_valid(document):
        assert {fault.rule for fault in faults} <= OURS
        assert not check(document, "set-v3.json").found()
    else:
        assert faults
        assert check(document, "set-v3.json").found()


@MANY
@given(mutated(st.just(desired_state())))
def test_schema_and_reader_of_desired_state_agree(document: dict[str, Any]) -> None:
    agree(DESIRED, read_desired, document)


@MANY
@given(mutated(st.just(write_status(WHOLE_STATUS))))
def test_schema_and_reader_of_status_agree(document: dict[str, Any]) -> None:
    agree(STATUS, read_status, document)


def agree(validator: Draft202012Validator, read: Any, document: dict[str, Any]) -> None:
    try:
        items = [fault for each in read(document).refused for fault in each.faults]
    except DocumentInvalid as error:
        items = [*error.faults]
    if validator.is_valid(document):
        assert {fault.rule for fault in items} <= OURS
    else:
        assert items


# Schema and dataclass -----------------------------------------------------------------------

PAIRS: list[tuple[type, str]] = [
    (normal.SetSpec, "set-v3.json"),
    (desired.DesiredState, "desired-state.json"),
    (status.Status, "status.json"),
]


@pytest.mark.parametrize(("cls", "name"), PAIRS)
def test_classes_have_the_schemas_fields_and_defaults(cls: type, name: str) -> None:
    compare(cls, whole(name, schema(name)), name)


def compare(cls: type, fields: dict[str, Any], file: str) -> None:
    hints = get_type_hints(cls, include_extras=True)
    members = {each.metadata.get("name", each.name): each for each in dataclasses.fields(cls)}
    wanted = set(members) | ({"kind"} if tagged(hints) else set())
    assert wanted == set(fields), cls
    for name, member in members.items():
        if has_default(member) and "default" in fields[name]:
            said = fields[name]["default"]
            assert is_same(member.default, said, hints[member.name]), (cls, name)
        elif has_default(member) and name != "version":
            assert member.default in (None, ()) or name in {"protocol", "features"}, (cls, name)
        inner = inner_class(hints[member.name])
        if inner is not None:
            compare(inner, whole(file, fields[name]), file)


def whole(file: str, node: dict[str, Any]) -> dict[str, Any]:
    """All fields that a schema node gives an object, or the objects of its list."""
    from setspec.form import _without_references  # noqa: PLC0415

    return gathered(_without_references(node, file))


def gathered(node: dict[str, Any]) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    for part in node.get("allOf", []):
        fields |= {} if part.keys() == {"if", "then"} else gathered(part)
    for name, field in node.get("properties", {}).items():
        fields[name] = {**fields.get(name, {}), **(field if isinstance(field, dict) else {})}
    if node.get("type") == "array":
        return gathered(node.get("items", {}))
    return fields


def has_default(member: Any) -> bool:
    return member.default is not dataclasses.MISSING


def is_same(default: Any, said: Any, hint: Any) -> bool:
    """Whether a class's *default* is what the schema's *said* is read as."""
    if get_origin(hint) is Annotated and isinstance(hint.__metadata__[0], Measure):
        return bool(hint.__metadata__[0].read(said) == default)
    if dataclasses.is_dataclass(default):
        return bool(load(type(default), said) == default)
    if isinstance(default, tuple):
        return default == tuple(said)
    return bool(default == said)


def tagged(hints: dict[str, Any]) -> bool:
    return any(
        get_origin(hint) is Annotated and TAGGED in hint.__metadata__ for hint in hints.values()
    )


def inner_class(hint: Any) -> type | None:
    """The dataclass that *hint* speaks of, unless it is a secret's reference or hangs on a kind."""
    if get_origin(hint) is Annotated and TAGGED in hint.__metadata__:
        return None
    arguments = [each for each in get_args(hint) if each not in (NoneType, ...)]
    for each in arguments or [hint]:
        if isinstance(each, type) and dataclasses.is_dataclass(each):
            return None if each is normal.SecretRef else each
    return None


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        (desired.Restart, "restart"),
        (desired.RebuildDisk, "rebuildDisk"),
        (desired.Snapshot, "snapshot"),
        (desired.Deploy, "deploy"),
        (desired.SetPassword, "setPassword"),
        (desired.SyncStatus, "syncStatus"),
        (desired.ExecSession, "execSession"),
        (desired.LogsSession, "logsSession"),
    ],
)
def test_operations_and_sessions_have_the_schemas_fields(kind: type, name: str) -> None:
    compare(
        kind,
        whole("desired-state.json", schema("desired-state.json")["$defs"][name]),
        "desired-state.json",
    )


def test_states_and_words_are_the_schemas() -> None:
    definitions = schema("status.json")["$defs"]
    assert enum(definitions["set"], "state") == [*status.SetState]
    assert enum(definitions["container"], "state") == [*status.ContainerState]
    assert enum(definitions["result"], "state") == [*status.ResultState]
    assert enum(schema("desired-state.json")["$defs"]["set"], "level") == [*desired.Level]
    assert enum(schema("set-v3.json")["$defs"]["restart"], "policy") == [*normal.RestartPolicy]


def enum(node: dict[str, Any], name: str) -> list[str]:
    words: list[str] = node["properties"][name]["enum"]
    return words


def test_the_least_document_is_good_by_the_schema() -> None:
    assert SET_V3.is_valid(small())
