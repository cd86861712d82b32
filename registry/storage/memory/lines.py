"""Lines for the journal in a dict: drawn project by project, and waiting to be flushed."""

from collections.abc import Callable, Mapping, Sequence
from itertools import islice

from registry.oci.errors import RegistryError, StorageUnavailable
from registry.storage.changes import Change, from_line, to_line
from registry.storage.records import JournalLine, Position

LINES = 1000
"""Pending lines in one answer."""


class Lines:
    """Those that wait, how many each project has drawn, and who has claimed whose."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self.heads: dict[str, int] = {}
        self._pending: dict[Position, bytes] = {}
        self._claims: dict[str, tuple[str, float]] = {}
        """Whose a project's pending lines are, and until when."""

    def draw(self, change: Change) -> Position:
        """Write the line of *change* in its project's next place."""
        project = change.repository.project
        self.heads[project] = self.heads.get(project, 0) + 1
        position = Position(project, self.heads[project])
        self._pending[position] = to_line(change)
        return position

    def list_pending(self, after: Mapping[str, int]) -> list[JournalLine]:
        """As in Ledger.pending_lines."""
        found = (
            place for place in sorted(self._pending) if place.sequence > after.get(place.project, 0)
        )
        return [JournalLine(place, self._pending[place]) for place in islice(found, LINES)]

    def claim(self, holder: str, after: Mapping[str, int], seconds: float) -> list[JournalLine]:
        """As in Ledger.claim_lines."""
        lines = self.list_pending(after)
        now = self._clock()
        for name in {line.position.project for line in lines}:
            other, until = self._claims.get(name, (holder, 0.0))
            if other == holder or until < now:
                self._claims[name] = (holder, now + seconds)
        return [line for line in lines if self._claims[line.position.project][0] == holder]

    def is_pending(self, position: Position) -> bool:
        """As in Ledger.is_pending."""
        if self.heads.get(position.project, 0) < position.sequence:
            raise StorageUnavailable("the ledger has no such line for the journal")
        return position in self._pending

    def settle(self, heads: Mapping[str, int], holder: str | None) -> None:
        """As in Ledger.settle."""
        for place in list(self._pending):
            if place.sequence <= heads.get(place.project, 0):
                del self._pending[place]
        self._claims = {name: each for name, each in self._claims.items() if each[0] != holder}

    def take(self, lines: Sequence[JournalLine]) -> list[Change]:
        """Move the heads to the ends of *lines*; the changes that come after where they were.

        Raises StorageUnavailable at a gap, and at what cannot be read; then all stays.
        """
        heads = dict(self.heads)
        changes = []
        for line in lines:
            project, sequence = line.position.project, line.position.sequence
            if sequence <= heads.get(project, 0):
                continue
            if sequence != heads.get(project, 0) + 1:
                raise StorageUnavailable(f"the journal of {project} has a gap before {sequence}")
            try:
                changes.append(from_line(line.content))
            except (ValueError, KeyError, TypeError, AttributeError, RegistryError) as error:
                raise StorageUnavailable(f"a line of {project} cannot be read") from error
            heads[project] = sequence
        self.heads = heads
        return changes

    def restart(self, project: str, sequence: int) -> None:
        """As in Ledger.restart, for the lines."""
        for place in [place for place in self._pending if place.project == project]:
            del self._pending[place]
        self.heads[project] = sequence
