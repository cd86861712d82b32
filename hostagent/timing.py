"""When: the end of a grace, the next try, the next look (pure; CLOCK_BOOTTIME)."""

from hostagent.readings import Reading
from hostagent.recipes import workload_of
from hostagent.records import Attempt
from setspec.normal import Workload


def deadline(attempt: Attempt) -> float:
    """When what was asked to end is killed."""
    assert attempt.stopping_at is not None
    return attempt.stopping_at + workload_of(attempt.spec).stop.grace_s


def backoff(attempt: Attempt, workload: Workload, crashes: int) -> float:
    """When what has ended is started again."""
    assert attempt.ended_at is not None
    restart = workload.restart
    wait: float = restart.base_s
    for _ in range(max(crashes, 1) - 1):
        wait = min(wait * restart.factor, restart.cap_s)
        if wait >= restart.cap_s:
            break
    return attempt.ended_at + min(wait, restart.cap_s)


def ready_since(
    attempt: Attempt, workload: Workload, reading: Reading | None
) -> tuple[float | None, float | None]:
    """Since when a container has been ready, and when to look again; None: not, or never."""
    readiness = workload.readiness
    if readiness.exec is None and readiness.tcp is None and readiness.http is None:
        return attempt.started_at, None
    if reading is None:
        return None, attempt.started_at
    return reading.good_since, reading.looked_at + readiness.period_s
