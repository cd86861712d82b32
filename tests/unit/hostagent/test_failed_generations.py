"""A generation that has failed for one container is given to no other, whatever becomes of that."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from hostagent import points
from hostagent.errors import StepFailed
from hostagent.records import Attempt, ContainerRow
from setspec.desired import DesiredSet, Level, RebuildDisk, Restart
from support.agents import changed, operated, placed, shop
from support.hostlives import Life
from support.hostmodel import ModelAgent, ModelImages

READY = {"readiness": {"min_ready_s": 1}}


def begin(life: Life, *containers: dict[str, Any]) -> DesiredSet:
    """A set that runs, beside the one that the life has begun with."""
    desired = placed(shop(*containers))
    life.take(desired)
    life.quiet()
    return desired


def fail(life: Life, *more: dict[str, Any]) -> DesiredSet:
    """A set whose second generation has failed for c0, before c1's turn came."""
    first = begin(life, READY, READY)
    second = changed(first, shop({**READY, "image": "shop:b"}, {**READY, "image": "shop:2"}, *more))
    life.take(second)
    life.quiet()
    assert row(life, "c0").failed_generation == 2
    return second


def row(life: Life, name: str) -> ContainerRow:
    return life.agent.host.store.find(ContainerRow, set=life.desired.set, name=name)


def current(life: Life, name: str) -> Attempt:
    return life.agent.host.store.find(Attempt, id=row(life, name).current)


def edition(life: Life, name: str) -> str:
    """Which image a container runs."""
    found = current(life, name)
    assert found.id in life.world.processes
    return found.digest[7]


def crash(life: Life, name: str) -> None:
    life.world.end(life.world.processes[current(life, name).id], 1)


def crash_it(life: Life) -> None:
    crash(life, "c1")


def stop(life: Life) -> None:
    for level in (Level.STOPPED, Level.RUNNING):
        life.take(replace(life.desired, level=level))
        life.quiet()


def reboot(life: Life) -> None:
    life.world.reboot()
    life.agent = ModelAgent(life.world, autostart=True)


def restart(life: Life) -> None:
    life.take(operated(life.desired, Restart())[0])


COMES: list[Callable[[Life], None]] = [crash_it, stop, reboot, restart]


@pytest.mark.parametrize("comes", COMES)
def test_a_container_beside_one_that_was_rolled_back_stays_what_it_was(
    life: Life, comes: Callable[[Life], None]
) -> None:
    fail(life)
    before = current(life, "c1")
    comes(life)
    life.quiet()
    assert edition(life, "c0") == edition(life, "c1") == "1"
    after = current(life, "c1")
    assert after.id != before.id
    assert after.disk == before.disk


def test_its_new_disk_too_is_one_of_the_image_that_it_was_made_of(life: Life) -> None:
    fail(life)
    before = current(life, "c1")
    told, _ = operated(life.desired, RebuildDisk(containers=("c1",)))
    life.take(told)
    life.quiet()
    assert edition(life, "c1") == "1"
    assert current(life, "c1").disk != before.disk
    assert before.disk not in life.world.disks


def test_a_newer_generation_is_tried_for_all(life: Life) -> None:
    second = fail(life)
    crash(life, "c1")
    life.take(changed(second, shop({**READY, "image": "shop:2"}, {**READY, "image": "shop:2"})))
    life.quiet()
    assert edition(life, "c0") == edition(life, "c1") == "2"


def test_a_container_that_is_new_has_nothing_to_go_back_to(life: Life) -> None:
    fail(life, {"image": "shop:2"})
    crash(life, "c2")
    life.quiet()
    assert edition(life, "c1") == "1"
    assert edition(life, "c2") == "2"


def test_what_was_good_before_another_one_failed_stays_so(life: Life) -> None:
    first = begin(life, READY, READY)
    newer = shop({**READY, "image": "shop:2"}, {**READY, "image": "shop:b"})
    life.take(changed(first, newer))
    life.quiet()
    crash(life, "c0")
    life.quiet()
    assert edition(life, "c0") == "2"
    assert edition(life, "c1") == "1"


def test_limits_of_what_the_failed_generation_makes_of_nothing_new_are_those_of_the_document(
    life: Life,
) -> None:
    first = begin(life, READY, READY)
    newer = shop({**READY, "image": "shop:b"}, {**READY, "mem": "64Mi"})
    life.take(changed(first, newer))
    life.quiet()
    crash(life, "c1")
    life.quiet()
    assert '"mem": 67108864' in current(life, "c1").limits


def test_what_crashes_while_another_one_is_updated_waits_for_a_way_back(life: Life) -> None:
    """It was made anew of the new image at once: bad for both, with nothing to go back to."""
    first = begin(life, {**READY, "readiness": {"min_ready_s": 5}}, READY)
    newer = shop({"readiness": {"min_ready_s": 5}, "image": "shop:2"}, {**READY, "image": "shop:b"})
    before = current(life, "c1").disk
    life.take(changed(first, newer))
    life.settle()
    assert row(life, "c0").next is not None
    crash(life, "c1")
    life.quiet()
    assert edition(life, "c0") == "2"
    assert row(life, "c1").failed_generation == 2
    assert edition(life, "c1") == "1"
    assert current(life, "c1").disk == before


def test_what_crashes_while_the_new_image_cannot_be_had_runs_on_of_its_own(
    life: Life, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It stayed away for as long as the registry did."""
    first = begin(life, READY, READY)

    def fails(*_: Any) -> None:
        raise StepFailed("there is no such image")

    with monkeypatch.context() as patch:
        patch.setattr(ModelImages, "ensure", fails)
        life.take(changed(first, shop({**READY, "image": "shop:2"}, READY)))
        life.settle()
        crash(life, "c0")
        for _ in range(20):
            life.world.lapse(1)
            life.settle()
        assert edition(life, "c0") == "1"
    life.quiet()
    assert edition(life, "c0") == "2"


def test_what_an_agent_died_of_is_made_again_as_it_was_and_then_updated(life: Life) -> None:
    first = begin(life, READY)
    crash(life, "c0")
    second = changed(first, shop({**READY, "image": "shop:b"}))

    def overtaken(name: str) -> None:
        if name == "remove:end" and life.desired.generation == 1:
            life.take(second)

    points.listen(overtaken)
    life.quiet()
    assert row(life, "c0").failed_generation == 2
    assert edition(life, "c0") == "1"


def test_what_a_later_document_leaves_as_it_is_is_not_replaced_on_its_own_disk(life: Life) -> None:
    """The end of what was made beside it would have taken the disk that both had."""
    first = begin(life, READY)
    before = current(life, "c0")
    second = changed(first, shop({**READY, "image": "shop:2"}))

    def overtaken(name: str) -> None:
        if name == "create:begin" and life.desired.generation == 2:
            life.take(changed(second, shop(READY)))

    points.listen(overtaken)
    life.take(second)
    life.quiet()
    assert current(life, "c0") == before
    assert life.world.disks[before.disk]


def test_a_document_that_is_taken_back_before_anything_is_made_of_it_costs_no_disk(
    life: Life,
) -> None:
    slow = {"readiness": {"tcp": {"port": 80}, "min_ready_s": 0}}
    first = begin(life, slow, {})
    before = current(life, "c1")
    stopped = replace(first, level=Level.STOPPED)
    life.take(stopped)
    life.quiet()
    life.world.answers = 0.0
    life.take(first)
    life.settle()
    waiting = current(life, "c1").id
    second = changed(first, shop(slow, {"image": "shop:2"}))

    def taken_back(name: str) -> None:
        if name == "remove:end" and life.desired.generation == 2:
            life.take(changed(second, shop(slow, {})))

    points.listen(taken_back)
    life.take(second)
    life.quiet()
    after = current(life, "c1")
    assert after.id not in {before.id, waiting}
    assert after.disk == before.disk
