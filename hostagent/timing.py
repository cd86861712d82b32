"""When: the end of a grace, the next try, the next look (pure; CLOCK_BOOTTIME)."""

from typing import Final

from hostagent.readings import Reading
from hostagent.recipes import workload_of
from hostagent.records import Attempt
from setspec.normal import Workload

_SOON: Final = 0.05
"""Seconds between the first two looks whether something is ready."""


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
    if reading is None or attempt.started_at is None:
        return None, attempt.started_at
    age = reading.looked_at - attempt.started_at  # what has just begun is looked at more often
    return reading.good_since, reading.looked_at + min(readiness.period_s, max(age, _SOON))
