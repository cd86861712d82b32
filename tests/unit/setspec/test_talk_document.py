"""Set document v2: the talk's, as it stands, and its units."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from setspec import form
from setspec.normal import Command, Container, Mount, Network, SetSpec, Volume
from setspec.setdocument import Defaults
from setspec.shape import dump
from setspec.units import GIB, MIB, Units
from setspec.v2 import convert
from support.setdocs import TALK, accepted, cloned, refused, told
from support.setdraws import BUSY, mutated

THE_TALKS: dict[str, Any] = json.loads(TALK)


def test_the_talks_document_is_accepted_letter_by_letter() -> None:
    result = accepted(TALK)
    assert result.spec == SetSpec(
        id=1,
        appkey="com.sankuai.inf.hulk.test",
        networks=(Network(name="default"),),
        volumes=(Volume(name="test/opt/logs", quota=100 * GIB),),
        containers=(
            Container(
                name="test",
                index=0,
                image="hulk.test-prod",
                cpu=800,
                mem=20 * MIB,
                command=Command(cmd="/bin/bash", args=("-c", "run.sh")),
                mounts=(Mount(path="/opt/logs", volume="test/opt/logs"),),
            ),
        ),
    )
    assert result.document == THE_TALKS
    assert result.secrets == ()


def test_the_raw_document_is_kept_as_bytes_text_or_object() -> None:
    specs = {accepted(TALK).spec.appkey, accepted(THE_TALKS).spec.appkey}
    assert specs == {"com.sankuai.inf.hulk.test"}
    assert accepted(TALK).spec == accepted(THE_TALKS).spec


def test_a_deployment_says_what_bare_numbers_count_and_which_network_is_meant() -> None:
    units = Units(cpu="core", mem="GiB", quota="MiB")
    spec = accepted(talk(cpu=0.5, mem=2), Defaults(units=units, network="front")).spec
    assert (spec.containers[0].cpu, spec.containers[0].mem) == (500, 2 * GIB)
    assert spec.volumes[0].quota == 100 * MIB
    assert spec.networks == (Network(name="front"),)
    assert accepted(TALK, Defaults(units=Units(cpu="millicore"))).spec.containers[0].cpu == 80


def test_a_string_has_its_own_unit() -> None:
    spec = accepted(talk(cpu="0.8", mem="512Mi")).spec
    assert (spec.containers[0].cpu, spec.containers[0].mem) == (800, 512 * MIB)


def test_what_is_not_said_is_left_to_the_image() -> None:
    options = {"name": "web", "cpu": 10, "mem": 4}
    container = {"index": 3, "image": "w", "options": options}
    spec = accepted({"version": "v2", "appkey": "a", "containers": [container]}).spec
    assert (spec.id, spec.volumes, spec.containers[0].command) == (None, (), None)


@pytest.mark.parametrize(
    ("name", "value", "fix"),
    [
        ("cpu", 0.05, "whole number of millicores"),
        ("cpu", 0.5, "at least 10m"),
        ("cpu", 1_000_000, "at most 1000000m"),
        ("mem", 3, "at least 4Mi"),
        ("mem", 4.0000001, "whole number of bytes"),
    ],
)
def test_a_number_that_its_unit_cannot_bear_is_refused_where_it_stands(
    name: str, value: float, fix: str
) -> None:
    (fault,) = refused(talk(**{name: value}))
    assert fault.pointer == f"/containers/0/options/{name}"
    assert fault.rule == "unit"
    assert fix in fault.fix


@pytest.mark.parametrize(
    ("cpu", "rule", "fix"),
    [
        (0, "exclusiveMinimum", "Write more than 0"),
        (-1, "exclusiveMinimum", "Write more than 0"),
        (10**7, "maximum", "Write at most 1000000"),
        (True, "type", "Write it like 80"),
        (None, "type", "Write it like 80"),
        ("80%", "pattern", "Write it like 80"),
        ("0.001", "format", "Must be at least 10m and at most 1000000m"),
    ],
)
def test_cores_of_no_possible_form(cpu: Any, rule: str, fix: str) -> None:
    (fault,) = refused(talk(cpu=cpu))
    assert (fault.pointer, fault.rule, fault.fix) == ("/containers/0/options/cpu", rule, fix)


def test_faults_point_into_the_document_that_was_sent() -> None:
    document = talk(
        cpu=0.05,
        mme=20,
        volumes=[
            {"path": "/opt/logs", "quota": 1},
            {"path": "/opt/logs/x", "quota": "1XB"},
            {"path": "/opt/logs", "quota": 2},
            {"path": 5, "quota": 0.001},
            "x",
        ],
    )
    document["containers"].append({**document["containers"][0], "options": {"name": "test"}})
    del document["appkey"]
    assert told(document) == [
        ("/appkey", "required"),
        ("/containers/0/options/cpu", "unit"),
        ("/containers/0/options/mme", "additionalProperties"),
        ("/containers/0/options/volumes/1/path", "overlap"),
        ("/containers/0/options/volumes/1/quota", "pattern"),
        ("/containers/0/options/volumes/2/path", "twice"),
        ("/containers/0/options/volumes/3/path", "type"),
        ("/containers/0/options/volumes/3/quota", "unit"),
        ("/containers/0/options/volumes/4", "type"),
        ("/containers/1/index", "twice"),
        ("/containers/1/options/cpu", "required"),
        ("/containers/1/options/mem", "required"),
        ("/containers/1/options/name", "twice"),
    ]


def test_a_place_in_the_v3_document_leads_back_to_the_v2_document() -> None:
    converted = convert(THE_TALKS, Units())
    mount = ("containers", 0, "mounts", 0)
    volume = ("containers", 0, "options", "volumes", 0)
    assert converted.origin(mount) == volume
    assert converted.origin((*mount, "path")) == (*volume, "path")
    assert converted.origin((*mount, "volume")) == (*volume, "path")
    assert converted.origin(("volumes", 0, "name")) == (*volume, "path")
    assert converted.origin(("volumes", 0, "quota")) == (*volume, "quota")
    assert converted.origin(("containers", 0, "index")) == ("containers", 0, "index")
    assert converted.origin(("appkey",)) == ("appkey",)
    command = ("containers", 0, "options", "command", "cmd")
    assert converted.origin(("containers", 0, "command", "cmd")) == command


@pytest.mark.parametrize("unit", ["cpu", "mem", "quota"])
def test_an_unknown_unit_is_refused_by_its_key(unit: str) -> None:
    with pytest.raises(ValueError, match=f"set.units.{unit} must be one of"):
        Units(**{unit: "acre"})  # type: ignore[arg-type]


NUMBERS = st.integers(1, 3000)


@st.composite
def v2_documents(draw: st.DrawFn) -> dict[str, Any]:
    paths = ["/a", "/b", "/c d", "/é"]
    names = draw(st.lists(st.sampled_from(["a", "b", "c-d"]), min_size=1, unique=True))
    containers = [
        {
            "index": index,
            "image": "web",
            "options": {
                "name": name,
                "cpu": draw(NUMBERS),
                "mem": draw(NUMBERS.map(lambda number: number + 3)),
                "volumes": [
                    {"path": path, "quota": draw(NUMBERS)}
                    for path in draw(st.lists(st.sampled_from(paths), unique=True))
                ],
            },
        }
        for index, name in enumerate(names)
    ]
    return {"version": "v2", "appkey": "a", "containers": containers}


@BUSY
@given(v2_documents())
def test_a_good_v2_document_is_a_good_v3_document(document: dict[str, Any]) -> None:
    converted = convert(document, Units())
    assert form.check(converted.document, "set-v3.json").found() == ()
    assert accepted(converted.document).spec == accepted(document).spec
    assert accepted(dump(accepted(document).spec)).spec == accepted(document).spec


@BUSY
@given(mutated(v2_documents()))
def test_what_the_schema_refuses_is_refused_and_nothing_breaks(document: dict[str, Any]) -> None:
    faults = refused(document)
    if document.get("version") == "v2" and form.check(document, "set-v2.json").found():
        assert faults
    for fault in faults:
        assert fault.what


def talk(**options: Any) -> dict[str, Any]:
    """The talk's document with other options."""
    document = cloned(THE_TALKS)
    document["containers"][0]["options"] |= options
    return document
