"""How an attempt has ended, and whether it is the last one (pure)."""

from hostagent.records import Attempt
from setspec.normal import RestartPolicy, Workload


def ended_by_itself(attempt: Attempt) -> bool:
    """Whether it ran, and nobody had asked it to end."""
    return attempt.stopping_at is None and attempt.started_at is not None


def is_good(attempt: Attempt) -> bool:
    """Whether it has ended well."""
    return attempt.exit_known and attempt.exit_code == 0


def is_done(attempt: Attempt, workload: Workload) -> bool:
    """Whether it has ended by itself, and is not started again."""
    policy = workload.restart.policy
    is_last = policy is not RestartPolicy.ALWAYS and is_good(attempt)
    return ended_by_itself(attempt) and (is_last or policy is RestartPolicy.NEVER)
