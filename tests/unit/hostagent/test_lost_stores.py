"""An agent that has lost its rows knows by the labels what there was, and loses nothing of it."""

from dataclasses import replace

import pytest

from hostagent.records import Attempt, AttemptState, ContainerRow
from setspec.desired import Level
from support.agents import changed, placed, shop
from support.hostlives import Life
from support.hostmodel import ModelAgent
from support.hostworld import Rows

READY = {"readiness": {"min_ready_s": 1}}


def lose(life: Life) -> None:
    life.world.rows = Rows()
    life.agent = ModelAgent(life.world)


def row(life: Life, name: str = "c0") -> ContainerRow:
    return life.agent.host.store.find(ContainerRow, set=life.desired.set, name=name)


def current(life: Life, name: str = "c0") -> Attempt:
    return life.agent.host.store.find(Attempt, id=row(life, name).current)


@pytest.mark.parametrize("is_lost_late", [False, True])
def test_disks_of_a_set_that_is_stopped_stay_its_own(life: Life, *, is_lost_late: bool) -> None:
    first = placed(shop({}, {}))
    life.take(first)
    life.quiet()
    before = {name: current(life, name) for name in ("c0", "c1")}
    stopped = replace(first, level=Level.STOPPED)
    if not is_lost_late:
        life.take(stopped)
        life.quiet()
    lose(life)
    life.take(stopped)
    life.quiet()
    life.take(first)
    life.quiet()
    for name, former in before.items():
        found = current(life, name)
        assert (found.disk, found.digest) == (former.disk, former.digest)
        assert found.id in life.world.processes
        assert found.id != former.id
        labels = life.agent.host.layout.sets.glob(f"{first.set}/containers/{name}/*/label.json")
        assert [label.parent.name for label in labels] == [found.id]


def test_what_has_failed_is_known_still(life: Life) -> None:
    first = placed(shop(READY, READY))
    life.take(first)
    life.quiet()
    life.take(changed(first, shop({**READY, "image": "shop:b"}, {**READY, "image": "shop:2"})))
    life.quiet()
    before, disk, made = row(life), current(life).disk, len(life.world.by_pid)
    lose(life)
    life.quiet()
    after = row(life)
    assert (after.failed_generation, after.failed_reason, after.failed_digest) == (
        2, before.failed_reason, before.failed_digest,
    )  # fmt: skip
    assert len(life.world.by_pid) == made, "it was tried again"
    assert (current(life).disk, current(life).digest[7]) == (disk, "1")
    assert current(life, "c1").digest[7] == "1"


@pytest.mark.parametrize(("policy", "code"), [("never", 7), ("on-failure", 0)])
def test_a_job_that_is_done_is_not_done_again(life: Life, policy: str, code: int) -> None:
    life.take(placed(shop({"restart": {"policy": policy}}, {})))
    life.quiet()
    done = current(life)
    life.world.end(life.world.processes[done.id], code)
    life.quiet()
    made = len(life.world.by_pid)
    lose(life)
    life.quiet()
    found = current(life)
    assert (found.id, found.state, found.exit_code) == (done.id, AttemptState.ENDED, code)
    assert len(life.world.by_pid) == made, "it was done again"


@pytest.mark.parametrize("is_lost", [False, True])
def test_a_job_that_was_done_and_stopped_is_done_again_at_a_start(
    life: Life, *, is_lost: bool
) -> None:
    first = placed(shop({"restart": {"policy": "never"}}, {}))
    life.take(first)
    life.quiet()
    life.world.end(life.world.processes[current(life).id], 0)
    life.quiet()
    stopped = replace(first, level=Level.STOPPED)
    life.take(stopped)
    life.quiet()
    if is_lost:
        lose(life)
        life.take(stopped)
        life.quiet()
    life.take(first)
    life.quiet()
    assert current(life).id in life.world.processes
