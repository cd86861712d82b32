"""Plans of what shall run: prepared, made, started in order, until all are ready."""

import json
from collections.abc import Callable

import pytest

from hostagent.readings import Reading
from hostagent.reconcile import plan
from setspec.desired import Level
from support.sightings import (
    CREATED,
    ENDED,
    NETWORK,
    NOW,
    ONE_SECOND,
    REMOVED,
    STARTED,
    Case,
    Sight,
    steps_for,
)

PROBED = {"readiness": {"tcp": {"port": 80}, "min_ready_s": 1, "ready_timeout_s": 60}}


def reading(sight: Sight, since: float | None, looked_at: float = NOW - 2) -> Sight:
    return sight.but(readings={"a0": Reading(looked_at, since)})


def lost() -> Sight:
    return Sight().but(is_pinned=False)


BEGINNING: dict[str, Case] = {
    "a new set": (
        lambda: lost().row(prepared=None, volumes=None, network=None),
        ["prepare", "make-volumes", "pin-namespaces"],
    ),
    "somebody has unmounted a volume": (
        lambda: Sight().ready("c0").attempt("c1", REMOVED).but(has_open_volumes=False),
        ["make-volumes"],
    ),
    "nor can it be mounted": (
        lambda: Sight().ready("c0").but(has_open_volumes=False).trouble("make-volumes"),
        [],
    ),
    "its images are not here": (lambda: Sight().row(prepared=None), ["prepare"]),
    "those of another generation are": (
        lambda: Sight().row(prepared=json.dumps({"generation": 0, "images": {}})),
        ["prepare"],
    ),
    "no port yet": (lambda: Sight(networks=NETWORK).row(network=None), ["attach-network"]),
    "an interface was taken away": (
        lambda: Sight(networks=NETWORK).ready("c0", "c1").but(has_links=False),
        ["attach-network"],
    ),
    "all is prepared": (Sight, ["create c0", "create c1"]),
    "one is made": (lambda: Sight().attempt("c0", CREATED), ["create c1"]),
    "both are made": (
        lambda: Sight().attempt("c0", CREATED).attempt("c1", CREATED),
        ["start a0"],
    ),
    "both are made, and only that is asked for": (
        lambda: Sight().attempt("c0", CREATED).attempt("c1", CREATED).level(Level.CREATED),
        [],
    ),
    "the first runs": (
        lambda: Sight(ONE_SECOND, {}).attempt("c0", STARTED, started_at=NOW - 0.5)
        .attempt("c1", CREATED),
        [],
    ),
    "the first has run long enough": (
        lambda: Sight(ONE_SECOND, {}).attempt("c0", STARTED, started_at=NOW - 1.0)
        .attempt("c1", CREATED),
        ["note-ready a0"],
    ),
    "the first is ready": (
        lambda: Sight().ready("c0").attempt("c1", CREATED),
        ["start a1"],
    ),
    "nobody has looked whether it is ready": (
        lambda: Sight(PROBED, {}).attempt("c0", STARTED).attempt("c1", CREATED),
        ["probe a0"],
    ),
    "it was not ready at the last look, a while ago": (
        lambda: reading(Sight(PROBED, {}).attempt("c0", STARTED).attempt("c1", CREATED), None),
        ["probe a0"],
    ),
    "it was not ready just now": (
        lambda: reading(
            Sight(PROBED, {}).attempt("c0", STARTED).attempt("c1", CREATED), None, NOW - 0.5
        ),
        [],
    ),
    "it has stayed ready": (
        lambda: reading(
            Sight(PROBED, {}).attempt("c0", STARTED).attempt("c1", CREATED), NOW - 1, NOW - 0.5
        ),
        ["note-ready a0"],
    ),
    "all are ready": (lambda: Sight().ready("c0", "c1"), ["release-images"]),
    "all are ready, and former images let go": (
        lambda: Sight().ready("c0", "c1").row(
            prepared=json.dumps({**json.loads(Sight().seen.row.prepared or ""), "released": True})
        ),
        [],
    ),
    "a reboot holds it": (lambda: Sight().row(held="the host was rebooted"), []),
    "namespaces are gone, and with them what was in them": (
        lambda: lost().attempt("c0", ENDED).attempt("c1", CREATED, alive=False),
        ["note-exit a1"],
    ),
    "namespaces are gone, remains are left": (
        lambda: lost().attempt("c0", ENDED).attempt("c1", ENDED),
        ["remove a0", "remove a1"],
    ),
    "namespaces were unmounted under what runs": (
        lambda: lost().ready("c0").attempt("c1", ENDED),
        ["remove a1"],
    ),
    "namespaces were unmounted, and all that is left runs": (
        lambda: lost().ready("c0", "c1"),
        ["pin-namespaces"],
    ),
    "it shall be in another network": (
        lambda: lost().ready("c0", "c1").but(is_elsewhere=True),
        ["rest", "stop a1"],
    ),
    "it shall be in another network, and has rested": (
        lambda: lost().attempt("c0", STARTED).attempt("c1", ENDED).but(is_elsewhere=True),
        ["remove a1"],
    ),
    "it shall be in another network, and is frozen": (
        lambda: lost().ready("c0", "c1").but(is_elsewhere=True, is_frozen=True),
        ["thaw"],
    ),
    "it shall be in another network, and is suspended": (
        lambda: lost().ready("c0", "c1").level(Level.SUSPENDED)
        .but(is_elsewhere=True, is_frozen=True),
        [],
    ),
    "it shall be in another network, with other images that are not here": (
        lambda: lost().ready("c0", "c1").row(prepared=None).but(is_elsewhere=True),
        ["prepare"],
    ),
    "nothing is left in another network": (
        lambda: lost().attempt("c0", REMOVED).attempt("c1", REMOVED).but(is_elsewhere=True),
        ["pin-namespaces"],
    ),
    "what runs has none that could be pinned": (
        lambda: lost().ready("c0", "c1").trouble("pin-namespaces", count=2),
        ["stop a1"],
    ),
    "namespaces are gone, nothing is left": (
        lambda: lost().attempt("c0", REMOVED).attempt("c1", REMOVED),
        ["pin-namespaces"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", BEGINNING)
def test_what_is_done(name: str) -> None:
    make, expected = BEGINNING[name]
    assert steps_for(make()) == expected


WAKES: dict[str, tuple[Callable[[], Sight], float]] = {
    "being ready long enough": (
        lambda: (
            Sight(ONE_SECOND, {})
            .attempt("c0", STARTED, started_at=NOW - 0.25)
            .attempt("c1", CREATED)
        ),
        NOW + 0.75,
    ),
    "the next look at what has just begun": (
        lambda: reading(
            Sight(PROBED, {}).attempt("c0", STARTED, started_at=NOW - 0.3).attempt("c1", CREATED),
            None,
            NOW - 0.1,
        ),
        NOW + 0.1,
    ),
    "the next look": (
        lambda: reading(
            Sight(PROBED, {}).attempt("c0", STARTED).attempt("c1", CREATED), None, NOW - 0.25
        ),
        NOW + 0.75,
    ),
}


@pytest.mark.parametrize("name", WAKES)
def test_when_it_is_looked_at_again(name: str) -> None:
    make, moment = WAKES[name]
    assert plan(make().seen).wake_at == pytest.approx(moment)
