"""Operations, each carried out at most once (pure).

What an operation begins with is written down, by attempt. It replaces those attempts and no others,
so a repeat after the agent's death finds that it is done.
"""

import json

from hostagent.draft import Draft
from hostagent.ending import end_attempt
from hostagent.login_steps import ChangePassword
from hostagent.records import Attempt, AttemptState, OperationRow, OperationState
from hostagent.running import is_changing
from hostagent.seen import Seen
from hostagent.set_steps import BeginOperation, DeployFiles, EndOperation
from hostagent.step import Step
from setspec.desired import Level

REPLACING = ("restart", "rebuild_disk")


def operate(draft: Draft) -> str | None:
    """Begin, carry on or end the first operation of which something is left to do.

    Answers which container it is replacing, if any.
    """
    seen = draft.seen
    for operation in seen.operations:
        if operation.state is OperationState.PENDING:
            draft.add(_begin(seen, operation))
            return None
        if operation.state is OperationState.RUNNING:
            targets: dict[str, str | None] = json.loads(operation.targets or "{}")
            is_done = _is_done(seen, targets)
            failure = None if is_done else _too_low(seen, operation)
            if is_done or failure:
                draft.add(EndOperation(seen.row.set, operation.id, failure))
                return None
            is_fresh = operation.kind == "rebuild_disk"
            attempt = _first(seen, targets, is_fresh=is_fresh)
            if attempt is not None:
                end_attempt(draft, attempt, disk=is_fresh)
                return attempt.container
    return None


def _begin(seen: Seen, operation: OperationRow) -> Step:
    """The step with which a pending operation begins, or ends at once."""
    set_id = seen.row.set
    args = json.loads(operation.args)
    named = args.get("containers") or ([args["container"]] if "container" in args else [])
    unknown = [name for name in named if name not in dict(seen.workloads)]
    if unknown:
        return EndOperation(set_id, operation.id, f"the set has no container {unknown[0]!r}")
    if operation.kind == "sync-status":
        return EndOperation(set_id, operation.id)
    if operation.kind == "deploy":
        return DeployFiles(set_id, operation.id)
    if operation.kind == "set-password":
        ssh = seen.desired.spec.ssh
        if ssh is None or ssh.password is None:
            return EndOperation(set_id, operation.id, "by the set's document no password opens it")
        return ChangePassword(set_id, operation.id)
    if operation.kind not in REPLACING:
        return EndOperation(set_id, operation.id, f"this host does no {operation.kind}")
    failure = _too_low(seen, operation)
    if failure:
        return EndOperation(set_id, operation.id, failure)
    names = named or [name for name, _ in seen.workloads]
    targets = tuple((name, seen.container(name).current) for name in names)
    return BeginOperation(set_id, operation.id, targets)


def _too_low(seen: Seen, operation: OperationRow) -> str | None:
    """Why an operation cannot be carried out, or on, at the set's level."""
    level = seen.desired.level
    if level is Level.SUSPENDED or (operation.kind == "restart" and level is not Level.RUNNING):
        return f"the set is to be {level}: start it first"
    return None


def _is_done(seen: Seen, targets: dict[str, str | None]) -> bool:
    """Whether nothing of what a running operation asked for is left to do."""
    for name, former in targets.items():
        current = seen.attempts.get(seen.container(name).current or "")
        if name not in dict(seen.workloads):
            continue
        if current is not None and current.id == former:
            return False
        if seen.row.held or seen.desired.level is not Level.RUNNING:
            continue
        if current is None or (current.state is not AttemptState.ENDED and not current.ready_at):
            return False
    return True


def _first(seen: Seen, targets: dict[str, str | None], *, is_fresh: bool) -> Attempt | None:
    """The attempt that is to be replaced now: the last container's that is not yet.

    What a gray update is about to replace is that one's: it has a way back. With *is_fresh*, an
    attempt of which only the disk is left is to be replaced too.
    """
    for name, former in reversed(targets.items()):
        attempt = seen.attempts.get(former or "")
        if attempt is None or seen.container(name).current != former:
            continue
        if not is_changing(seen, name) and (attempt.exists or is_fresh):
            return attempt
    return None
