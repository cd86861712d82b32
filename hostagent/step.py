"""What a step is: it intends (a row), acts, and confirms (a row); it can be repeated.

Every one of these edges is a point at which a test kills the agent.
"""

from dataclasses import dataclass
from functools import cache
from typing import Any, ClassVar

from hostagent import points
from hostagent.host import Host
from hostagent.records import Attempt, ContainerRow, SetRow
from setspec.desired import DesiredSet


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that is done for a set."""

    set: str

    inner: ClassVar[tuple[str, ...]] = ()
    """Points within the act."""

    @classmethod
    @cache
    def name(cls) -> str:
        """What it is called in logs, and at its points."""
        return "".join(f"-{c.lower()}" if c.isupper() else c for c in cls.__name__).strip("-")

    @classmethod
    @cache
    def points(cls) -> tuple[str, ...]:
        """Where an agent can die in it, in the order in which they are passed."""
        edges = [f"{cls.name()}:{edge}" for edge in ("begin", "intended", "acted", "end")]
        return (*edges[:2], *cls.inner, *edges[2:])

    @property
    def key(self) -> str:
        """What a failure of it is remembered by."""
        return self.name()

    def carry_out(self, host: Host) -> None:
        """Do it. Raises StepFailed where it cannot be done now."""
        begin, intended, *_, acted, end = self.points()
        points.reach(begin)
        intent = self.intend(host)
        points.reach(intended)
        result = self.act(host, intent)
        points.reach(acted)
        with host.store.transaction():
            self.confirm(host, result)
        points.reach(end)

    def intend(self, host: Host) -> Any:
        """Write down what is about to be done; answer what the act needs of it."""

    def act(self, host: Host, intent: Any) -> Any:
        """Do it, where more than rows are written; answer what is to be written down."""

    def confirm(self, host: Host, result: Any) -> None:
        """Write down that it is done, in one transaction."""

    def row(self, host: Host) -> SetRow:
        """The set's row."""
        return host.store.find(SetRow, set=self.set)

    def desired(self, host: Host) -> DesiredSet:
        """The set as it should be."""
        return host.desired(self.row(host))


@dataclass(frozen=True, slots=True)
class AttemptStep(Step):
    """One thing that is done to an attempt."""

    attempt: str

    @property
    def key(self) -> str:
        return f"{self.name()} {self.attempt}"

    def found(self, host: Host) -> Attempt:
        """The attempt's row."""
        return host.store.find(Attempt, id=self.attempt)

    def container(self, host: Host) -> ContainerRow:
        """The row of the attempt's container."""
        return host.store.find(ContainerRow, set=self.set, name=self.found(host).container)
