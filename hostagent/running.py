"""Containers that shall run: made, started in order, started again, and replaced (pure)."""

from typing import Final

from hostagent import attempt_steps as attempts
from hostagent import gray_steps as gray
from hostagent.draft import Draft
from hostagent.ending import end_attempt
from hostagent.ends import ended_by_itself, is_done, is_good
from hostagent.login_steps import CreateLogin
from hostagent.recipes import SSH, limits_in, workload_of
from hostagent.records import Attempt, AttemptState
from hostagent.seen import Seen
from hostagent.timing import backoff, ready_since
from runspec.bundle import limits_of
from setspec.desired import Level
from setspec.normal import Workload

TRIES: Final = 3
"""After so many in which its new attempt is not made, or not started, a gray update goes back."""


def make(draft: Draft) -> bool:
    """Every container is there, at least as created; whether that is so."""
    seen = draft.seen
    complete = True
    for name, _ in seen.workloads:
        if seen.current(name) is None:
            complete = False
            if seen.anew(name) is not None:
                draft.add(attempts.Create(seen.row.set, name))
    return complete


def keep(draft: Draft, replaced: str | None) -> None:
    """Start in order; start again what has ended; bring to the document what is not as it says.

    The container that an operation has *replaced* is that one's.
    """
    seen = draft.seen
    first = True
    is_busy = any(row.next for row in seen.containers.values())
    for name, workload in seen.workloads:
        row = seen.container(name)
        current = seen.current(name)
        assert current is not None
        if name == replaced:
            first = False
        elif row.next is not None or (not is_busy and _is_old(seen, name, current)):
            _replace(draft, name, current)
            is_busy = True
            first = False
        elif current.stopping_at is not None and seen.runs(current):
            end_attempt(draft, current)  # it was asked to, which nobody can take back
            first = False
        elif current.state is AttemptState.CREATED:
            if first or row.was_ready:
                draft.add(attempts.Start(seen.row.set, current.id))
            first = first and row.was_ready
        elif current.state is AttemptState.STARTED:
            first = _settle(draft, current, workload) and first
            _resize(draft, name, current)
        else:
            first = _again(draft, name, current, workload) and first


def let_in(draft: Draft) -> None:
    """Sshd beside its container: as long as that runs, and for each run of it anew."""
    seen = draft.seen
    wanted, own = seen.login, seen.current(SSH)
    if seen.desired.spec.ssh is None:  # then it is a container that the set has no more
        return
    if own is None:
        if wanted is not None:
            draft.add(CreateLogin(seen.row.set, SSH))
    elif wanted is None or own.recipe != wanted.fingerprint:
        draft.add(attempts.Remove(seen.row.set, own.id))
    elif own.state is AttemptState.CREATED:
        draft.add(attempts.Start(seen.row.set, own.id))
    elif own.state is AttemptState.STARTED:
        _settle(draft, own, wanted.workload)
    else:
        _again(draft, SSH, own, wanted.workload)


def is_whole(seen: Seen) -> bool:
    """Whether every container runs and is ready, and is as the document says."""
    for name, _ in seen.workloads:
        recipe, current = seen.wanted(name), seen.current(name)
        if recipe is None or current is None or recipe.is_rollback or current.ready_at is None:
            return False
        if recipe.fingerprint != current.recipe or seen.container(name).next is not None:
            return False
    return True


def is_changing(seen: Seen, name: str) -> bool:
    """Whether what a container runs is to be replaced by a gray update, now or with its image."""
    current = seen.current(name)
    if seen.desired.level is not Level.RUNNING or current is None:
        return False
    is_next = seen.wanted(name) is None or seen.container(name).next is not None
    return is_next or _is_old(seen, name, current)


def gives_up(seen: Seen, attempt: Attempt) -> bool:
    """A gray update whose new attempt could not be made is rolled back, not tried for ever."""
    name = attempt.container
    if seen.container(name).next != attempt.id or _failed(seen, name):
        return False
    return seen.failures(f"create {name}") >= TRIES


def _settle(draft: Draft, attempt: Attempt, workload: Workload) -> bool:
    """Whether a container that runs has become ready; looks where it is time to."""
    seen = draft.seen
    if attempt.ready_at is not None:
        return True
    since, look_at = ready_since(attempt, workload, seen.readings.get(attempt.id))
    if look_at is not None:
        if look_at <= seen.now:
            draft.add(attempts.Probe(attempt.set, attempt.id))
        else:
            draft.wake(look_at)
    if since is not None:
        ready_at = since + workload.readiness.min_ready_s
        if seen.now >= ready_at:
            draft.add(attempts.NoteReady(attempt.set, attempt.id))
        else:
            draft.wake(ready_at)
    return False


def _again(draft: Draft, name: str, attempt: Attempt, workload: Workload) -> bool:
    """What has ended is started again as its policy says; whether it has done its work instead."""
    seen = draft.seen
    if is_done(attempt, workload):
        return is_good(attempt)
    is_own = ended_by_itself(attempt)
    again_at = backoff(attempt, workload, seen.container(name).crashes) if is_own else seen.now
    if seen.now >= again_at:
        draft.add(attempts.Remove(attempt.set, attempt.id))
    else:
        draft.wake(again_at)
    return False


def _resize(draft: Draft, name: str, attempt: Attempt) -> None:
    recipe = draft.seen.wanted(name)
    if recipe is not None and recipe.fingerprint == attempt.recipe and not recipe.is_rollback:
        limits = limits_of(recipe.workload)
        if limits_in(attempt.limits) != limits:
            draft.add(attempts.Update(attempt.set, attempt.id, limits))


def _is_old(seen: Seen, name: str, current: Attempt) -> bool:
    """Whether another recipe is wanted than what it was made of."""
    recipe = seen.wanted(name)
    return recipe is not None and recipe.fingerprint != current.recipe


def _failed(seen: Seen, name: str) -> bool:
    return seen.container(name).failed_generation == seen.row.generation


def _replace(draft: Draft, name: str, current: Attempt) -> None:
    """A gray update: the new one is made while the old one runs."""
    seen = draft.seen
    new, recipe = seen.next(name), seen.wanted(name)
    if new is None:
        # Made since another one failed: what goes back is what was good.
        is_fresh = current.state is AttemptState.CREATED and not seen.container(name).was_ready
        if _failed(seen, name) or is_fresh:
            end_attempt(draft, current)  # its disk goes when another one is made
        else:
            draft.add(attempts.Create(current.set, name, replaces=True))
    elif _failed(seen, name) or (recipe is not None and new.recipe != recipe.fingerprint):
        draft.add(attempts.Remove(new.set, new.id, disk=True))  # or a newer one has overtaken it
    elif new.state is AttemptState.INTENDED:
        if gives_up(seen, new):  # or else its remains could not be removed yet
            trouble = seen.troubles[f"create {name}"]
            _roll_back(draft, new, f"cannot be made: {trouble.text}")
    elif new.state is AttemptState.CREATED:
        _change_over(draft, current, new)
    elif new.stopping_at is not None:  # by a stop or a reboot; so it is not to blame
        end_attempt(draft, new, disk=True)
    elif new.state is AttemptState.ENDED:
        how = f"ended with {new.exit_code}" if new.exit_known else "ended, nobody saw how"
        _roll_back(draft, new, f"{how} before it was ready")
    else:
        _trial(draft, new)


def _change_over(draft: Draft, current: Attempt, new: Attempt) -> None:
    """The new one is started as soon as the old one has ended."""
    seen, start = draft.seen, attempts.Start(new.set, new.id)
    if seen.runs(current):
        end_attempt(draft, current)
    elif seen.failures(start.key) >= TRIES:
        _roll_back(draft, new, f"cannot be started: {seen.troubles[start.key].text}")
    else:
        draft.add(start)


def _trial(draft: Draft, new: Attempt) -> None:
    """The new one runs: it becomes ready in time, or is rolled back."""
    workload = workload_of(new.spec)
    if _settle(draft, new, workload):
        draft.add(gray.Promote(new.set, new.id))
        return
    if any(isinstance(step, attempts.NoteReady) for step in draft.steps):
        return
    assert new.started_at is not None
    patience = workload.readiness.ready_timeout_s
    end = new.started_at + patience
    if draft.seen.now >= end:
        draft.steps = []
        _roll_back(draft, new, f"not ready within {patience} s")
    else:
        draft.wake(end)


def _roll_back(draft: Draft, new: Attempt, why: str) -> None:
    """What was made for a generation speaks against no later one, which is tried by its own."""
    generation = draft.seen.row.generation
    if new.generation == generation:
        draft.add(gray.RollBack(new.set, new.id, generation, why))
    else:
        end_attempt(draft, new, disk=True)
