"""A bounded memory, by a clock that stands still."""

import pytest

from registry.auth.keystone.cache import TtlCache
from support.ledgers import Clock


def test_an_answer_is_good_for_its_time(clock: Clock) -> None:
    kept: TtlCache[str, int | None] = TtlCache(3, clock)
    kept.put("a", 1, 60)
    kept.put("b", None, 30)
    clock.now += 30
    assert kept.find("a") == 1
    with pytest.raises(KeyError):
        kept.find("b")
    clock.now += 30
    for _ in range(2):
        with pytest.raises(KeyError):
            kept.find("a")


def test_what_was_put_first_goes_first(clock: Clock) -> None:
    kept: TtlCache[int, int] = TtlCache(3, clock)
    for number in (1, 2, 3, 1, 4):
        kept.put(number, number, 60)
    assert [kept.find(number) for number in (1, 3, 4)] == [1, 3, 4]
    with pytest.raises(KeyError):
        kept.find(2)


def test_what_was_dropped_is_gone(clock: Clock) -> None:
    kept: TtlCache[int, int] = TtlCache(3, clock)
    kept.put(1, 1, 60)
    for _ in range(2):
        kept.drop(1)
    with pytest.raises(KeyError):
        kept.find(1)
