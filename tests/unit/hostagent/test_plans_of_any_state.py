"""Plans of whatever may be seen, drawn by seeds beyond what any life comes to."""

import copy
import json
import random
from dataclasses import replace
from functools import cache
from typing import Any

import pytest

from hostagent import attempt_steps as attempts
from hostagent import gray_steps as gray
from hostagent import recipes, reconcile, running
from hostagent import set_steps as sets
from hostagent.login_steps import CreateLogin
from hostagent.readings import Reading
from hostagent.recipes import SSH
from hostagent.reconcile import plan
from hostagent.records import AttemptState, OperationRow, OperationState, Trouble
from hostagent.seen import Seen
from hostagent.step import AttemptStep
from setspec.desired import Level
from support.sightings import CREATED, ENDED, INTENDED, LOGIN, NETWORK, NOW, REMOVED, STARTED, Sight

DRAWN = 4000
STATES = (INTENDED, CREATED, STARTED, STARTED, ENDED, REMOVED)
KINDS = ("restart", "rebuild_disk", "deploy", "set-password", "sync-status", "snapshot")
PROBED = {"readiness": {"tcp": {"port": 80}}}
POLICIES = ("always", "on-failure", "never")


@cache
def base(containers: int, *, lets_in: bool) -> Sight:
    """A set of which there is nothing yet, at its second generation."""
    documents: list[dict[str, Any]] = [
        {**(PROBED if number % 2 else {}), "restart": {"policy": POLICIES[number % 3]}}
        for number in range(containers)
    ]
    more: dict[str, Any] = {"networks": NETWORK, **({"ssh": LOGIN} if lets_in else {})}
    return Sight(*documents, **more).wants(*documents, **more)


class Drawing:
    """One seen state; what a row's state says of its other fields holds, and no more."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        lets_in = self.chance(0.3)
        self.sight = copy.copy(base(self.random.randint(1, 4), lets_in=lets_in))
        names = [name for name, _ in self.sight.seen.workloads]
        if len(names) > 1 and self.chance(0.2):  # and one that the document has no more
            self.sight.wants(*({} for _ in names[1:]), networks=NETWORK)
        for name in names:
            self.draw_container(name)
        if lets_in and self.sight.seen.desired.spec.ssh and self.sight.seen.current("c0"):
            self.sight.sshd(self.pick(*STATES), alive=self.chance(0.7), ready_at=NOW - 1)
        self.draw_rest(names)

    def pick(self, *choices: Any) -> Any:
        return self.random.choice(choices)

    def chance(self, of: float) -> bool:
        return self.random.random() < of

    def draw_container(self, name: str) -> None:
        known = name in dict(self.sight.seen.workloads)
        for role in ("next", "current"):
            if self.chance(0.9 if role == "current" else 0.3):
                self.draw_attempt(name, role, known=known)
        row = self.sight.seen.container(name)
        self.sight.container(
            name, good=self.pick(None, row.current), was_ready=self.chance(0.5),
            failed_generation=self.pick(None, None, 1, 2), crashes=self.pick(0, 1, 5),
        )  # fmt: skip

    def draw_attempt(self, name: str, role: str, *, known: bool) -> None:
        state = self.pick(*(STATES if role == "current" else STATES[:-1]))
        is_asked = self.chance(0.3) and state in {STARTED, ENDED}
        fields: dict[str, Any] = {
            "stopping_at": NOW - self.pick(0, 1, 99) if is_asked else None,
            "signalled": is_asked and self.chance(0.8),
            "ready_at": NOW - 50 if state in {STARTED, ENDED} and self.chance(0.5) else None,
            "exit_known": self.chance(0.8), "exit_code": self.pick(0, 1),
        }  # fmt: skip
        if state is STARTED:
            fields["started_at"] = NOW - self.pick(0.0, 0.5, 30.0, 999.0)
        if self.chance(0.4):
            fields["recipe"] = "of another generation"
        if known:
            runs = state in {CREATED, STARTED} and self.chance(0.8)
            self.sight.attempt(name, state, role=role, alive=runs, **fields)

    def draw_rest(self, names: list[str]) -> None:
        seen = self.sight.seen
        ids = sorted(seen.attempts)
        dead = {each for each in ids if each not in seen.alive}
        keys = [f"{step} {id_}" for id_ in ids for step in ("remove", "stop", "kill", "note-exit")]
        keys += [f"create {name}" for name in names]
        # What an agent has died of often cannot be removed yet, which few plans have to do with.
        intended = [each for each in ids if seen.attempts[each].state is INTENDED]
        keys += [f"remove {each}" for each in intended for _ in range(9)]
        keys += ["thaw", "freeze", "prepare", "make-volumes", "pin-namespaces", "attach-network"]
        self.sight.but(
            monitored=frozenset(each for each in ids if self.chance(0.8)),
            exits=frozenset(each for each in dead if self.chance(0.5)),
            readings={each: Reading(NOW - self.pick(0.0, 0.5, 9.0), self.pick(None, NOW - 9))
                      for each in ids if self.chance(0.5)},
            is_pinned=self.chance(0.9), is_elsewhere=self.chance(0.1),
            has_links=self.chance(0.9), has_open_volumes=self.chance(0.9),
            is_frozen=self.chance(0.2), is_dismantled=self.chance(0.1),
            operations=tuple(self.operation(n, names) for n in range(self.pick(0, 0, 1, 2))),
            troubles={key: self.trouble(key) for key in keys if self.chance(0.1)},
        ).row(
            tombstone=self.pick(None, None, None, 2), held=self.pick(None, None, None, "held"),
            prepared=seen.row.prepared if self.chance(0.9) else None,
        ).level(self.pick(*Level, Level.RUNNING, Level.RUNNING))  # fmt: skip

    def operation(self, number: int, names: list[str]) -> OperationRow:
        some = self.random.sample(names, self.random.randint(1, len(names)))
        former = {name: self.pick(None, f"a{name[1:]}", "gone") for name in some}
        kind, is_begun = self.pick(*KINDS), self.chance(0.5)
        args = {"containers": some} if kind in {"restart", "rebuild_disk"} else {}
        return OperationRow(
            id=f"op{number}", set=self.sight.desired.set, kind=kind, args=json.dumps(args),
            state=OperationState.RUNNING if is_begun else OperationState.PENDING,
            targets=json.dumps(former) if is_begun else None,
        )  # fmt: skip

    def trouble(self, key: str) -> Trouble:
        retry_at = NOW + self.pick(-1.0, 5.0)
        count = self.random.randint(1, 4)
        return Trouble(
            set=self.sight.desired.set, step=key, text="it failed", count=count, retry_at=retry_at
        )


def check(seen: Seen) -> None:
    """What holds for every plan."""
    found = plan(seen)
    assert found == plan(replace(seen))
    keys = [step.key for step in found.steps]
    assert len(keys) == len(set(keys)), keys
    assert not [key for key in keys if key in seen.troubles and seen.troubles[key].retry_at > NOW]
    assert found.wake_at is None or found.wake_at > NOW or found.steps
    fates = [
        step.attempt for step in found.steps
        if isinstance(step, attempts.Start | attempts.Stop | attempts.Kill | attempts.Remove)
    ]  # fmt: skip
    assert len(fates) == len(set(fates)), "two things are done to one attempt"
    for step in found.steps:
        check_needs(seen, step)
    if not found.steps and found.wake_at is None:
        check_rest(seen)


def check_needs(seen: Seen, step: object) -> None:
    """What a step needs is there."""
    if isinstance(step, attempts.Create | CreateLogin):
        assert seen.is_pinned
        assert seen.is_attached
        assert seen.has_open_volumes
        if isinstance(step, attempts.Create):
            assert step.replaces == (seen.current(step.container) is not None)
            check_recipe(seen, step)
    elif isinstance(step, AttemptStep):
        attempt = seen.attempts[step.attempt]
        row = seen.container(attempt.container)
        if isinstance(step, attempts.Start):
            assert attempt.state is CREATED
            assert attempt.id in seen.alive
            # Where its removal has to wait, the step itself says no.
            assert attempt.id in seen.monitored or f"remove {attempt.id}" in seen.troubles
        elif isinstance(
            step, attempts.Probe | attempts.Stop | attempts.Update | attempts.NoteReady
        ):
            assert seen.runs(attempt)
        elif isinstance(step, gray.Promote):
            assert seen.runs(attempt)
            assert (row.next, attempt.ready_at is None) == (attempt.id, False)
        elif isinstance(step, gray.RollBack):
            assert row.next == attempt.id
            assert row.failed_generation != step.generation == seen.row.generation
        elif isinstance(step, attempts.Remove):
            check_remove(seen, step)
    elif isinstance(step, sets.Freeze | sets.Thaw):
        assert seen.is_frozen == isinstance(step, sets.Thaw)


def check_recipe(seen: Seen, step: attempts.Create) -> None:
    """What is made has a way back, where there was something, and is of nothing that has failed."""
    recipe = seen.wanted(step.container) if step.replaces else seen.anew(step.container)
    assert recipe is not None
    row = seen.container(step.container)
    former = [each for each in (row.current, row.good) if each is not None]
    own = {seen.attempts[each].recipe for each in former if each in seen.attempts}
    has_failed = any(
        each.failed_generation == seen.row.generation for each in seen.containers.values()
    )
    if own and (has_failed or (row.was_ready and not step.replaces)):
        assert recipe.fingerprint in own
        assert not step.replaces


def check_remove(seen: Seen, step: attempts.Remove) -> None:
    """What runs as it should is asked to end first, and nobody's disk is taken."""
    attempt = seen.attempts[step.attempt]
    row = seen.container(attempt.container)
    if seen.runs(attempt) and attempt.container != SSH:
        assert attempt.id != row.current
    if step.disk:
        twins = [each for each in seen.attempts.values() if each.disk == attempt.disk]
        assert twins == [attempt]


def check_rest(seen: Seen) -> None:
    """Where nothing is to be done, ever, nothing is half done."""
    for attempt in seen.attempts.values():
        assert attempt.state is not AttemptState.INTENDED
        assert attempt.state not in {CREATED, STARTED} or attempt.id in seen.alive
    assert not seen.is_gone
    if seen.row.held or seen.desired.level is Level.STOPPED:
        assert not [each for each in seen.attempts.values() if each.exists]
    elif seen.desired.level is not Level.SUSPENDED:
        assert not seen.is_frozen
        assert seen.is_prepared
        assert seen.has_volumes
        assert all(seen.current(name) for name, _ in seen.workloads)
        assert not [each for each in seen.operations if each.state is OperationState.PENDING]


def check_all() -> None:
    for seed in range(DRAWN):
        seen = Drawing(seed).sight.seen
        try:
            check(seen)
        except Exception as error:
            error.add_note(
                f"seed {seed}: {plan(seen) if isinstance(error, AssertionError) else ''}"
            )
            raise


def test_whatever_is_seen_has_a_plan_that_can_be_carried_out_and_does_no_harm() -> None:
    check_all()


def test_a_plan_that_raises_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """As it did where an agent had died making what replaces a container, and left remains."""
    monkeypatch.setattr(running, "gives_up", lambda *_: True)
    with pytest.raises(KeyError):
        check_all()


def test_a_plan_that_starts_what_nobody_watches_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reconcile, "_mend", lambda _: False)
    with pytest.raises(AssertionError):
        check_all()


def test_a_plan_that_removes_what_runs_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def end(draft: Any, attempt: Any, *, disk: bool = False) -> None:
        draft.add(attempts.Remove(attempt.set, attempt.id, disk=disk))

    monkeypatch.setattr(running, "end_attempt", end)
    with pytest.raises(AssertionError):
        check_all()


def test_a_plan_that_makes_what_has_no_way_back_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recipes, "has_failed", lambda *_: False)
    with pytest.raises(AssertionError):
        check_all()
