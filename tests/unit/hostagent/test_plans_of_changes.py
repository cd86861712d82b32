"""Plans of what runs and is not as its document says: limits, images, containers."""

from typing import Any

import pytest

from support.sightings import (
    CREATED,
    ENDED,
    INTENDED,
    NOW,
    ONE_SECOND,
    REMOVED,
    STARTED,
    Case,
    Sight,
    steps_for,
)


def gray(state: Any = None, **fields: Any) -> Sight:
    """A gray update of c0 under way: the former runs, the new one is at *state*."""
    sight = Sight().ready("c0", "c1").wants({"image": "shop:2"}, {})
    if state is None:
        return sight
    return sight.attempt("c0", state, role="next", **fields).container("c0", good="a0")


CHANGES: dict[str, Case] = {
    "limits": (
        lambda: Sight().ready("c0", "c1").wants({"mem": "64Mi"}, {}),
        ["update a0"],
    ),
    "another image": (gray, ["create c0"]),
    "what replaces it cannot be made": (
        lambda: gray(INTENDED, alive=False).trouble("create c0", count=3),
        ["roll-back n0"],
    ),
    "what replaces it could not be made yet": (
        lambda: gray(INTENDED, alive=False).trouble("create c0", count=2),
        ["remove n0"],
    ),
    "an agent died while it made what replaces it, and the remains cannot be removed yet": (
        lambda: gray(INTENDED, alive=False).trouble("remove n0"),
        [],
    ),
    "what replaces it could not be made once, and the remains cannot be removed yet": (
        lambda: gray(INTENDED, alive=False).trouble("create c0").trouble("remove n0"),
        [],
    ),
    "what replaces it is made": (lambda: gray(CREATED), ["stop a0"]),
    "what replaces it could not be started yet": (
        lambda: gray(CREATED).attempt("c0", ENDED).trouble("start n0", count=2, wait=-1),
        ["start n0"],
    ),
    "what replaces it cannot be started": (
        lambda: gray(CREATED).attempt("c0", ENDED).trouble("start n0", count=3),
        ["roll-back n0"],
    ),
    "what replaces it runs": (
        lambda: gray(STARTED, started_at=NOW).attempt("c0", ENDED).wants(
            {"image": "shop:2", **ONE_SECOND}, {}
        ),
        ["note-ready n0"],
    ),
    "what replaces it is ready": (
        lambda: gray(STARTED, ready_at=NOW).attempt("c0", ENDED),
        ["promote n0"],
    ),
    "what replaces it has ended, and that could not be written down yet": (
        lambda: gray(STARTED, started_at=NOW - 9, alive=False).trouble("note-exit n0")
        .attempt("c0", ENDED),
        [],
    ),
    "what replaces it has ended": (
        lambda: gray(ENDED).attempt("c0", ENDED),
        ["roll-back n0"],
    ),
    "what replaces it has ended, made for a document before this one": (
        lambda: gray(ENDED, generation=1).attempt("c0", ENDED),
        ["remove n0"],
    ),
    "what replaces it, made for a document before this one, is not ready in time": (
        lambda: gray(STARTED, generation=1, started_at=NOW - 999).wants(
            {"image": "shop:2", "readiness": {"tcp": {"port": 80}}}, {}
        ).attempt("c0", STARTED, role="next", generation=1, started_at=NOW - 999)
        .attempt("c0", ENDED, recipe="of the first"),
        ["stop n0"],
    ),
    "what replaces it was ended by a stop, or with the host: that does not speak against it": (
        lambda: gray(ENDED, stopping_at=0.0).attempt("c0", ENDED),
        ["remove n0"],
    ),
    "what replaces it was told to stop, and runs": (
        lambda: gray(STARTED, stopping_at=NOW - 1, signalled=True).attempt("c0", ENDED),
        [],
    ),
    "it was restarted meanwhile with what failed then: that is not kept": (
        lambda: gray().but(attempts={}).attempt("c0", CREATED, role="next").ready("c1")
        .attempt("c0", REMOVED, recipe="of the first").container(
            "c0", current="n0", next=None, good="a0", failed_generation=2
        ),
        ["remove n0"],
    ),
    "it was rolled back": (
        lambda: gray(ENDED).container("c0", failed_generation=2).attempt("c0", ENDED),
        ["remove n0"],
    ),
    "what replaces it is overtaken": (
        lambda: gray(CREATED).wants({"image": "shop:3"}, {}),
        ["remove n0"],
    ),
    "it is not started yet, and another image is wanted": (
        lambda: Sight().attempt("c0", CREATED).attempt("c1", CREATED)
        .wants({"image": "shop:2"}, {}),
        ["remove a0"],
    ),
    "another one has failed in this generation": (
        lambda: gray().container("c1", failed_generation=2, good="a1"),
        [],
    ),
    "a container more": (
        lambda: Sight().ready("c0", "c1").wants({}, {}, {}),
        ["create c2"],
    ),
    "a container less": (
        lambda: Sight().ready("c0", "c1").wants({}),
        ["stop a1"],
    ),
    "a container less, of which nothing is left": (
        lambda: Sight().ready("c0").attempt("c1", REMOVED).wants({}),
        ["forget-container c1"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CHANGES)
def test_what_is_done(name: str) -> None:
    make, expected = CHANGES[name]
    assert steps_for(make()) == expected
