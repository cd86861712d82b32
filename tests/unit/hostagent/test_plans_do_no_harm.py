"""Plans over every way in which containers, a level and remains may come together."""

import copy
import itertools

from hostagent.attempt_steps import Create, Kill, Start
from hostagent.login_steps import CreateLogin
from hostagent.reconcile import plan
from hostagent.seen import Seen
from hostagent.set_steps import AttachNetwork, PinNamespaces, Prepare
from setspec.desired import Level
from support.sightings import CREATED, ENDED, INTENDED, NETWORK, REMOVED, STARTED, Sight

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
