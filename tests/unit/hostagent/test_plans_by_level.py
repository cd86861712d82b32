"""Plans of what shall be stopped, suspended or gone."""

from collections.abc import Callable
from typing import Any

import pytest

from hostagent.reconcile import plan
from setspec.desired import Level
from support.sightings import CREATED, ENDED, NOW, REMOVED, STARTED, Case, Sight, steps_for


def stopping(**fields: Any) -> Sight:
    return Sight().ready("c0", "c1").level(Level.STOPPED).but(**fields)


def signalled(seconds: float) -> Sight:
    sight = Sight().ready("c0").level(Level.STOPPED)
    return sight.attempt("c1", STARTED, stopping_at=NOW - seconds, signalled=True)


LEVELS: dict[str, Case] = {
    "it shall be stopped: the last one first": (stopping, ["stop a1"]),
    "it has not ended within its grace": (lambda: signalled(2.9), []),
    "its grace is over": (lambda: signalled(3), ["kill a1"]),
    "the last one has ended": (
        lambda: Sight().ready("c0").attempt("c1", ENDED).level(Level.STOPPED),
        ["remove a1"],
    ),
    "the last one is gone": (
        lambda: Sight().ready("c0").attempt("c1", REMOVED).level(Level.STOPPED),
        ["stop a0"],
    ),
    "all are gone": (
        lambda: Sight().attempt("c0", REMOVED).container("c0", was_ready=True)
        .attempt("c1", REMOVED).level(Level.STOPPED),
        ["rest"],
    ),
    "it is stopped": (
        lambda: Sight().attempt("c0", REMOVED).attempt("c1", REMOVED).level(Level.STOPPED),
        [],
    ),
    "it is frozen, and shall be stopped": (
        lambda: stopping(is_frozen=True),
        ["stop a1", "thaw"],
    ),
    "it shall be suspended": (
        lambda: Sight().ready("c0", "c1").level(Level.SUSPENDED),
        ["freeze"],
    ),
    "it is suspended": (
        lambda: Sight().ready("c0", "c1").level(Level.SUSPENDED).but(is_frozen=True),
        [],
    ),
    "it shall be suspended, and nothing runs": (
        lambda: Sight().attempt("c0", CREATED).level(Level.SUSPENDED),
        [],
    ),
    "it was told to stop, and shall go on: what was asked to end does so first": (
        lambda: signalled(1).level(Level.RUNNING),
        [],
    ),
    "it was told to stop, shall go on, and its grace is over": (
        lambda: signalled(3).level(Level.RUNNING),
        ["kill a1"],
    ),
    "it shall go on": (
        lambda: Sight().ready("c0", "c1").but(is_frozen=True),
        ["thaw"],
    ),
    "it shall be gone": (lambda: Sight().ready("c0", "c1").row(tombstone=1), ["stop a1"]),
    "it is frozen, and shall be gone": (
        lambda: Sight().ready("c0", "c1").row(tombstone=1).but(is_frozen=True),
        ["kill a0", "kill a1", "thaw"],
    ),
    "it is frozen, shall be gone, and cannot be thawed yet: it was killed already": (
        lambda: Sight().ready("c0").row(tombstone=1).but(is_frozen=True).trouble("thaw"),
        [],
    ),
    "it shall be gone, and nothing runs": (
        lambda: Sight().attempt("c0", REMOVED).row(tombstone=1),
        ["dismantle"],
    ),
    "only its files are left": (
        lambda: Sight().row(tombstone=1).but(is_dismantled=True),
        ["forget"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", LEVELS)
def test_what_is_done(name: str) -> None:
    make, expected = LEVELS[name]
    assert steps_for(make()) == expected


WAKES: dict[str, tuple[Callable[[], Sight], float]] = {
    "a grace": (lambda: signalled(1), NOW + 2),
    "a kill that was not enough": (lambda: signalled(9).trouble("kill a1", wait=1), NOW + 1),
}


@pytest.mark.parametrize("name", WAKES)
def test_when_it_is_looked_at_again(name: str) -> None:
    make, moment = WAKES[name]
    assert plan(make().seen).wake_at == pytest.approx(moment)
