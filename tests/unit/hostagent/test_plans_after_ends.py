"""Plans of what an agent, a monitor or a container left behind: made good, or started again."""

from collections.abc import Callable
from typing import Any

import pytest

from hostagent.reconcile import plan
from support.sightings import (
    CREATED,
    ENDED,
    INTENDED,
    NOW,
    REMOVED,
    STARTED,
    Case,
    Sight,
    steps_for,
)


def policy(name: str) -> dict[str, Any]:
    return {"restart": {"policy": name}}


ROWS: dict[str, Case] = {
    "an agent died in the middle of making it": (
        lambda: Sight().attempt("c0", INTENDED, alive=False).attempt("c1", CREATED),
        ["remove a0"],
    ),
    "it is made, and its monitor is dead": (
        lambda: Sight().attempt("c0", CREATED).but(monitored=frozenset()),
        ["remove a0"],
    ),
    "it runs, and its monitor is dead": (
        lambda: Sight().ready("c0", "c1").but(monitored=frozenset({"a1"})),
        ["release-images"],
    ),
    "it has ended, and that was written down": (
        lambda: Sight().attempt("c0", STARTED, alive=False).but(exits=frozenset({"a0"})),
        ["note-exit a0"],
    ),
    "it has ended, and nobody saw how": (
        lambda: Sight().attempt("c0", STARTED, alive=False),
        ["note-exit a0"],
    ),
    "it has ended, and its monitor is about to write": (
        lambda: Sight().attempt("c0", STARTED, alive=False).but(monitored=frozenset({"a0"})),
        [],
    ),
    "an attempt that nothing refers to": (
        lambda: Sight().attempt("c0", ENDED).container("c0", current=None).ready("c1"),
        ["remove a0", "create c0"],
    ),
}


ENDS: dict[str, Case] = {
    "it crashed just now": (
        lambda: Sight().attempt("c0", ENDED, ended_at=NOW - 0.5, exit_code=1).ready("c1")
        .container("c0", crashes=1),
        [],
    ),
    "it crashed a while ago": (
        lambda: Sight().attempt("c0", ENDED, ended_at=NOW - 1, exit_code=1).ready("c1")
        .container("c0", crashes=1),
        ["remove a0"],
    ),
    "it crashed a third time, a while ago": (
        lambda: Sight().attempt("c0", ENDED, ended_at=NOW - 3.9, exit_code=1).ready("c1")
        .container("c0", crashes=3),
        [],
    ),
    "it crashed a third time, long enough ago": (
        lambda: Sight().attempt("c0", ENDED, ended_at=NOW - 4, exit_code=1).ready("c1")
        .container("c0", crashes=3),
        ["remove a0"],
    ),
    "its remains are gone": (
        lambda: Sight().attempt("c0", REMOVED).ready("c1"),
        ["create c0"],
    ),
    "it restarts out of turn, as it was ready before": (
        lambda: Sight().attempt("c0", CREATED).attempt("c1", CREATED)
        .container("c1", was_ready=True),
        ["start a0", "start a1"],
    ),
    "it is done, and the next begins": (
        lambda: Sight(policy("never"), {}).attempt("c0", ENDED).attempt("c1", CREATED),
        ["start a1"],
    ),
    "it failed, and is not tried again": (
        lambda: Sight(policy("never"), {}).attempt("c0", ENDED, exit_code=1).attempt("c1", CREATED),
        [],
    ),
    "nobody saw how it ended, and it is not tried again": (
        lambda: Sight(policy("never"), {})
        .attempt("c0", ENDED, exit_code=None, exit_known=False).attempt("c1", CREATED),
        [],
    ),
    "it is tried again on failure, and did not fail": (
        lambda: Sight(policy("on-failure"), {}).attempt("c0", ENDED).attempt("c1", CREATED),
        ["start a1"],
    ),
    "it is tried again on failure, and nobody saw how it ended": (
        lambda: Sight(policy("on-failure"), {})
        .attempt("c0", ENDED, exit_code=None, exit_known=False).attempt("c1", CREATED),
        ["remove a0"],
    ),
    "it was stopped from outside, and shall run": (
        lambda: Sight(policy("never"), {}).attempt("c0", ENDED, stopping_at=NOW - 60).ready("c1"),
        ["remove a0"],
    ),
    "making it has failed just now": (
        lambda: Sight().ready("c1").trouble("create c0"),
        [],
    ),
    "making it has failed a while ago": (
        lambda: Sight().ready("c1").trouble("create c0", wait=-1),
        ["create c0"],
    ),
}  # fmt: skip


CASES = {**ROWS, **ENDS}


@pytest.mark.parametrize("name", CASES)
def test_what_is_done(name: str) -> None:
    make, expected = CASES[name]
    assert steps_for(make()) == expected


WAKES: dict[str, tuple[Callable[[], Sight], float]] = {
    "a back-off": (
        lambda: (
            Sight()
            .attempt("c0", ENDED, ended_at=NOW - 1, exit_code=1)
            .ready("c1")
            .container("c0", crashes=2)
        ),
        NOW + 1,
    ),
    "a back-off at its cap": (
        lambda: (
            Sight()
            .attempt("c0", ENDED, ended_at=NOW - 1, exit_code=1)
            .ready("c1")
            .container("c0", crashes=99)
        ),
        NOW + 59,
    ),
    "a step that has failed": (lambda: Sight().ready("c1").trouble("create c0", wait=7), NOW + 7),
}


@pytest.mark.parametrize("name", WAKES)
def test_when_it_is_looked_at_again(name: str) -> None:
    make, moment = WAKES[name]
    assert plan(make().seen).wake_at == pytest.approx(moment)
