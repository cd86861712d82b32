"""Operations, each carried out at most once (pure).

What an operation begins with is written down, by attempt. It replaces those attempts and no others,
so a repeat after the agent's death finds that it is done.
"""

import json

from hostagent.login_steps import ChangePassword
from hostagent.records import Attempt, AttemptState, OperationRow, OperationState
from hostagent.seen import Seen
from hostagent.set_steps import BeginOperation, DeployFiles, EndOperation
from hostagent.step import Step
from setspec.desired import Level

REPLACING = ("restart", "rebuild_disk")


def begin(seen: Seen, operation: OperationRow) -> Step | None:
    """The step with which a pending operation begins, or ends at once."""
    if operation.state is not OperationState.PENDING:
        return None
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
    if operation.kind == "restart" and seen.desired.level is not Level.RUNNING:
        why = f"the set is to be {seen.desired.level}: start it first"
        return EndOperation(set_id, operation.id, why)
    names = named or [name for name, _ in seen.workloads]
    targets = tuple((name, seen.container(name).current) for name in names)
    return BeginOperation(set_id, operation.id, targets)


def finish(seen: Seen, operation: OperationRow) -> Step | None:
    """The step that ends a running operation, once nothing of it is left to do."""
    if operation.state is not OperationState.RUNNING:
        return None
    targets: dict[str, str | None] = json.loads(operation.targets or "{}")
    ended = EndOperation(seen.row.set, operation.id)
    if seen.is_gone:
        return EndOperation(seen.row.set, operation.id, "the set was deleted")
    for name, former in targets.items():
        current = seen.attempts.get(seen.container(name).current or "")
        if former is not None and current is not None and current.id == former:
            return None
        if seen.desired.level is not Level.RUNNING:
            continue
        if current is None or current.state is AttemptState.CREATED:
            return None
        if current.state is AttemptState.STARTED and current.ready_at is None:
            return None
    return ended


def to_replace(seen: Seen, operation: OperationRow) -> list[tuple[Attempt, bool]]:
    """The attempts that an operation ends, and whether their disks go too; the last one first."""
    if operation.state is not OperationState.RUNNING:
        return []
    targets: dict[str, str | None] = json.loads(operation.targets or "{}")
    found = []
    for name, former in reversed(targets.items()):
        attempt = seen.attempts.get(former or "")
        if attempt is not None and seen.container(name).current == former:
            fresh = operation.kind == "rebuild_disk"
            if attempt.exists or fresh:
                found.append((attempt, fresh))
    return found[:1]
