"""Desired state: read item by item; what is not understood is refused, alone, with its reason."""

import json
from typing import Any

import pytest

from setspec.desired import (
    Deploy,
    Epoch,
    ExecSession,
    Level,
    LogsSession,
    RebuildDisk,
    Restart,
    Route,
    SetPassword,
    Snapshot,
    SyncStatus,
    Tombstone,
)
from setspec.desired_document import read_desired, write_desired
from setspec.faults import DocumentInvalid
from setspec.normal import Exec, SecretRef
from support.setdesired import (
    CRYPT,
    HOST,
    OPERATION,
    OTHER_SET,
    SET,
    SHIM,
    desired,
    desired_set,
    refusals,
    session,
)
from support.setdocs import WHOLE, accepted, cloned


def test_a_whole_document_is_read() -> None:
    reading = read_desired(json.dumps(desired()))
    assert reading.refused == ()
    state = reading.document
    assert (state.protocol, state.shim, state.host, state.rev) == (1, SHIM, HOST, 40)
    assert state.epoch == Epoch(incarnation=1, n=2)
    assert (state.complete, state.since) == (True, None)
    assert state.tombstones == (Tombstone(set=OTHER_SET, generation=9, purge=True),)
    assert state.acknowledged == (OPERATION.format(50),)
    (item,) = state.sets
    assert (item.set, item.generation, item.project) == (SET, 3, "shop")
    assert item.level is Level.RUNNING
    assert item.spec == accepted(WHOLE).spec
    assert item.allocation.ports[0].routes == (Route(to="10.30.0.0/16", via="10.20.0.9"),)
    assert item.allocation.ports[1].mtu == 1500
    assert item.allocation.images[2].credential == reference("pull")
    assert item.allocation.volumes[0].storage == "ssd"


def test_operations_are_read_by_their_kind() -> None:
    (item,) = read_desired(desired()).document.sets
    kinds = [operation.kind for operation in item.operations]
    assert kinds == [
        *("restart", "restart", "rebuild_disk", "snapshot", "deploy", "set-password"),
        "sync-status",
    ]
    every, some, rebuild, snapshot, deploy, password, sync = (each.args for each in item.operations)
    assert every == Restart()
    assert some == Restart(containers=("web", "infra"))
    assert rebuild == RebuildDisk(containers=("web",))
    assert isinstance(snapshot, Snapshot)
    assert snapshot.with_files
    assert isinstance(deploy, Deploy)
    assert deploy.files[1].data(dict(item.secrets)) == b"\x80\x81"
    assert password == SetPassword(password=reference("login"))
    assert sync == SyncStatus()
    named_containers = [operation.containers for operation in item.operations]
    assert named_containers == [(), ("web", "infra"), ("web",), ("web",), ("web",), (), ()]


def test_sessions_are_read_by_their_kind() -> None:
    first, second = read_desired(desired()).document.sessions
    assert first.args == ExecSession(command=Exec(cmd="/bin/sh"), tty=True)
    assert second.args == LogsSession(follow=True, tail=100)
    assert (first.set, first.container, first.expires_s) == (SET, "web", 30)


def test_a_secret_is_found_by_its_reference_and_never_shown() -> None:
    state = read_desired(desired()).document
    (item,) = state.sets
    assert item.secret(reference("login")) == CRYPT
    with pytest.raises(KeyError):
        item.secret(reference("nothing"))
    for secret in ("sesame", CRYPT, "unlock"):
        assert secret not in repr(state)


def test_what_is_written_is_read_again() -> None:
    state = read_desired(desired()).document
    written = write_desired(state)
    assert read_desired(json.dumps(written)).document == state
    changed = write_desired(read_desired(desired(complete=False, since=39)).document)
    assert changed["since"] == 39


def test_an_empty_complete_document_is_good() -> None:
    reading = read_desired(desired(sets=[], tombstones=[], sessions=[]))
    assert (reading.refused, reading.document.sets) == ((), ())


UNKNOWN: list[tuple[str, Any]] = [
    ("", "set"),
    ("/spec", "set"),
    ("/spec/containers/0", "set"),
    ("/spec/containers/0/limits", "set"),
    ("/spec/infra", "set"),
    ("/allocation", "set"),
    ("/allocation/ports/0", "set"),
    ("/allocation/ports/0/routes/0", "set"),
    ("/allocation/volumes/0", "set"),
    ("/allocation/images/2/credential", "set"),
    ("/operations/0", "set"),
    ("/operations/3/args", "set"),
    ("/operations/6/args", "set"),
]


@pytest.mark.parametrize(("path", "kind"), UNKNOWN)
def test_an_unknown_field_refuses_that_one_set(path: str, kind: str) -> None:
    item = cloned(desired_set())
    holder: Any = item
    for step in path.split("/")[1:]:
        holder = holder[int(step) if step.isdecimal() else step]
    holder["colour"] = "red"
    good = desired_set(set=OTHER_SET)
    reading = read_desired(desired(sets=[item, good], tombstones=[]))
    assert [each.set for each in reading.document.sets] == [OTHER_SET]
    (refused,) = reading.refused
    assert (refused.kind, refused.id, refused.generation) == (kind, SET, 3)
    wanted = (f"/sets/0{path}/colour", "additionalProperties")
    assert wanted in [(fault.pointer, fault.rule) for fault in refused.faults]
    assert "colour is not known here" in refused.reason


def test_an_unknown_field_refuses_that_one_tombstone() -> None:
    bad = {"set": OTHER_SET, "generation": 1, "when": "later"}
    good = {"set": SET, "generation": 1}
    reading = read_desired(desired(sets=[], tombstones=[bad, good]))
    assert [each.set for each in reading.document.tombstones] == [SET]
    assert refusals(desired(sets=[], tombstones=[bad, good])) == [
        ("tombstone", OTHER_SET, [("/tombstones/0/when", "additionalProperties")])
    ]


def test_an_unknown_field_refuses_that_one_session() -> None:
    bad = session("logs", {"since": 5})
    assert refusals(desired(sessions=[bad])) == [
        ("session", OPERATION.format(98), [("/sessions/0/args/since", "additionalProperties")])
    ]


@pytest.mark.parametrize(
    ("fields", "fault"),
    [
        ({"colour": "red"}, ("/colour", "additionalProperties")),
        ({"protocol": 2}, ("/protocol", "protocol")),
        ({"protocol": 0}, ("/protocol", "protocol")),
        ({"protocol": "1"}, ("/protocol", "type")),
        ({"epoch": 5}, ("/epoch", "type")),
        ({"epoch": {"incarnation": 1}}, ("/epoch/n", "required")),
        ({"rev": -1}, ("/rev", "minimum")),
        ({"shim": "x"}, ("/shim", "pattern")),
        ({"complete": False}, ("/since", "required")),
        ({"since": 5}, ("/since", "excluded")),
        ({"sets": {}}, ("/sets", "type")),
        ({"features": ["A"]}, ("/features/0", "pattern")),
        ({"acknowledged": ["x"]}, ("/acknowledged/0", "pattern")),
    ],
)
def test_a_fault_of_the_envelope_refuses_the_document(
    fields: dict[str, Any], fault: tuple[str, str]
) -> None:
    with pytest.raises(DocumentInvalid) as caught:
        read_desired(desired(**fields))
    assert [(each.pointer, each.rule) for each in caught.value.faults] == [fault]


def test_absent_lists_refuse_the_document() -> None:
    with pytest.raises(DocumentInvalid) as caught:
        read_desired("{}")
    pointers = {each.pointer for each in caught.value.faults}
    assert {"/sets", "/tombstones", "/complete", "/shim", "/epoch", "/rev"} <= pointers


@pytest.mark.parametrize("item", [5, None, "x", [], {}, {"set": 5}])
def test_an_item_that_is_no_set_is_refused_alone(item: Any) -> None:
    reading = read_desired(desired(sets=[item, desired_set()]))
    assert [each.set for each in reading.document.sets] == [SET]
    (refused,) = reading.refused
    assert (refused.kind, refused.id) == ("set", None)


def test_a_set_that_stands_there_twice_is_refused_twice() -> None:
    sets = [desired_set(), desired_set(generation=4), desired_set(set=OTHER_SET)]
    document = desired(sets=sets, tombstones=[])
    assert refusals(document) == [
        ("set", SET, [("/sets/0/set", "twice")]),
        ("set", SET, [("/sets/1/set", "twice")]),
    ]
    assert [each.set for each in read_desired(document).document.sets] == [OTHER_SET]


def test_a_set_with_a_tombstone_is_neither_run_nor_removed() -> None:
    document = desired(tombstones=[{"set": SET, "generation": 3}])
    assert refusals(document) == [
        ("set", SET, [("/sets/0/set", "twice")]),
        ("tombstone", SET, [("/tombstones/0/set", "twice")]),
    ]
    reading = read_desired(document)
    assert (reading.document.sets, reading.document.tombstones) == ((), ())


def test_a_bad_set_with_a_tombstone_is_not_removed_either() -> None:
    bad = desired_set(colour="red")
    document = desired(sets=[bad], tombstones=[{"set": SET, "generation": 3}])
    assert [kind for kind, _, _ in refusals(document)] == ["set", "tombstone"]


def reference(name: str) -> SecretRef:
    return SecretRef(secret_ref=name)
