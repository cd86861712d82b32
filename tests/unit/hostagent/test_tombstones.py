"""What is deleted stays so, in whatever order words about it come."""

from dataclasses import replace

import pytest

from hostagent import points
from hostagent.errors import Conflict
from hostagent.intake import take_set, take_tombstone
from hostagent.records import GoneRow, SetRow
from setspec.desired import Tombstone
from support.agents import placed, shop
from support.hostlives import Life


def gone(life: Life) -> list[int]:
    rows = life.agent.host.store.rows(GoneRow, set=life.desired.set)
    return [row.generation for row in rows]


def bury(life: Life, generation: int) -> None:
    take_tombstone(life.agent.host, Tombstone(set=life.desired.set, generation=generation))


@pytest.mark.parametrize("generation", [1, 2, 3])
def test_a_document_that_a_tombstone_speaks_of_brings_no_deleted_set_back(
    life: Life, generation: int
) -> None:
    host = life.agent.host
    second = replace(placed(shop({})), generation=2)
    life.take(second)
    life.quiet()
    bury(life, 3)
    life.quiet()
    with pytest.raises(Conflict, match="generation 3 of the set was deleted, and all before it"):
        take_set(host, replace(second, generation=generation))
    assert not host.store.rows(SetRow, set=second.set)
    assert gone(life) == [3]
    assert not host.layout.set(second.set).exists()
    assert second.set not in {each.set for each in life.world.processes.values()}


def test_what_was_never_here_and_is_deleted_does_not_come_either(life: Life) -> None:
    life.desired = placed(shop({}))
    bury(life, 1)
    with pytest.raises(Conflict):
        take_set(life.agent.host, life.desired)
    assert gone(life) == [1]


def test_a_generation_after_the_tombstone_s_is_another_set(life: Life) -> None:
    life.desired = placed(shop({}))
    bury(life, 1)
    life.take(replace(life.desired, generation=2))
    assert not gone(life)
    life.quiet()
    assert life.desired.set in {each.set for each in life.world.processes.values()}


@pytest.mark.parametrize("point", ["stop:end", "dismantle:end", "forget:end"])
def test_the_latest_tombstone_counts_in_whatever_order_they_come(life: Life, point: str) -> None:
    life.take(placed(shop({})))
    life.quiet()
    bury(life, 2)

    def reach(name: str) -> None:
        for generation in (5, 3) if name == point else ():
            bury(life, generation)

    points.listen(reach)
    life.quiet()
    assert gone(life) == [5]
