"""What docs/ says of set documents, desired state and status is so."""

import dataclasses
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from setspec import desired, normal, status
from setspec.canonical import fingerprint
from setspec.desired_document import read_desired, write_desired
from setspec.faults import DocumentInvalid
from setspec.form import check
from setspec.shape import dump
from setspec.status_document import read_status, write_status
from support.setdocs import TALK, accepted

ROOT = Path(__file__).parents[3]
SETS = ROOT / "docs/set-document.md"
DESIRED = ROOT / "docs/desired-state.md"
FENCE = re.compile(r"^```(.*?)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(path: Path) -> Iterator[tuple[str, str]]:
    """Each block's kind, which stands behind the language, and its text."""
    for match in FENCE.finditer(path.read_text("utf-8")):
        language, _, kind = match[1].partition(" ")
        assert language == "json", "every block is JSON that a test reads"
        yield kind, match[2]


def of_kind(path: Path, kind: str) -> list[str]:
    found = [text for each, text in blocks(path) if each == kind]
    assert found
    return found


@pytest.mark.parametrize("path", [SETS, DESIRED], ids=lambda path: path.name)
def test_every_block_is_read_by_a_test(path: Path) -> None:
    known = {"set", "normal-form", "faulty-set", "faults", "desired-state", "operation", "status"}
    for kind, text in blocks(path):
        assert kind in known
        json.loads(text)


def test_set_documents_are_accepted() -> None:
    for text in of_kind(SETS, "set"):
        accepted(text)


def test_the_talks_document_stands_there_letter_by_letter() -> None:
    assert TALK in of_kind(SETS, "set")


def test_the_normal_form_is_that_of_the_talks_document() -> None:
    (text,) = of_kind(SETS, "normal-form")
    assert json.loads(text) == dump(accepted(TALK).spec)


def test_the_faults_are_those_of_the_faulty_document() -> None:
    (faulty,), (faults,) = of_kind(SETS, "faulty-set"), of_kind(SETS, "faults")
    with pytest.raises(DocumentInvalid) as caught:
        accepted(faulty)
    assert caught.value.as_json() == json.loads(faults)


def test_the_desired_state_is_read_whole_and_written_the_same() -> None:
    (text,) = of_kind(DESIRED, "desired-state")
    reading = read_desired(text)
    assert reading.refused == ()
    assert write_desired(reading.document) == json.loads(text)
    (item,) = reading.document.sets
    assert item.fingerprint == fingerprint(item.spec)


def test_operations_are_good() -> None:
    for text in of_kind(DESIRED, "operation"):
        assert not check(json.loads(text), "desired-state.json#/$defs/operation").found()


def test_the_status_is_read_whole_and_written_the_same() -> None:
    (text,) = of_kind(DESIRED, "status")
    reading = read_status(text)
    assert reading.refused == ()
    assert read_status(write_status(reading.document)).document == reading.document


def told(path: Path) -> set[str]:
    """Every word in code style, each part of a dotted one too."""
    text = FENCE.sub("", path.read_text("utf-8"))
    words = [
        word for quoted in re.findall(r"`([^`]+)`", text) for word in re.split(r"[.\[\]]+", quoted)
    ]
    return set(words)


def names(module: Any, *roots: str) -> set[str]:
    """The fields of a module's dataclasses, as they are called in JSON."""
    classes = [each for each in vars(module).values() if isinstance(each, type)]
    own = [each for each in classes if each.__module__ == module.__name__]
    kept = [each for each in own if each.__name__ not in roots]
    fields = [
        field
        for each in kept
        if dataclasses.is_dataclass(each)
        for field in dataclasses.fields(each)
    ]
    return {str(field.metadata.get("name", field.name)) for field in fields}


def test_every_field_of_a_set_document_is_told() -> None:
    assert names(normal, "SecretRef") - told(SETS) == set()


def test_every_field_of_a_desired_state_is_told() -> None:
    assert names(desired) - told(DESIRED) - {"args", "expires_s"} == set()


def test_every_field_of_a_status_is_told_or_shown() -> None:
    (shown,) = of_kind(DESIRED, "status")
    unseen = {name for name in names(status) if f'"{name}"' not in shown}
    assert unseen == set()


def test_every_word_of_an_enumeration_is_told() -> None:
    for path, words in (
        (DESIRED, [*status.SetState, *status.ContainerState, *status.ResultState, *desired.Level]),
        (SETS, [*normal.RestartPolicy]),
    ):
        assert {str(word) for word in words} - told(path) == set()


def test_every_default_is_told() -> None:
    text = SETS.read_text("utf-8")
    for line in (
        "| `readiness.period_s` | `1` |",
        "| `readiness.timeout_s` | `1` |",
        "| `readiness.min_ready_s` | `1` |",
        "| `readiness.ready_timeout_s` | `60` |",
        "| `restart.base_s`, `restart.factor`, `restart.cap_s` | `1`, `2`, `60` |",
        "| `restart.reset_after_s` | `300` |",
        "| `restart.policy` | `always` |",
        "| `stop.grace_s` | `10` |",
        "| `limits.pids` | `512` |",
        "| `limits.writable` | `10Gi` |",
        "| `limits.logs` | `64Mi` |",
        "| `limits.shm` | `64Mi` |",
        "| `files[].mode` | `0644` |",
    ):
        assert line in text
    defaults = normal.Readiness(), normal.Restart(), normal.Stop(), normal.Limits()
    assert [dump(each) for each in defaults] == [
        {"period_s": 1, "timeout_s": 1, "min_ready_s": 1, "ready_timeout_s": 60},
        {"policy": "always", "base_s": 1, "factor": 2, "cap_s": 60, "reset_after_s": 300},
        {"grace_s": 10},
        {"pids": 512, "writable": "10Gi", "logs": "64Mi"},
    ]


RULES = {
    *("json", "type", "size", "values", "depth", "twice", "version", "unit", "unknown", "unused"),
    *("overlap", "reserved", "order", "excluded", "protocol", "fingerprint", "normal", "secret"),
    "other",
}


def test_every_rule_of_ours_is_told() -> None:
    sources = "".join(path.read_text("utf-8") for path in (ROOT / "setspec").glob("*.py"))
    assert {
        rule for rule in RULES if f'"{rule}", ' in sources or f'"{rule}",\n' in sources
    } == RULES
    assert RULES - told(SETS) - told(DESIRED) == set()
