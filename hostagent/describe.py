"""A set's status, out of its rows and what is alive of them."""

from collections.abc import Iterator, Mapping
from dataclasses import replace

from hostagent.ends import is_done
from hostagent.host import Host
from hostagent.recipes import SSH, limits_in, workload_of
from hostagent.records import Attempt, AttemptState, ContainerRow, SetRow, Trouble
from hostagent.seen import Seen, look
from hostagent.timing import deadline
from runspec.bundle import limits_of
from setspec.desired import Level
from setspec.moment import parse_moment
from setspec.normal import Workload
from setspec.status import (
    ContainerState,
    ContainerStatus,
    Progress,
    RolledBack,
    SetState,
    SetStatus,
    VolumeStatus,
)
from sshd.hostkey import kept

_STUCK = 10.0
"""Seconds after which what was killed and does not die is called stuck."""
_GOOD = {ContainerState.RUNNING, ContainerState.UNMONITORED}


def describe(host: Host, row: SetRow) -> SetStatus:
    """How a set is now."""
    seen = look(host, row)
    used = {name: host.runtime.memory_used(row.set, name) for name in seen.alive}
    volumes = host.volumes.status(seen.desired.allocation.volumes)
    told = status(seen, used, volumes, kept(host.layout.login(row.set).key))
    pulled = host.images.progress(row.set)
    if told.progress is None or pulled is None:
        return told
    return replace(told, progress=replace(told.progress, done=pulled[0], total=pulled[1]))


def status(
    seen: Seen,
    used: Mapping[str, int | None] = {},
    volumes: tuple[VolumeStatus, ...] = (),
    host_keys: tuple[str, ...] = (),
) -> SetStatus:
    """The status of what was seen (pure)."""
    told = [_container(seen, name, workload, used) for name, workload in seen.workloads]
    problems = list(_problems(seen, told))
    state = _state(seen, told, is_bad=bool(problems))
    problems += [_named(seen, each) for each in seen.troubles.values()]
    is_held = state is SetState.STOPPED and seen.row.held is not None
    pulling = state is SetState.CREATING and not seen.is_prepared
    return SetStatus(
        set=seen.row.set,
        generation=seen.row.generation,
        state=state,
        reason=seen.row.held if is_held else "; ".join(problems) or None,
        progress=Progress(stage="pulling") if pulling else None,
        containers=tuple(told),
        rolled_back=tuple(
            RolledBack(
                container=row.name,
                generation=row.failed_generation,
                digest=row.failed_digest,
                reason=row.failed_reason or "",
            )
            for row in seen.containers.values()
            if row.failed_generation is not None
        ),
        volumes=volumes,
        host_keys=host_keys,
    )


def _named(seen: Seen, trouble: Trouble) -> str:
    attempt = seen.attempts.get(trouble.step.rpartition(" ")[2])
    return f"{attempt.container}: {trouble.text}" if attempt else trouble.text


def _container(
    seen: Seen, name: str, workload: Workload, used: Mapping[str, int | None]
) -> ContainerStatus:
    row = seen.container(name)
    attempt = seen.attempts.get(row.current or "")
    if attempt is None:
        return ContainerStatus(name=name, state=ContainerState.PENDING)
    has_ended = attempt.state in {AttemptState.ENDED, AttemptState.REMOVED}
    return ContainerStatus(
        name=name,
        state=_container_state(seen, row, attempt, workload),
        ready=attempt.ready_at is not None and attempt.id in seen.alive,
        attempt=attempt.id,
        attempts=row.attempts,
        digest=attempt.digest,
        pid=attempt.init_pid if attempt.id in seen.alive else None,
        started=parse_moment(attempt.started) if attempt.started else None,
        ended=parse_moment(attempt.ended) if attempt.ended else None,
        exit_code=attempt.exit_code,
        exit_known=attempt.exit_known or not has_ended,
        oom_killed=attempt.oom,
        mem_used=used.get(attempt.id),
    )


def _container_state(
    seen: Seen, row: ContainerRow, attempt: Attempt, workload: Workload
) -> ContainerState:
    if attempt.state is AttemptState.INTENDED:
        return ContainerState.CREATING
    if attempt.state is AttemptState.CREATED:
        return ContainerState.CREATED
    if attempt.state is AttemptState.STARTED:
        if seen.is_frozen:
            return ContainerState.SUSPENDED
        if attempt.stopping_at is not None:
            is_stuck = seen.now > deadline(attempt) + _STUCK
            return ContainerState.STUCK if is_stuck else ContainerState.STOPPING
        is_watched = attempt.id in seen.monitored or attempt.id not in seen.alive
        return ContainerState.RUNNING if is_watched else ContainerState.UNMONITORED
    is_kept = seen.desired.level is Level.RUNNING and not seen.is_gone and not seen.row.held
    if not is_kept or is_done(attempt, workload):
        return ContainerState.EXITED
    return ContainerState.BACKOFF if row.crashes else ContainerState.CREATING


def _problems(seen: Seen, told: list[ContainerStatus]) -> Iterator[str]:
    """What keeps a set from being as it should be, each in a sentence that names a container."""
    if seen.desired.level is not Level.RUNNING or seen.is_gone or seen.row.held:
        return
    for each in told:
        attempt = seen.attempts.get(each.attempt or "")
        row = seen.container(each.name)
        if row.failed_generation == seen.row.generation:
            yield f"{each.name}: rolled back: {row.failed_reason}"
        if attempt is None:
            continue
        if each.state in {ContainerState.BACKOFF, ContainerState.EXITED} and each.exit_code != 0:
            how = f"ended with {each.exit_code}" if each.exit_known else "ended, nobody saw how"
            yield f"{each.name}: {how}" + (", by lack of memory" if each.oom_killed else "")
        elif each.state in _GOOD and not each.ready and attempt.started_at is not None:
            patience = workload_of(attempt.spec).readiness.ready_timeout_s
            if seen.now > attempt.started_at + patience:
                yield f"{each.name}: not ready within {patience} s"


def _is_changing(seen: Seen) -> bool:
    """Whether some container is not yet as the document says, or nobody is let in who should."""
    sshd = seen.current(SSH)
    if seen.is_elsewhere or (seen.login and (sshd is None or sshd.ready_at is None)):
        return True
    for name, _ in seen.workloads:
        recipe, current = seen.wanted(name), seen.current(name)
        if recipe is None:
            return True
        if current is None or recipe.is_rollback:
            continue
        is_old = recipe.fingerprint != current.recipe
        if is_old or limits_of(recipe.workload) != limits_in(current.limits):
            return True
    return False


def _state(seen: Seen, told: list[ContainerStatus], *, is_bad: bool) -> SetState:
    states = {each.state for each in told}
    level = seen.desired.level
    is_alive = any(each.state is AttemptState.STARTED for each in seen.attempts.values())
    if seen.is_gone:
        return SetState.DELETING
    if seen.is_frozen and is_alive:
        return SetState.SUSPENDED
    if seen.row.held or level is Level.STOPPED or (level is Level.SUSPENDED and not is_alive):
        return SetState.STOPPING if is_alive else SetState.STOPPED
    if is_bad:
        return SetState.DEGRADED
    if all(each.ready or each.state is ContainerState.EXITED for each in told):
        if not _is_changing(seen):
            return SetState.RUNNING
        return SetState.DEGRADED if seen.troubles else SetState.STARTING
    if level is Level.CREATED and states == {ContainerState.CREATED}:
        return SetState.CREATED
    is_made = states.isdisjoint({ContainerState.PENDING, ContainerState.CREATING})
    return SetState.STARTING if is_made or is_alive else SetState.CREATING
