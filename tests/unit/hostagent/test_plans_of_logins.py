"""Plans of sshd beside its container."""

import pytest

from setspec.desired import Level
from support.sightings import (
    CREATED,
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


def login(*ready: str) -> Sight:
    return Sight(networks=NETWORK, ssh=LOGIN).ready(*ready)


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


@pytest.mark.parametrize("name", LOGINS)
def test_what_is_done(name: str) -> None:
    make, expected = LOGINS[name]
    assert steps_for(make()) == expected
