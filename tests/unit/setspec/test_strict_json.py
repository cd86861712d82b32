"""JSON is read strictly, whatever is sent."""

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from setspec.faults import FAULT_LIMIT, DocumentInvalid
from setspec.strict import SET_BOUNDS, Bounds, copy, read
from support.setdraws import BUSY

TINY = Bounds(size=100, values=8, depth=3)


def faults(raw: Any, bounds: Bounds = SET_BOUNDS) -> list[tuple[str, str, str]]:
    with pytest.raises(DocumentInvalid) as caught:
        read(raw, bounds) if isinstance(raw, str | bytes) else copy(raw, bounds)
    return [(fault.pointer, fault.rule, fault.what) for fault in caught.value.faults]


def test_a_document_is_read_from_bytes_and_text() -> None:
    wanted = {"a": [1, "ü", None, True, 1.5, {}]}
    assert read(json.dumps(wanted), SET_BOUNDS) == wanted
    assert read(json.dumps(wanted, ensure_ascii=False).encode(), SET_BOUNDS) == wanted


@pytest.mark.parametrize("raw", ["[]", "1", '"x"', "null", "true"])
def test_a_document_is_an_object(raw: str) -> None:
    assert faults(raw) == [("", "type", "is no object")]


@pytest.mark.parametrize("raw", ["", "{", "{'a': 1}", '{"a": 1,}', "{} x", "\ufeff{}", '"\n"'])
def test_what_is_no_json_is_told_with_its_place(raw: str) -> None:
    ((pointer, rule, what),) = faults(raw)
    assert (pointer, rule) == ("", "json")
    assert "line" in what


def test_what_is_no_utf8_is_told_with_its_place() -> None:
    assert faults(b'{"a": "\xff"}') == [("", "json", "is not UTF-8: byte 7")]


@pytest.mark.parametrize("word", ["NaN", "Infinity", "-Infinity"])
def test_no_numbers_that_json_has_not(word: str) -> None:
    assert faults(f'{{"a": [{word}]}}') == [("/a/0", "json", "is no number")]


@pytest.mark.parametrize("number", ["1e999", "-1e999", "9" * 5000, "-" + "9" * 30, "1e300"])
def test_no_huge_numbers(number: str) -> None:
    assert faults(f'{{"a": {number}}}') == [("/a", "json", "is too large a number")]


def test_large_numbers_are_exact() -> None:
    assert read(f'{{"a": {2**63 - 1}}}', SET_BOUNDS) == {"a": 2**63 - 1}
    assert faults(f'{{"a": {2**63}}}') == [("/a", "json", "is too large a number")]


def test_a_whole_number_is_whole_however_it_is_written() -> None:
    document = read('{"a": 1.0, "b": 2e3, "c": 0.5, "d": true}', SET_BOUNDS)
    assert [type(each) for each in document.values()] == [int, int, float, bool]


def test_a_field_stands_there_once() -> None:
    raw = '{"a": {"b": 1, "b": 2, "c": 3}, "a/~": 1, "a/~": 2}'
    assert faults(raw) == [
        ("/a/b", "twice", "stands there twice"),
        ("/a~1~0", "twice", "stands there twice"),
    ]


@pytest.mark.parametrize("text", [r"\ud800", r"\udfff", r"x\udc00y"])
def test_no_half_characters(text: str) -> None:
    assert faults(f'{{"a": ["{text}"]}}') == [("/a/0", "json", "holds half a surrogate pair")]
    ((pointer, _, what),) = faults(f'{{"{text}": 1, "{text}": 2}}')
    assert pointer == ""
    assert what.isascii()


def test_a_whole_surrogate_pair_is_a_character() -> None:
    assert read(r'{"a": "\ud83d\ude00"}', SET_BOUNDS) == {"a": "\U0001f600"}


def test_names_have_bounds() -> None:
    assert faults({"n" * 256: 1})[0][:2] == ("", "json")
    assert faults({1: 1})[0][2] == "has a field named 1"
    assert copy({"n" * 255: 1, "": 2}, SET_BOUNDS) == {"n" * 255: 1, "": 2}


def test_documents_have_bounds() -> None:
    assert faults(" " * 101, TINY)[0][1] == "size"
    assert faults(b" " * 101, TINY)[0][1] == "size"
    assert faults("\ud800" * 34, TINY)[0][1] == "size"
    assert faults({"a": [1] * 7}, TINY) == [("", "values", "has more than 8 values")]
    assert copy({"a": [1] * 6}, TINY)


def test_depth_has_bounds() -> None:
    assert copy({"a": {"b": [1]}}, TINY)
    assert faults({"a": {"b": [[1]]}}, TINY) == [("/a/b/0", "depth", "is nested too deeply")]
    assert faults({"a": {"b": [{}]}}, TINY)[0][1] == "depth"


@pytest.mark.parametrize("opening", ["[", '{"a":'])
def test_a_million_brackets_are_too_deep(opening: str) -> None:
    assert {rule for _, rule, _ in faults(opening * 500_000)} <= {"depth", "json"}


@pytest.mark.parametrize("value", ["{}", "[]", "0", '""', '{"a":[{}]}'])
def test_values_beyond_the_bound_are_told_before_there_are_any(
    monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    text = f'{{"a": [{",".join([value] * 200_000)}]}}'
    monkeypatch.setattr(json, "loads", None)
    assert faults(text) == [("", "values", "has more than 50000 values")]


def test_signs_in_strings_are_no_values() -> None:
    document = {"a": ',[{\\"' * 50_000, '"': "[" * 60_000, "b": [1] * 49_990}
    assert read(json.dumps(document), SET_BOUNDS) == document


def test_an_object_that_holds_itself_is_too_deep() -> None:
    circle: dict[str, Any] = {}
    circle["a"] = circle
    listed: list[Any] = []
    listed.append(listed)
    assert faults(circle)[0][1] == "depth"
    assert faults({"a": listed})[0][1] == "depth"


@pytest.mark.parametrize("value", [(1,), {1}, b"x", object(), 1j])
def test_what_python_has_and_json_has_not(value: object) -> None:
    assert faults({"a": value})[0][:2] == ("/a", "json")


def test_numbers_that_python_has_and_json_has_not() -> None:
    assert faults({"a": math.inf, "b": math.nan, "c": 10**40}) == [
        ("/a", "json", "is too large a number"),
        ("/b", "json", "is no number"),
        ("/c", "json", "is too large a number"),
    ]


def test_so_many_faults_are_told_and_no_more() -> None:
    with pytest.raises(DocumentInvalid) as caught:
        copy({"a": [math.nan] * 1000}, SET_BOUNDS)
    assert len(caught.value.faults) == FAULT_LIMIT
    assert caught.value.more


NAMES = st.text(max_size=5)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63) + 1, 2**63 - 1) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=12,
)


@BUSY
@given(st.dictionaries(NAMES, JSON, max_size=4))
def test_good_json_is_read_as_it_is(document: dict[str, Any]) -> None:
    assert read(json.dumps(document), SET_BOUNDS) == document
    assert copy(document, SET_BOUNDS) == document


@BUSY
@given(st.binary(max_size=60) | st.text(max_size=60))
def test_whatever_is_sent_is_read_or_refused(raw: bytes | str) -> None:
    try:
        assert isinstance(read(raw, SET_BOUNDS), dict)
    except DocumentInvalid as error:
        str(error).encode()
