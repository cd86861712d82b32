import uuid
from collections.abc import Iterator
from dataclasses import replace

import pytest

from hostagent.errors import Conflict
from hostagent.intake import Taken, take_state
from hostagent.records import Attempt, OperationRow, SetRow
from setspec.desired import DesiredSet, DesiredState, Epoch, Restart, Tombstone
from setspec.items import Reading
from support.agents import Agent, operated, placed, running_agent, shop, stays
from support.environment import wait_until
from support.hostplaces import HostPlace

SHIM, OWN = str(uuid.uuid4()), str(uuid.uuid4())


def said(*sets: DesiredSet, rev: int = 1, **more: object) -> DesiredState:
    state = DesiredState(
        shim=SHIM, host=OWN, epoch=Epoch(incarnation=1, n=1), rev=rev, complete=True, sets=sets,
        tombstones=(),
    )  # fmt: skip
    return replace(state, **more)  # type: ignore[arg-type]


def take(agent: Agent, state: DesiredState) -> Taken:
    taken = take_state(agent.host, OWN, Reading(state, ()))
    for each in taken.changed:
        agent.keeper.wake(each)
    return taken


@pytest.fixture
def agent(place: HostPlace) -> Iterator[Agent]:
    with running_agent(place) as started:
        yield started


def test_what_a_document_does_not_speak_of_runs_on(agent: Agent) -> None:
    sets = [placed(shop({})) for _ in range(3)]
    take(agent, said(*sets))
    for each in sets:
        agent.wait_running(each)
    former = agent.host.store.rows(Attempt)
    taken = take(agent, said(rev=2))  # empty
    assert [each.kind for each in taken.alarms] == ["sets-missing"]
    assert not take(agent, said(*sets[:1], rev=3, complete=False, since=2)).alarms
    for refused in (
        said(rev=4, shim=str(uuid.uuid4())),
        said(rev=4, host=str(uuid.uuid4())),
        said(rev=2),  # the shim's database was set back
        said(rev=9, epoch=Epoch(incarnation=1, n=0)),
        said(rev=9, complete=False, since=8),
    ):
        with pytest.raises(Conflict):
            take(agent, refused)
    assert agent.host.store.rows(Attempt) == former
    assert all(each.init and each.init.alive for each in former)
    gone = tuple(Tombstone(set=each.set, generation=1) for each in sets)
    take(agent, said(rev=5, tombstones=gone))
    wait_until(lambda: not agent.host.store.rows(SetRow), "the sets' end", 60)


def test_a_set_that_is_refused_stops_no_other_and_results_are_kept_until_acknowledged(
    agent: Agent,
) -> None:
    good = placed(shop({}))
    told, operation = operated(good, Restart())
    bad = placed(shop({"mounts": [{"path": "/x", "host_path": "/etc"}]}))
    object.__setattr__(agent.host, "allowed", frozenset())
    taken = take(agent, said(told, bad))
    assert [(each.kind, each.id) for each in taken.refused] == [("set", bad.set)]
    assert "allow_host_path" in taken.refused[0].reason
    assert agent.wait_operation(operation).state == "done"
    agent.wait_running(good)
    former = agent.current(good, "c0")
    take(agent, said(told, rev=2, acknowledged=(operation,)))
    take(agent, said(told, rev=3))  # said once more, it is not carried out again
    assert agent.host.store.find(OperationRow, id=operation).state == "acknowledged"
    assert stays(lambda: agent.current(good, "c0") == former, 0.5)
    agent.delete(good)
