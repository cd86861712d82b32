"""Plans of what shall happen once."""

import pytest

from setspec.desired import Level
from support.sightings import (
    ENDED,
    LOGIN,
    NETWORK,
    NOW,
    REMOVED,
    STARTED,
    Case,
    Sight,
    steps_for,
)

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
    "restart, begun, of a container that the set has no more": (
        lambda: Sight().ready("c0", "c1").operation("restart", targets=("c1",)).wants({})
        .but(attempts={}).ready("c0").container("c1", current=None),
        ["forget-container c1", "end-operation op"],
    ),
    "restart, begun, and the set shall be stopped": (
        lambda: Sight().attempt("c0", REMOVED).operation("restart", targets=("c0",))
        .level(Level.STOPPED),
        ["end-operation op"],
    ),
    "another disk, begun, and the set is suspended": (
        lambda: Sight().ready("c0", "c1").operation("rebuild_disk", targets=("c0",))
        .level(Level.SUSPENDED).but(is_frozen=True),
        ["end-operation op"],
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
        lambda: Sight(networks=NETWORK, ssh=LOGIN).ready("c0", "c1").sshd(STARTED, ready_at=NOW)
        .operation("set-password", {"password": {"secret_ref": "x"}}),
        ["change-password op"],
    ),
    "what this host does not do": (
        lambda: Sight().ready("c0", "c1").operation("snapshot", {"container": "c0"}),
        ["end-operation op"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", OPERATIONS)
def test_what_is_done(name: str) -> None:
    make, expected = OPERATIONS[name]
    assert steps_for(make()) == expected
