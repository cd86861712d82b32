"""How containers end: the last one first, asked to, and killed when their grace is over (pure)."""

from typing import Final

from hostagent import attempt_steps as attempts
from hostagent.draft import Draft
from hostagent.records import Attempt
from hostagent.timing import deadline

STOP_TRIES: Final = 3
"""After so many what cannot be asked to end is killed, when its grace is over."""


def stop_all(draft: Draft) -> bool:
    """Stop containers in the reverse of their order; whether nothing is left of them."""
    seen = draft.seen
    names = [name for name, _ in seen.workloads]
    former = [name for name in seen.containers if name not in names]
    return all(stop_container(draft, name) for name in (*former, *reversed(names)))


def stop_container(draft: Draft, name: str) -> bool:
    """End a container's attempts and remove them; whether that is done."""
    left = draft.seen.of(name)
    for attempt in left:
        end_attempt(draft, attempt)
    return not left


def end_attempt(draft: Draft, attempt: Attempt, *, disk: bool = False) -> None:
    """Ask what runs to end, and kill it when its grace is over; remove what does not run.

    With *disk*, its disk is removed too.
    """
    seen = draft.seen
    if not seen.runs(attempt):
        draft.add(attempts.Remove(attempt.set, attempt.id, disk=disk))
    elif not attempt.signalled and seen.failures(f"stop {attempt.id}") < STOP_TRIES:
        draft.add(attempts.Stop(attempt.set, attempt.id))
    elif attempt.stopping_at is not None and seen.now < deadline(attempt):
        draft.wake(deadline(attempt))
    else:
        draft.add(attempts.Kill(attempt.set, attempt.id))
