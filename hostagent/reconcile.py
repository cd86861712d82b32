"""Desired and observed, to steps (pure): what can be done now, and when to look again.

A plan holds only steps whose conditions hold already; after them everything is looked at anew. So
it does not matter where the last agent died.
"""

from dataclasses import dataclass, field
from typing import Final

from hostagent import attempt_steps as attempts
from hostagent import set_steps as sets
from hostagent.login_steps import CreateLogin
from hostagent.operations import begin, finish, to_replace
from hostagent.recipes import SSH, limits_in, workload_of
from hostagent.records import Attempt, AttemptState
from hostagent.seen import Seen
from hostagent.step import Step
from hostagent.timing import backoff, deadline, ready_since
from runspec.bundle import limits_of
from setspec.desired import Level
from setspec.normal import RestartPolicy, Workload

CREATE_TRIES: Final = 3
"""After so many a gray update is rolled back."""
PIN_TRIES: Final = 2
"""After so many what runs is ended, since nothing of it can be pinned again."""
_KILL_AGAIN: Final = 1.0
_EXIT_PATIENCE: Final = 0.2
"""Seconds, as the next three."""


@dataclass(frozen=True, slots=True)
class Plan:
    """Steps that can be carried out now, one after the other."""

    steps: tuple[Step, ...]
    wake_at: float | None
    """When to look again, if nothing else happens before."""


@dataclass(slots=True)
class _Draft:
    seen: Seen
    steps: list[Step] = field(default_factory=list)
    wakes: list[float] = field(default_factory=list)

    def add(self, step: Step) -> None:
        """Plan *step*, unless it has failed just now; then later."""
        trouble = self.seen.troubles.get(step.key)
        if trouble is not None and trouble.retry_at > self.seen.now:
            self.wakes.append(trouble.retry_at)
        else:
            self.steps.append(step)

    def wake(self, moment: float) -> None:
        self.wakes.append(moment)

    def plan(self) -> Plan:
        return Plan(tuple(self.steps), min(self.wakes, default=None))


def plan(seen: Seen) -> Plan:
    """What is to be done for a set now."""
    draft = _Draft(seen)
    if _mend(draft):
        return draft.plan()
    if seen.is_gone:
        _end(draft)
    elif seen.row.held is not None or seen.desired.level is Level.STOPPED:
        _stop(draft)
    elif seen.desired.level is Level.SUSPENDED:
        _suspend(draft)
    else:
        _run(draft)
    return draft.plan()


def _mend(draft: _Draft) -> bool:
    """Rows that say what is not so: ends that nobody wrote down, attempts that nobody knows.

    Answers whether the rest must wait for that.
    """
    seen = draft.seen
    set_id = seen.row.set
    is_ending = False
    for attempt in seen.attempts.values():
        if attempt.state is AttemptState.INTENDED and not _gives_up(seen, attempt):
            draft.add(attempts.Remove(set_id, attempt.id))
        elif attempt.state in {AttemptState.CREATED, AttemptState.STARTED}:
            if attempt.id in seen.alive:
                if attempt.state is AttemptState.CREATED and attempt.id not in seen.monitored:
                    draft.add(attempts.Remove(set_id, attempt.id))
            elif attempt.id in seen.exits or attempt.id not in seen.monitored:
                draft.add(attempts.NoteExit(set_id, attempt.id))
            else:  # its monitor is about to write down how it ended
                is_ending = True
                draft.wake(seen.now + _EXIT_PATIENCE)
    return is_ending or bool(draft.steps)


def _gives_up(seen: Seen, attempt: Attempt) -> bool:
    """A gray update whose new attempt could not be made is rolled back, not tried for ever."""
    trouble = seen.troubles.get(f"create {attempt.container}")
    is_next = seen.container(attempt.container).next == attempt.id
    return is_next and trouble is not None and trouble.count >= CREATE_TRIES and not _failed(
        seen, attempt.container
    )  # fmt: skip


def _failed(seen: Seen, name: str) -> bool:
    return seen.container(name).failed_generation == seen.row.generation


def _suspend(draft: _Draft) -> None:
    """Frozen if it runs; what does not run stays as it is."""
    seen = draft.seen
    if not seen.is_frozen and any(
        each.state is AttemptState.STARTED for each in seen.attempts.values()
    ):
        draft.add(sets.Freeze(seen.row.set))
    _operate(draft)


def _end(draft: _Draft) -> None:
    """Stop everything, then leave nothing."""
    seen = draft.seen
    set_id = seen.row.set
    if seen.is_frozen:  # what stands still cannot end by itself, and is not waited for
        for attempt in seen.attempts.values():
            if attempt.id in seen.alive:
                draft.add(attempts.Kill(set_id, attempt.id))
        draft.add(sets.Thaw(set_id))
        return
    if not _stop_all(draft):
        return
    draft.add(sets.Forget(set_id) if seen.is_dismantled else sets.Dismantle(set_id))


def _stop(draft: _Draft) -> None:
    """Stop everything; disks, ports and volumes stay."""
    seen = draft.seen
    if seen.is_frozen:
        names = [name for name, _ in reversed(seen.workloads)]
        first = next(
            (each for name in names for each in seen.of(name) if each.id in seen.alive), None
        )
        if first is not None and not first.signalled:
            draft.add(attempts.Stop(seen.row.set, first.id))
        draft.add(sets.Thaw(seen.row.set))
        return
    if _stop_all(draft):
        _rest(draft)
        _operate(draft)


def _rest(draft: _Draft) -> None:
    """At the next start containers start in order again."""
    if any(each.was_ready or each.crashes for each in draft.seen.containers.values()):
        draft.add(sets.Rest(draft.seen.row.set))


def _stop_all(draft: _Draft) -> bool:
    """Stop containers in the reverse of their order; whether nothing is left of them."""
    seen = draft.seen
    names = [name for name, _ in seen.workloads]
    former = [name for name in seen.containers if name not in names]
    return all(_stop_container(draft, name) for name in (*former, *reversed(names)))


def _stop_container(draft: _Draft, name: str) -> bool:
    """End a container's attempts and remove them; whether that is done."""
    for attempt in draft.seen.of(name):
        if attempt.id in draft.seen.alive and attempt.state is AttemptState.STARTED:
            _end_attempt(draft, attempt)
        else:
            draft.add(attempts.Remove(attempt.set, attempt.id))
    return not draft.seen.of(name)


def _end_attempt(draft: _Draft, attempt: Attempt) -> None:
    """Ask it to end, and kill it when its grace is over."""
    seen = draft.seen
    if not attempt.signalled:
        draft.add(attempts.Stop(attempt.set, attempt.id))
        return
    end = deadline(attempt)
    if seen.now >= end:
        draft.add(attempts.Kill(attempt.set, attempt.id))
        draft.wake(seen.now + _KILL_AGAIN)
    else:
        draft.wake(end)


def _run(draft: _Draft) -> None:
    """Everything is made, then started in order, then kept running and kept as it should be."""
    seen = draft.seen
    set_id = seen.row.set
    if seen.is_frozen:
        draft.add(sets.Thaw(set_id))
        return
    if not seen.is_prepared:
        draft.add(sets.Prepare(set_id))
    if not seen.has_volumes:
        draft.add(sets.MakeVolumes(set_id))
    if not _share(draft):
        return
    _retire(draft)
    if (draft.steps and not seen.is_prepared) or not seen.has_open_volumes:
        return  # what is made without them would write into nobody's directory
    if seen.desired.level is Level.RUNNING:
        _let_in(draft)
    busy = _operate(draft)
    if _make(draft) and seen.desired.level is Level.RUNNING:
        _keep(draft, busy)
        if not draft.steps and seen.is_prepared and not seen.is_released and _is_whole(seen):
            draft.add(sets.ReleaseImages(set_id))


def _share(draft: _Draft) -> bool:
    """Whether all that containers share but volumes is there, as the document says."""
    seen = draft.seen
    if seen.is_elsewhere and not (seen.is_prepared and _leave(draft)):
        return False
    if not seen.is_pinned:
        _pin(draft)
    elif not seen.is_attached:
        draft.add(sets.AttachNetwork(seen.row.set))
    return seen.is_pinned and seen.is_attached


def _leave(draft: _Draft) -> bool:
    """All end, to start in order in another network, as they share one; whether that is done."""
    _rest(draft)
    return _stop_all(draft)


def _pin(draft: _Draft) -> None:
    """Namespaces are those of what runs; where they cannot be, that ends, and they are new ones."""
    trouble = draft.seen.troubles.get(sets.PinNamespaces.name())
    if trouble is not None and trouble.count >= PIN_TRIES and not _stop_all(draft):
        return
    left = [each for each in draft.seen.attempts.values() if each.exists]
    for each in left:
        if each.id not in draft.seen.alive:
            draft.add(attempts.Remove(each.set, each.id))
    if all(each.id in draft.seen.alive for each in left):
        draft.add(sets.PinNamespaces(draft.seen.row.set))


def _is_whole(seen: Seen) -> bool:
    """Whether every container runs and is ready, and is as the document says."""
    for name, _ in seen.workloads:
        recipe, current = seen.wanted(name), seen.current(name)
        if recipe is None or current is None or recipe.is_rollback or current.ready_at is None:
            return False
        if recipe.fingerprint != current.recipe or seen.container(name).next is not None:
            return False
    return True


def _retire(draft: _Draft) -> None:
    """Containers that the set has no more, and attempts that nothing refers to."""
    seen = draft.seen
    names = {name for name, _ in seen.workloads} | ({SSH} if seen.desired.spec.ssh else set())
    for name, row in seen.containers.items():
        if name not in names:
            if _stop_container(draft, name):
                draft.add(sets.ForgetContainer(seen.row.set, name))
            continue
        kept = {row.current, row.next, row.good}
        for attempt in seen.attempts.values():
            if attempt.container == name and attempt.id not in kept:
                draft.add(attempts.Remove(seen.row.set, attempt.id, disk=_is_alone(seen, attempt)))


def _let_in(draft: _Draft) -> None:
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


def _is_alone(seen: Seen, attempt: Attempt) -> bool:
    """Whether no other attempt is on its disk."""
    return not any(
        each.disk == attempt.disk and each.id != attempt.id for each in seen.attempts.values()
    )


def _make(draft: _Draft) -> bool:
    """Every container is there, at least as created; whether that is so."""
    seen = draft.seen
    complete = True
    for name, _ in seen.workloads:
        if seen.current(name) is None:
            complete = False
            if seen.wanted(name) is not None:
                draft.add(attempts.Create(seen.row.set, name))
    return complete


def _keep(draft: _Draft, replaced: set[str]) -> None:
    """Start in order; start again what has ended; bring to the document what is not as it says."""
    seen = draft.seen
    first = True
    is_busy = any(row.next for row in seen.containers.values())
    for name, workload in seen.workloads:
        row = seen.container(name)
        current = seen.current(name)
        assert current is not None
        if name in replaced:
            first = False
        elif row.next is not None or (not is_busy and _is_old(seen, name, current)):
            _replace(draft, name, current)
            is_busy = True
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


def _is_old(seen: Seen, name: str, current: Attempt) -> bool:
    """Whether another recipe is wanted; not after any container of this generation has failed."""
    recipe = seen.wanted(name)
    if recipe is None or any(_failed(seen, each) for each in seen.containers if each != name):
        return False
    return recipe.fingerprint != current.recipe


def _settle(draft: _Draft, attempt: Attempt, workload: Workload) -> bool:
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


def _again(draft: _Draft, name: str, attempt: Attempt, workload: Workload) -> bool:
    """What has ended is started again as its policy says; whether it has done its work instead."""
    seen = draft.seen
    policy = workload.restart.policy
    is_own = attempt.stopping_at is None and attempt.started_at is not None
    is_done = policy is RestartPolicy.NEVER or (
        policy is RestartPolicy.ON_FAILURE and attempt.exit_known and attempt.exit_code == 0
    )
    if is_own and is_done:
        return attempt.exit_known and attempt.exit_code == 0
    again_at = backoff(attempt, workload, seen.container(name).crashes) if is_own else seen.now
    if seen.now >= again_at:
        draft.add(attempts.Remove(attempt.set, attempt.id))
    else:
        draft.wake(again_at)
    return False


def _resize(draft: _Draft, name: str, attempt: Attempt) -> None:
    recipe = draft.seen.wanted(name)
    if recipe is not None and recipe.fingerprint == attempt.recipe and not recipe.is_rollback:
        limits = limits_of(recipe.workload)
        if limits_in(attempt.limits) != limits:
            draft.add(attempts.Update(attempt.set, attempt.id, limits))


def _replace(draft: _Draft, name: str, current: Attempt) -> None:
    """A gray update: the new one is made while the old one runs."""
    seen = draft.seen
    new = seen.next(name)
    if _failed(seen, name):
        if new is not None:
            draft.add(attempts.Remove(new.set, new.id, disk=True))
        return
    recipe = seen.wanted(name)
    if new is None:
        if current.state is AttemptState.CREATED or recipe is None:
            draft.add(attempts.Remove(current.set, current.id, disk=True))
        else:
            draft.add(attempts.Create(current.set, name, replaces=True))
        return
    if recipe is not None and new.recipe != recipe.fingerprint:  # overtaken by a newer one
        draft.add(attempts.Remove(new.set, new.id, disk=True))
        return
    if new.state is AttemptState.INTENDED:
        trouble = seen.troubles[f"create {name}"]
        draft.add(attempts.RollBack(new.set, new.id, f"cannot be made: {trouble.text}"))
    elif new.state is AttemptState.CREATED:
        if current.id in seen.alive and current.state is AttemptState.STARTED:
            _end_attempt(draft, current)
        else:
            draft.add(attempts.Start(new.set, new.id))
    elif new.state is AttemptState.ENDED:
        how = f"ended with {new.exit_code}" if new.exit_known else "ended, nobody saw how"
        draft.add(attempts.RollBack(new.set, new.id, f"{how} before it was ready"))
    else:
        _trial(draft, new)


def _trial(draft: _Draft, new: Attempt) -> None:
    """The new one runs: it becomes ready in time, or is rolled back."""
    seen = draft.seen
    workload = workload_of(new.spec)
    if new.ready_at is not None:
        draft.add(attempts.Promote(new.set, new.id))
        return
    _settle(draft, new, workload)
    if any(isinstance(step, attempts.NoteReady) for step in draft.steps):
        return
    assert new.started_at is not None
    end = new.started_at + workload.readiness.ready_timeout_s
    if seen.now >= end:
        patience = workload.readiness.ready_timeout_s
        draft.steps = [attempts.RollBack(new.set, new.id, f"not ready within {patience} s")]
    else:
        draft.wake(end)


def _operate(draft: _Draft) -> set[str]:
    """Operations: begun once, ended when what they asked for is so; whom they are replacing."""
    seen = draft.seen
    for operation in seen.operations:
        step = begin(seen, operation) or finish(seen, operation)
        if step is not None:
            draft.add(step)
            return set()
        for attempt, disk in to_replace(seen, operation):
            if attempt.id in seen.alive and attempt.state is AttemptState.STARTED:
                _end_attempt(draft, attempt)
            else:
                draft.add(attempts.Remove(attempt.set, attempt.id, disk=disk))
            return {attempt.container}
    return set()
