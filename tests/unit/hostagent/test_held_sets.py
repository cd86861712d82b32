"""A set that a reboot has ended stays so until the shim is heard, or somebody here starts it."""

import json
from dataclasses import replace
from typing import Any

import pytest

from hostagent.config import AgentConfig, Config
from hostagent.describe import status
from hostagent.errors import Conflict
from hostagent.intake import take_set
from hostagent.local import Local
from hostagent.records import OperationRow, SetRow
from setspec.desired import Level, RebuildDisk, Restart, SyncStatus
from support.agents import placed, shop
from support.hostlives import Life
from support.hostmodel import ModelAgent

REASON = "the host was rebooted: nothing starts before the shim has been heard, or a set-start"


def held(life: Life, level: Level = Level.RUNNING) -> Local:
    """The agent of a set that was at *level* when its host rebooted."""
    agent = life.agent
    config = Config(agent=AgentConfig(registry="localhost:5000"))
    local = Local(agent.host, agent.keeper, config)
    life.desired = placed(shop())
    row = local.create(json.dumps(shop({"mem": "32Mi"})).encode(), None)
    life.desired = agent.host.desired(row)
    life.quiet()
    life.take(replace(life.desired, level=level))
    life.quiet()
    life.world.reboot()
    life.agent = ModelAgent(life.world, autostart=False)
    life.quiet()
    return Local(life.agent.host, life.agent.keeper, config)


def row(life: Life) -> SetRow:
    return life.agent.host.store.find(SetRow, set=life.desired.set)


def runs(life: Life) -> bool:
    life.quiet()
    return life.desired.set in {each.set for each in life.world.processes.values()}


@pytest.mark.parametrize("args", [SyncStatus(), RebuildDisk()])
def test_what_is_done_to_it_here_does_not_start_it(life: Life, args: Any) -> None:
    local = held(life)
    operation = local.operate(row(life), args)
    assert not runs(life)
    assert local.host.store.find(OperationRow, id=operation).state == "done"
    assert life.seen
    told = status(life.seen)
    assert (told.state, told.reason) == ("stopped", REASON)


def test_a_restart_of_it_is_refused(life: Life) -> None:
    local = held(life)
    with pytest.raises(Conflict, match=f"{REASON}: start the set first"):
        local.operate(row(life), Restart())
    assert not local.host.store.rows(OperationRow)


def test_another_document_does_not_start_it_but_holds_when_it_starts(life: Life) -> None:
    local = held(life)
    local.update(row(life), json.dumps(shop({"mem": "64Mi"})).encode(), None)
    local.change_image(row(life), "c0", "shop:2")
    assert not runs(life)
    local.set_level(row(life), Level.RUNNING)
    assert runs(life)
    assert row(life).generation == 3


@pytest.mark.parametrize("level", [Level.RUNNING, Level.SUSPENDED])
def test_somebody_here_starts_it(life: Life, level: Level) -> None:
    local = held(life, level)
    assert not runs(life)
    local.set_level(row(life), Level.RUNNING)
    assert runs(life)
    assert row(life).held is None


def test_the_shim_s_word_starts_it(life: Life) -> None:
    held(life)
    take_set(life.agent.host, life.desired)
    assert runs(life)


def test_what_does_not_run_is_not_suspended(life: Life) -> None:
    local = held(life)
    with pytest.raises(Conflict, match="only what runs can be suspended"):
        local.set_level(row(life), Level.SUSPENDED)
    assert row(life).held == REASON


def test_what_was_suspended_says_so_also_where_the_shim_still_wants_that(life: Life) -> None:
    local = held(life, Level.SUSPENDED)
    take_set(life.agent.host, life.desired)
    local.set_level(row(life), Level.SUSPENDED)
    assert not runs(life)
    assert life.seen
    told = status(life.seen)
    assert told.state == "stopped"
    assert told.reason == "the host was rebooted while the set was suspended"


def test_a_stop_ends_the_hold(life: Life) -> None:
    local = held(life)
    local.set_level(row(life), Level.STOPPED)
    assert not runs(life)
    assert row(life).held is None
