"""Desired and observed, to steps (pure): what can be done now, and when to look again.

A plan holds only steps whose conditions hold already; after them everything is looked at anew. So
it does not matter where the last agent died.
"""

from typing import Final

from hostagent import attempt_steps as attempts
from hostagent import set_steps as sets
from hostagent.draft import Draft, Plan
from hostagent.ending import stop_all, stop_container
from hostagent.operations import operate
from hostagent.recipes import SSH
from hostagent.records import AttemptState
from hostagent.running import gives_up, is_whole, keep, let_in, make
from hostagent.seen import Seen
from setspec.desired import Level

PIN_TRIES: Final = 2
"""After so many what runs is ended, since nothing of it can be pinned again."""
_EXIT_PATIENCE: Final = 0.2
"""Seconds."""


def plan(seen: Seen) -> Plan:
    """What is to be done for a set now."""
    draft = Draft(seen)
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


def _mend(draft: Draft) -> bool:
    """Rows that say what is not so: ends that nobody wrote down, attempts that nobody knows.

    Answers whether the rest must wait for that.
    """
    seen = draft.seen
    set_id = seen.row.set
    is_ending = False
    for attempt in seen.attempts.values():
        if attempt.state is AttemptState.INTENDED and not gives_up(seen, attempt):
            draft.add(attempts.Remove(set_id, attempt.id))
        elif attempt.state in {AttemptState.CREATED, AttemptState.STARTED}:
            if attempt.id in seen.alive:
                if attempt.state is AttemptState.CREATED and attempt.id not in seen.monitored:
                    draft.add(attempts.Remove(set_id, attempt.id))
            elif attempt.id in seen.exits or attempt.id not in seen.monitored:
                draft.add(attempts.NoteExit(set_id, attempt.id))
                is_ending = True  # also where that could not be done yet
            else:  # its monitor is about to write down how it ended
                is_ending = True
                draft.wake(seen.now + _EXIT_PATIENCE)
    return is_ending or bool(draft.steps)


def _suspend(draft: Draft) -> None:
    """Frozen if it runs; what does not run stays as it is."""
    seen = draft.seen
    if not seen.is_frozen and any(
        each.state is AttemptState.STARTED for each in seen.attempts.values()
    ):
        draft.add(sets.Freeze(seen.row.set))
    operate(draft)


def _end(draft: Draft) -> None:
    """Stop everything, then leave nothing."""
    seen = draft.seen
    set_id = seen.row.set
    if seen.is_frozen:  # what stands still cannot end by itself, and is not waited for
        draft.add(sets.Thaw(set_id))
        thaw, draft.steps = draft.steps, []
        for each in sorted(seen.alive) if thaw else ():  # once, and not while that has to wait
            draft.add(attempts.Kill(set_id, each))
        draft.steps += thaw
        return
    if not stop_all(draft):
        return
    draft.add(sets.Forget(set_id) if seen.is_dismantled else sets.Dismantle(set_id))


def _stop(draft: Draft) -> None:
    """Stop everything; disks, ports and volumes stay."""
    seen = draft.seen
    if seen.is_frozen:
        names = [name for name, _ in reversed(seen.workloads)]
        first = next((each for name in names for each in seen.of(name) if seen.runs(each)), None)
        if first is not None and not first.signalled:
            draft.add(attempts.Stop(seen.row.set, first.id))
        draft.add(sets.Thaw(seen.row.set))
        return
    if stop_all(draft):
        _rest(draft)
        operate(draft)


def _rest(draft: Draft) -> None:
    """At the next start containers start in order again."""
    if any(each.was_ready or each.crashes for each in draft.seen.containers.values()):
        draft.add(sets.Rest(draft.seen.row.set))


def _run(draft: Draft) -> None:
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
        let_in(draft)
    replaced = operate(draft)
    if make(draft) and seen.desired.level is Level.RUNNING:
        keep(draft, replaced)
        if not draft.steps and seen.is_prepared and not seen.is_released and is_whole(seen):
            draft.add(sets.ReleaseImages(set_id, seen.row.generation))


def _share(draft: Draft) -> bool:
    """Whether all that containers share but volumes is there, as the document says."""
    seen = draft.seen
    if seen.is_elsewhere and not (seen.is_prepared and _leave(draft)):
        return False
    if not seen.is_pinned:
        _pin(draft)
    elif not seen.is_attached:
        draft.add(sets.AttachNetwork(seen.row.set))
    return seen.is_pinned and seen.is_attached


def _leave(draft: Draft) -> bool:
    """All end, to start in order in another network, as they share one; whether that is done."""
    _rest(draft)
    return stop_all(draft)


def _pin(draft: Draft) -> None:
    """Namespaces are those of what runs; where they cannot be, that ends, and they are new ones."""
    seen = draft.seen
    if seen.failures(sets.PinNamespaces.name()) >= PIN_TRIES and not stop_all(draft):
        return
    dead = [each for each in seen.attempts.values() if each.exists and each.id not in seen.alive]
    for each in dead:
        draft.add(attempts.Remove(each.set, each.id))
    if not dead:
        draft.add(sets.PinNamespaces(seen.row.set))


def _retire(draft: Draft) -> None:
    """Containers that the set has no more, and attempts that nothing refers to."""
    seen = draft.seen
    names = {name for name, _ in seen.workloads} | ({SSH} if seen.desired.spec.ssh else set())
    for name, row in seen.containers.items():
        if name not in names:
            if stop_container(draft, name):
                draft.add(sets.ForgetContainer(seen.row.set, name))
            continue
        kept = {row.current, row.next, row.good}
        for attempt in seen.attempts.values():
            if attempt.container == name and attempt.id not in kept:
                draft.add(attempts.Remove(seen.row.set, attempt.id))
