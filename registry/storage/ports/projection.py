"""Image records on their way to the cloud's image service, and seen there: ports of a ledger."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from registry.oci.digest import Digest
from registry.oci.names import RepositoryName
from registry.storage.changes import RecordState
from registry.storage.records import ImageRecord, Position
from registry.storage.sharing import Members, Sharing

REFUSALS: Final = 10
"""After which a record is parked."""
ABSENCE: Final = 600.0
"""Seconds between two looks that must both find a record missing."""
SECOND_LOOK: Final = 5.0
"""Seconds after which a record that was sent is looked for again before its id is given up."""


@dataclass(frozen=True, slots=True)
class Due:
    """A record that changed or ended, in the hands of one sender.

    A row says that it did, not how: what is to be sent is what the record is at that moment.
    """

    record: str
    project: str
    kind: str
    gone: bool
    """Whether it ended: a row of that kind never becomes another."""
    lease: str
    version: int
    """Of the row: raised by every change of the record."""
    attempts: int = 0
    """How often it was refused."""
    reason: str = ""
    """Why, the last time."""
    unsure: bool = False
    """Whether somebody once began to send it and nobody knows how that ended."""
    sent: bool = False
    """Whether it is known to have been there, under this very id."""
    agreed: Sharing | None = None
    """Who saw it when it was last sent."""
    kept: Members = ()
    """The members that it had out there when it was shared last."""
    tried: tuple[Sharing, ...] = ()
    """Who was to see it, at attempts since then of which nobody knows how they ended."""
    state: RecordState | None = None
    """What it is, once ``begin`` was called; None where it ended."""

    @property
    def arrived(self) -> Sharing:
        """Who sees the record out there, by all that is known to have arrived."""
        if self.agreed is not None:
            return self.agreed
        if self.tried or self.state is None:
            return self.tried[0] if self.tried else Sharing("private")
        return Sharing.of_state(self.state)

    @property
    def tells_who_sees(self) -> bool:
        """Whether who sees the record is another thing than was agreed, or may be out there."""
        if self.state is None:
            return False
        known = self.agreed or Sharing("private")
        return any(each != known for each in (Sharing.of_state(self.state), *self.tried))


@dataclass(frozen=True, slots=True)
class Lag:
    """How far the image service is behind."""

    count: int
    """Records that wait, without those that are parked."""
    seconds: float
    """For which the oldest of them has been waiting."""
    parked: int


@dataclass(frozen=True, slots=True)
class Sighting:
    """A record that was sent as it is now, and what is to be seen of it in the image service."""

    state: RecordState
    sent_at: float
    missing_since: float | None
    """When it was first looked for in vain."""


class Outbox(Protocol):
    """Records on their way: a row for each that changed, until it was sent as it is.

    A row's life: it is made by the transaction that changes the record; leased, begun, and done
    or refused or given back; a change on the way makes it due again. Of one record there is one
    row, and one sender at a time. Every method is one transaction and may raise
    StorageUnavailable. Times are seconds by the database's clock.
    """

    async def lease_due(self, *, limit: int, seconds: float) -> list[Due]:
        """Take rows that are due: parents before children, and ended children before parents.

        A record whose parent waits is not due, unless its parent stands before it in the answer.
        """
        ...

    async def begin(self, due: Due, *, seconds: float) -> Due | None:
        """What is to be sent now, leased for *seconds* from now.

        None where the lease was lost, or where the parent has not arrived: leave it alone then.
        """
        ...

    async def agree(self, due: Due) -> Position | None:
        """Who sees the record has arrived as *due* says; flush the position before it is ``done``.

        Else a ledger that is made anew might send once more what people changed out there since.
        None where it is no news, where something changed since ``begin``, or the lease was lost.
        """
        ...

    async def done(self, due: Due) -> bool:
        """The image service has *due*'s state; clears the row if nothing changed since ``begin``.

        False where the lease was lost meanwhile: the record is due again, for nobody knows which
        of two senders came last.
        """
        ...

    async def refused(self, due: Due, reason: str) -> bool:
        """The image service does not take it: due again later. True: parked, after REFUSALS.

        A parked record waits for its next change, or ``unpark``; so do its children, nobody else.
        """
        ...

    async def give_back(self, due: Due, *, delay: float = 0.0) -> None:
        """Nothing was sent, and not because of this record; due again in *delay* seconds."""
        ...

    async def rename(self, due: Due, *, missed: bool) -> Position | None:
        """Give the record a fresh id, for its own is taken; flush the position before it is sent.

        *missed*: nothing is found under it; else it is another's.

        What was said of who sees it stays where it has not arrived yet; what had arrived went with
        the image, and without a word the record is private. Its children are due again, and so is
        it. What may lie under the old id and be ours is to be deleted.

        None where the lease was lost, and where the record was or may have been sent and is missed
        for the first time: it is given back, and due for another try after SECOND_LOOK.
        """
        ...

    async def mark(self, records: Sequence[str]) -> None:
        """Have *records* sent anew; those that are no more are passed over."""
        ...

    async def mark_all(self) -> int:
        """Have every record sent anew; how many there are."""
        ...

    async def unpark(self) -> int:
        """Give every parked record another chance; how many there were."""
        ...

    async def lag(self, project: str | None = None) -> Lag:
        """Of one project, or of all."""
        ...


class Sightings(Protocol):
    """What of the records is to be seen in the image service: for whoever looks after them.

    Every method is one transaction and may raise StorageUnavailable.
    """

    async def now(self) -> float:
        """Seconds by the database's clock."""
        ...

    async def list_sent(self, *, after: str = "", limit: int) -> list[Sighting]:
        """Tags' and repositories' records that were sent and wait for nothing, by id."""
        ...

    async def count_tags(self) -> Mapping[str, int]:
        """Of each project with tags."""
        ...

    async def seen(self, records: Sequence[str]) -> None:
        """These are there: forget that they were missing."""
        ...

    async def missed(self, record: str, *, began: float) -> bool:
        """The record is not there, in a look that began at *began*.

        True where that was so ABSENCE seconds ago already. It does not count where the record was
        sent after *began*, or waits to be sent.
        """
        ...

    async def untag(self, record: str) -> Position | None:
        """Remove the tag whose record has been missing for ABSENCE seconds.

        None where that is not so any more, or where the tag was put again since it was missed.
        """
        ...


class Openings(Protocol):
    """What of a repository a record opens to whoever may see the record.

    Every method is one transaction and may raise StorageUnavailable.
    """

    async def find_keyed(self, project: str, key: str) -> ImageRecord:
        """By its key in the project; raises ManifestUnknown."""
        ...

    async def list_tagged(self, repository: RepositoryName, *, limit: int) -> list[ImageRecord]:
        """The records of its tags, those that changed last first."""
        ...

    async def list_closure(self, repository: RepositoryName, tag: str) -> frozenset[Digest]:
        """The manifest under *tag*, with all that an index reaches; empty without such a tag."""
        ...

    async def is_named(
        self, repository: RepositoryName, manifests: Collection[Digest], blob: Digest
    ) -> bool:
        """Whether one of *manifests* in the repository names *blob*."""
        ...
