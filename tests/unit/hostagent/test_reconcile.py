"""Plans, as tables: what there is and should be, and what is done about it. No host is touched."""

import copy
import itertools
import json
from collections.abc import Callable
from typing import Any

import pytest

from hostagent.attempt_steps import Create, Kill, Start
from hostagent.login_steps import CreateLogin
from hostagent.readings import Reading
from hostagent.reconcile import plan
from hostagent.seen import Seen
from hostagent.set_steps import AttachNetwork, PinNamespaces, Prepare
from setspec.desired import Level
from support.sightings import CREATED, ENDED, INTENDED, NOW, REMOVED, STARTED, Sight

NETWORK = [{"name": "default"}]
SSH = {"container": "c0", "password": "correct horse"}
ONE_SECOND = {"readiness": {"min_ready_s": 1}}
PROBED = {"readiness": {"tcp": {"port": 80}, "min_ready_s": 1, "ready_timeout_s": 60}}
Case = tuple[Callable[[], Sight], list[str]]


def policy(name: str) -> dict[str, Any]:
    return {"restart": {"policy": name}}


def reading(sight: Sight, since: float | None, looked_at: float = NOW - 2) -> Sight:
    return sight.but(readings={"a0": Reading(looked_at, since)})


def gray(state: Any = None, **fields: Any) -> Sight:
    """A gray update of c0 under way: the former runs, the new one is at *state*."""
    sight = Sight().ready("c0", "c1").wants({"image": "shop:2"}, {})
    if state is None:
        return sight
    return sight.attempt("c0", state, role="next", **fields).container("c0", good="a0")


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
    "it shall go on": (
        lambda: Sight().ready("c0", "c1").but(is_frozen=True),
        ["thaw"],
    ),
    "it shall be gone": (lambda: Sight().ready("c0", "c1").row(tombstone=1), ["stop a1"]),
    "it is frozen, and shall be gone": (
        lambda: Sight().ready("c0", "c1").row(tombstone=1).but(is_frozen=True),
        ["kill a0", "kill a1", "thaw"],
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
    "what replaces it is made": (lambda: gray(CREATED), ["stop a0"]),
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
    "what replaces it has ended": (
        lambda: gray(ENDED).attempt("c0", ENDED),
        ["roll-back n0"],
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

OPERATIONS: dict[str, Case] = {
    "restart": (lambda: Sight().ready("c0", "c1").operation("restart"), ["begin-operation op"]),
    "restart, begun: the last one first": (
        lambda: Sight().ready("c0", "c1").operation("restart", targets=("c0", "c1")),
        ["stop a1"],
    ),
    "restart, and it has ended": (
        lambda: Sight().ready("c0").attempt("c1", ENDED).operation("restart", targets=("c1",)),
        ["remove a1"],
    ),
    "restart of what does not run": (
        lambda: Sight().level(Level.STOPPED).operation("restart"),
        ["end-operation op"],
    ),
    "restart of what is not there": (
        lambda: Sight().ready("c0", "c1").operation("restart", {"containers": ["c9"]}),
        ["end-operation op"],
    ),
    "sync-status": (
        lambda: Sight().ready("c0", "c1").operation("sync-status"),
        ["end-operation op"],
    ),
    "sync-status where an interface is gone: it is mended first": (
        lambda: Sight(networks=NETWORK).ready("c0", "c1").but(has_links=False)
        .operation("sync-status"),
        ["attach-network"],
    ),
    "deploy": (
        lambda: Sight().ready("c0", "c1").operation("deploy", {"container": "c0", "files": []}),
        ["deploy-files op"],
    ),
    "set-password where nobody is let in": (
        lambda: Sight().ready("c0", "c1").operation("set-password", {"password": {}}),
        ["end-operation op"],
    ),
    "set-password": (
        lambda: Sight(networks=NETWORK, ssh=SSH).ready("c0", "c1").sshd(STARTED, ready_at=NOW)
        .operation("set-password", {"password": {"secret_ref": "x"}}),
        ["change-password op"],
    ),
    "what this host does not do": (
        lambda: Sight().ready("c0", "c1").operation("snapshot", {"container": "c0"}),
        ["end-operation op"],
    ),
}  # fmt: skip


def login(*ready: str) -> Sight:
    return Sight(networks=NETWORK, ssh=SSH).ready(*ready)


LOGINS: dict[str, Case] = {
    "its container does not run yet": (
        lambda: login().attempt("c0", CREATED).attempt("c1", CREATED),
        ["start a0"],
    ),
    "its container runs, before the others do": (
        lambda: login().attempt("c0", STARTED, started_at=NOW).attempt("c1", CREATED),
        ["create-login _ssh", "note-ready a0"],
    ),
    "sshd is made": (lambda: login("c0", "c1").sshd(CREATED), ["start a_ssh"]),
    "sshd runs": (
        lambda: login("c0", "c1").sshd(STARTED),
        ["probe a_ssh"],
    ),
    "sshd has ended by itself": (
        lambda: login("c0", "c1").sshd(ENDED),
        ["remove a_ssh"],
    ),
    "its container was started anew": (
        lambda: login("c0", "c1").sshd(ENDED, recipe="beside another attempt", ended_at=NOW),
        ["remove a_ssh"],
    ),
    "nobody shall be let in any more": (
        lambda: login("c0", "c1").sshd(STARTED, ready_at=NOW).wants({}, {}, networks=NETWORK),
        ["stop a_ssh"],
    ),
    "it shall be stopped: sshd first": (
        lambda: login("c0", "c1").sshd(STARTED, ready_at=NOW).level(Level.STOPPED),
        ["stop a_ssh"],
    ),
    "it shall be stopped, and sshd is gone": (
        lambda: login("c0", "c1").sshd(REMOVED).level(Level.STOPPED),
        ["stop a1"],
    ),
}  # fmt: skip

TABLES = {
    f"{table}: {name}": case
    for table, cases in {
        "beginning": BEGINNING, "rows": ROWS, "ends": ENDS, "levels": LEVELS,
        "changes": CHANGES, "operations": OPERATIONS, "ssh": LOGINS,
    }.items()
    for name, case in cases.items()
}  # fmt: skip


@pytest.mark.parametrize("name", TABLES)
def test_what_is_done(name: str) -> None:
    make, expected = TABLES[name]
    assert [step.key for step in plan(make().seen).steps] == expected


WAKES: dict[str, tuple[Callable[[], Sight], float]] = {
    "a grace": (lambda: signalled(1), NOW + 2),
    "a kill that was not enough": (lambda: signalled(9), NOW + 1),
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


STATES = (None, INTENDED, CREATED, STARTED, ENDED, REMOVED)


def all_sights() -> list[Seen]:
    """Every way in which two containers, a level and the host's remains may come together."""
    found = []
    base = Sight(networks=NETWORK)
    for first, second, level, is_frozen, tombstone, held, ends in itertools.product(
        STATES, STATES, Level, (False, True), (None, 1), (None, "held"), ("alive", "dead", "ill")
    ):
        sight = copy.copy(base)
        for name, state in (("c0", first), ("c1", second)):
            if state is not None:
                runs = state in {CREATED, STARTED} and ends != "dead"
                sight.attempt(name, state, alive=runs)
        if ends == "ill":
            sight.but(monitored=frozenset())
        found.append(sight.level(level).row(tombstone=tombstone, held=held).but(
            is_frozen=is_frozen).seen)  # fmt: skip
    return found


def test_whatever_there_is_a_plan_does_no_harm() -> None:
    sights = all_sights()
    assert len(sights) == 6 * 6 * 4 * 2 * 2 * 2 * 3
    for seen in sights:
        steps = plan(seen).steps
        keys = [step.key for step in steps]
        assert len(keys) == len(set(keys))
        is_to_run = not seen.is_gone and not seen.row.held and seen.desired.level in {
            Level.RUNNING, Level.CREATED,
        }  # fmt: skip
        for step in steps:
            if isinstance(step, Create | Prepare | PinNamespaces | AttachNetwork | CreateLogin):
                assert is_to_run, keys
            if isinstance(step, Start):
                assert is_to_run, keys
                assert seen.desired.level is Level.RUNNING
                assert seen.attempts[step.attempt].state is CREATED
                assert step.attempt in seen.alive & seen.monitored
            if isinstance(step, Kill):
                assert seen.is_gone, keys
                assert seen.is_frozen
