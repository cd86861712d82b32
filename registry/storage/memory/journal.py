"""Lines in a list: the model that every other journal is compared with."""

from collections.abc import AsyncIterator, Mapping, Sequence

from registry.oci.errors import StorageUnavailable
from registry.storage.folding import NEVER, Fold, Folded
from registry.storage.lines import encode
from registry.storage.records import JournalLine, StoreIdentity


class MemoryJournal:
    """Lines in one list."""

    def __init__(self) -> None:
        self._lines: list[JournalLine] = []
        self._heads: dict[str, int] = {}
        self._folded: dict[str, Folded] = {}
        self._identity: StoreIdentity | None = None

    async def append(self, lines: Sequence[JournalLine]) -> None:
        heads = dict(self._heads)
        fresh = []
        for line in lines:
            encode(line)  # refuses what is no line
            project, sequence = line.position.project, line.position.sequence
            head = heads.get(project, 0)
            if sequence > head + 1:
                raise StorageUnavailable(f"line {sequence} of {project} cannot follow line {head}")
            if sequence == head + 1:
                heads[project] = sequence
                fresh.append(line)
        self._lines += fresh
        self._heads = heads

    async def read(self) -> AsyncIterator[JournalLine]:
        for line in list(self._lines):
            yield line

    async def fold(self, *, at_least: int = 0, since: float = NEVER) -> int | None:
        if sum(len(line.content) for line in self._lines) < max(at_least, 1):
            return None
        folding = Fold(since)
        for line in self._lines:
            folding.look(line)
        self._lines = list(folding.folded(self._lines))
        self._folded = dict(folding.bounds())
        return len(self._lines)

    async def contradicted(self, lines: Sequence[JournalLine]) -> set[str]:
        wanted = {line.position: line.content for line in lines}
        return {
            line.position.project
            for line in self._lines
            if wanted.get(line.position, line.content) != line.content
        }

    async def folded(self) -> Mapping[str, Folded]:
        return dict(self._folded)

    async def heads(self) -> Mapping[str, int]:
        return dict(self._heads)

    async def identity(self) -> StoreIdentity | None:
        return self._identity

    async def found(self, identity: StoreIdentity) -> None:
        if self._identity not in {None, identity}:
            raise StorageUnavailable("the store says that it is another")
        self._identity = identity
