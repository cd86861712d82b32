"""Lines: the port of the journal beside the bytes."""

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Protocol

from registry.storage.folding import NEVER, Folded
from registry.storage.records import JournalLine, StoreIdentity


class Journal(Protocol):
    """Every change of names, line by line, beside the bytes: what a ledger is rebuilt from.

    Lines of one project come in order, without gaps, from 1. A line that was appended twice counts
    once. Any method may raise StorageUnavailable; ``append`` may raise StorageFull.
    """

    async def append(self, lines: Sequence[JournalLine]) -> None:
        """Make *lines* durable; those that are there already are passed over.

        Of each project, *lines* must be in order and begin at most one after its head.
        """
        ...

    def read(self) -> AsyncIterator[JournalLine]:
        """Every line, of each project in order; where it was folded, what is left instead."""
        ...

    async def fold(self, *, at_least: int = 0, since: float = NEVER) -> int | None:
        """Put fewer lines that make the same names in place of many old ones; how many.

        What was deleted after *since* (seconds, UTC) can be taken back by what they make, too.
        None where less than *at_least* bytes could be folded, or somebody reads or folds now.
        """
        ...

    async def contradicted(self, lines: Sequence[JournalLine]) -> set[str]:
        """The projects of those of *lines* in whose place the journal has another line.

        A place that was folded, or has no line yet, contradicts nobody.
        """
        ...

    async def folded(self) -> Mapping[str, Folded]:
        """Of each project that was folded: where its folded lines begin and end.

        A ledger whose head lies before the end cannot take them as they are: it must first be
        ``restart``ed at their start.
        """
        ...

    async def heads(self) -> Mapping[str, int]:
        """Each project's last sequence."""
        ...

    async def identity(self) -> StoreIdentity | None:
        """What this store says it is; None if it was never used."""
        ...

    async def found(self, identity: StoreIdentity) -> None:
        """Durably say what this store is. Raises StorageUnavailable if it says otherwise."""
        ...
