"""A plan in the making: steps that can be carried out now, and when to look again."""

from dataclasses import dataclass, field

from hostagent.seen import Seen
from hostagent.step import Step


@dataclass(frozen=True, slots=True)
class Plan:
    """Steps that can be carried out now, one after the other."""

    steps: tuple[Step, ...]
    wake_at: float | None
    """When to look again, if nothing else happens before."""


@dataclass(slots=True)
class Draft:
    """What is planned so far for a set as it is *seen*."""

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
        """Look again at *moment*."""
        self.wakes.append(moment)

    def plan(self) -> Plan:
        """All of it."""
        return Plan(tuple(self.steps), min(self.wakes, default=None))
