"""The journal in Swift: ``<prefix>-journal/<project>/<sequence>`` is one line.

A line is there once its object is; a project's lines are written one after the other, so that none
is there without those before it. Listings may lag: what they do not tell is looked for by name, the
projects too (projects.py). Old lines may be folded (folds.py); a project's last line always stays.
"""

import asyncio
import json
from collections import deque
from collections.abc import AsyncIterator, Mapping, Sequence
from http import HTTPStatus
from typing import Final

from registry.oci.errors import StorageUnavailable
from registry.storage.folding import NEVER, Folded
from registry.storage.lines import decode, encode
from registry.storage.records import JournalLine, Position, StoreIdentity
from registry.storage.swift.account import SwiftAccount
from registry.storage.swift.folds import FoldObject, Folds
from registry.storage.swift.names import Names, Place
from registry.storage.swift.objects import AT_ONCE, FIRST_ONLY, WRITTEN, Objects, all_of
from registry.storage.swift.projects import Projects

PAUSE: Final = 1.0
"""Seconds that a founder waits before he looks who else founded the store: Swift's conditional PUT
lets two through now and then, and what was written last is what stays."""


class SwiftJournal:
    """Lines as objects in *account*, in containers whose names begin with *prefix*."""

    def __init__(
        self, account: SwiftAccount, *, prefix: str = "berth", founding_pause: float = PAUSE
    ) -> None:
        self._names = Names(prefix)
        self._objects = Objects(account)
        self._founding_pause = founding_pause
        self._folds = Folds(self._objects, self._names)
        self._projects = Projects(self._objects, self._names)
        self._founding = asyncio.Lock()
        self._folding = asyncio.Lock()
        self._heads: dict[str, int] = {}
        """Each project's last line that is known to be there."""

    # -- writing --------------------------------------------------------------------------------

    async def append(self, lines: Sequence[JournalLine]) -> None:
        projects: dict[str, list[tuple[Position, Place, bytes]]] = {}
        for line in lines:
            entry = line.position, self._names.line(line.position), encode(line)
            projects.setdefault(line.position.project, []).append(entry)
        slots = asyncio.Semaphore(AT_ONCE)
        # Nothing is written before it is sure that nothing would leave a gap.
        await all_of(self._check(project, entries) for project, entries in projects.items())
        await all_of(map(self._projects.add, projects))
        await all_of(self._write(entries, slots) for entries in projects.values())

    async def _check(self, project: str, entries: Sequence[tuple[Position, Place, bytes]]) -> None:
        head = self._heads.get(project, 0)
        for position, _, _ in entries:
            before = position.sequence - 1
            if before > head and not await self._is_there(Position(project, before)):
                # Perhaps it was folded; then those after it are there.
                await self._find_head(project, asyncio.Semaphore())
                if before > self._heads.get(project, 0):
                    raise StorageUnavailable(
                        f"line {position.sequence} of {project} is to follow one that the "
                        "journal does not have"
                    )
            head = max(head, position.sequence)

    async def _write(
        self, entries: Sequence[tuple[Position, Place, bytes]], slots: asyncio.Semaphore
    ) -> None:
        async with slots:
            for position, place, text in entries:
                head = await self._objects.put(place, text, headers=FIRST_ONLY, accept=WRITTEN)
                if head.status == HTTPStatus.PRECONDITION_FAILED:
                    present = await self._objects.get(place)
                    if present is None:
                        raise StorageUnavailable("Swift has a line of the journal, and has it not")
                    if present != text:
                        raise StorageUnavailable(
                            f"line {position.sequence} of {position.project} lies in the journal "
                            "with other content: does another ledger write to this store?"
                        )
                self._know(position)

    # -- reading --------------------------------------------------------------------------------

    async def read(self) -> AsyncIterator[JournalLine]:
        heads = await self.heads()
        folds = await self._folds.find()
        for project, head in sorted(heads.items()):
            newest = next(iter(folds.get(project, [])), None)
            last = max(head, newest.end if newest else 0)
            async for line in self._lines(project, newest, last):
                yield line

    async def heads(self) -> Mapping[str, int]:
        entries = self._objects.listing(self._names.journal, delimiter="/")
        listed = {str(entry["subdir"]).rstrip("/") async for entry in entries if "subdir" in entry}
        slots = asyncio.Semaphore(AT_ONCE)
        for project, (newest, *_) in (await self._folds.find()).items():
            self._know(Position(project, newest.end))  # and what it stands for may be deleted
        projects = listed.union(self._heads, await self._projects.find())
        await all_of(self._find_head(project, slots) for project in projects)
        return dict(self._heads)

    async def _lines(
        self, project: str, fold: FoldObject | None, last: int
    ) -> AsyncIterator[JournalLine]:
        """All lines of *project* up to *last*; those that were folded as *fold* has them."""
        first = 1
        if fold is not None:
            async for line in self._folds.read(fold):
                yield line
            first = fold.end + 1
        ahead: deque[asyncio.Task[JournalLine]] = deque()
        try:
            for sequence in range(first, last + 1):
                ahead.append(asyncio.create_task(self._line(Position(project, sequence))))
                if len(ahead) >= AT_ONCE:
                    yield await ahead.popleft()
            while ahead:
                yield await ahead.popleft()
        finally:
            for task in ahead:
                task.cancel()
            await asyncio.gather(*ahead, return_exceptions=True)

    async def _line(self, position: Position) -> JournalLine:
        text = await self._objects.get(self._names.line(position))
        what = f"line {position.sequence} of {position.project} of the journal"
        if text is None:
            raise StorageUnavailable(f"{what} is missing")
        try:
            line = decode(text)
        except ValueError as error:
            raise StorageUnavailable(f"{what} is damaged: {error}") from error
        if line.position != position:
            raise StorageUnavailable(f"{what} is another line")
        return line

    async def _find_head(self, project: str, slots: asyncio.Semaphore) -> None:
        async with slots:
            sequence = self._heads.get(project, 0) + 1
            if sequence == 1 or await self._is_there(Position(project, sequence)):
                entries = self._objects.listing(
                    self._names.journal, prefix=f"{project}/", reverse="true", limit="1"
                )
                async for entry in entries:
                    sequence = max(sequence, int(entry["name"].rpartition("/")[2]))
                    self._know(Position(project, sequence))
                sequence = self._heads.get(project, 0) + 1
            while await self._is_there(Position(project, sequence)):
                self._know(Position(project, sequence))
                sequence += 1

    async def _is_there(self, position: Position) -> bool:
        return await self._objects.head(self._names.line(position)) is not None

    def _know(self, position: Position) -> None:
        known = self._heads.get(position.project, 0)
        self._heads[position.project] = max(known, position.sequence)

    # -- folding --------------------------------------------------------------------------------

    async def contradicted(self, lines: Sequence[JournalLine]) -> set[str]:
        slots = asyncio.Semaphore(AT_ONCE)
        found = set()

        async def look(line: JournalLine) -> None:
            async with slots:
                present = await self._objects.get(self._names.line(line.position))
                if present is not None and present != encode(line):
                    found.add(line.position.project)

        await all_of(look(line) for line in lines)
        return found

    async def folded(self) -> Mapping[str, Folded]:
        folds = await self._folds.find()
        return {name: Folded(newest.start, newest.end) for name, (newest, *_) in folds.items()}

    async def fold(self, *, at_least: int = 0, since: float = NEVER) -> int | None:
        if self._folding.locked():
            return None
        async with self._folding:
            return await self._fold(at_least, since)

    async def _fold(self, at_least: int, since: float) -> int | None:
        folds = await self._folds.find()
        ends = {project: newest.end for project, (newest, *_) in folds.items()}
        fresh: dict[str, int] = {}
        """Bytes that were never folded."""
        old: dict[str, list[Place]] = {}
        """What was folded the last time, and can be deleted after this one."""
        async for entry in self._objects.listing(self._names.journal):
            project, _, number = str(entry["name"]).partition("/")
            self._know(Position(project, int(number)))  # the next listing may not tell of it
            if int(number) > ends.get(project, 0):
                fresh[project] = fresh.get(project, 0) + int(entry["bytes"])
            else:
                place = Place(self._names.journal, entry["name"])
                old.setdefault(project, []).append(place)
        if sum(fresh.values()) < max(at_least, 1):
            return None
        heads = await self.heads()
        left = None
        for project in fresh:
            generations = folds.get(project, [])
            newest = generations[0] if generations else None
            lines = self._lines(project, newest, heads[project])
            count = await self._folds.write(project, heads[project], lines, since)
            if count is not None:
                left = (left or 0) + count
                outdated = [fold.place for fold in generations[1:]]
                await self._objects.delete_all([*old.get(project, []), *outdated])
        return left

    # -- identity -------------------------------------------------------------------------------

    async def identity(self) -> StoreIdentity | None:
        content = await self._objects.get(self._names.store)
        if content is None:
            return None
        try:
            document = json.loads(content)
            return StoreIdentity(str(document["store"]), int(document["epoch"]))
        except (ValueError, TypeError, KeyError) as error:
            raise StorageUnavailable("store.json of the store is damaged") from error

    async def found(self, identity: StoreIdentity) -> None:
        async with self._founding:
            present = await self.identity()
            if present is None:
                content = {"store": identity.store, "epoch": identity.epoch}
                text = json.dumps(content).encode() + b"\n"
                await self._objects.put(self._names.store, text, headers=FIRST_ONLY, accept=WRITTEN)
                await asyncio.gather(
                    asyncio.sleep(self._founding_pause), self._objects.make(self._names.containers)
                )
                present = await self.identity()
            if present != identity:
                other = "nothing" if present is None else f"{present.store}, epoch {present.epoch}"
                raise StorageUnavailable(
                    f"the store says that it is {other}, "
                    f"and not {identity.store}, epoch {identity.epoch}"
                )
