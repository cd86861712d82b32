"""The journal in files, step by step beside the model: several processes, restarts, torn lines."""

import asyncio
import tempfile
from collections.abc import Coroutine
from pathlib import Path
from typing import TypeVar

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from registry.oci.errors import StorageUnavailable
from registry.storage.journal_file import FilesystemJournal
from registry.storage.memory.journal import MemoryJournal
from registry.storage.ports.journal import Journal
from registry.storage.records import JournalLine, Position, StoreIdentity

Answer = TypeVar("Answer")

PROJECTS = st.sampled_from(["shoes", "hats", "0123456789abcdef0123456789abcdef"])
WHO = st.integers(0, 2)
TORN = b'hats 1 0123456789abcdef {"content": "torn'


class JournalMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.directory = tempfile.TemporaryDirectory()
        self.path = Path(self.directory.name)
        self.model = MemoryJournal()
        self.journals: list[FilesystemJournal] = []

    def teardown(self) -> None:
        self.loop.run_until_complete(self.loop.shutdown_default_executor())
        self.loop.close()
        self.directory.cleanup()

    def run(self, work: Coroutine[None, None, Answer]) -> Answer | None:
        """What *work* answers; None if it is unavailable."""
        try:
            return self.loop.run_until_complete(work)
        except StorageUnavailable:
            return None

    def line(self, project: str, sequence: int) -> JournalLine:
        content = f'{{"change": "{project} {sequence}", "size": "{"x" * (sequence % 7 * 100)}"}}'
        return JournalLine(Position(project, sequence), content.encode())

    @initialize()
    def start(self) -> None:
        self.journals = [FilesystemJournal(self.path, rotate_at=1000) for _ in range(3)]

    @rule(who=WHO)
    def restart(self, who: int) -> None:
        self.journals[who] = FilesystemJournal(self.path, rotate_at=1000)

    @rule(
        who=WHO,
        changes=st.lists(st.tuples(PROJECTS, st.integers(1, 4), st.integers(-3, 1)), max_size=3),
    )
    def append(self, who: int, changes: list[tuple[str, int, int]]) -> None:
        """Runs of lines, some of them there already, now and then with a gap."""
        heads = dict(self.run(self.model.heads()) or {})
        lines = []
        for project, count, shift in changes:
            first = max(1, heads.get(project, 0) + 1 + shift)
            lines += [self.line(project, first + n) for n in range(count)]
            heads[project] = max(heads.get(project, 0), first + count - 1)
        done = [
            self.run(self.acknowledged(journal, lines))
            for journal in (self.model, self.journals[who])
        ]
        assert done[0] == done[1]

    async def acknowledged(self, journal: Journal, lines: list[JournalLine]) -> bool:
        await journal.append(lines)
        return True

    @precondition(lambda self: self.logs())
    @rule(keep=st.integers(1, len(TORN)))
    def a_writer_dies_within_a_line(self, keep: int) -> None:
        with self.logs()[-1].open("ab") as file:
            file.write(TORN[:keep])

    @rule(who=WHO, store=st.sampled_from(["first", "second"]))
    def found(self, who: int, store: str) -> None:
        identity = StoreIdentity(store, 1)
        for journal in (self.model, self.journals[who]):
            self.run(journal.found(identity))
        assert self.run(self.model.identity()) == self.run(self.journals[who].identity())

    @rule(who=WHO)
    def heads(self, who: int) -> None:
        assert self.run(self.journals[who].heads()) == self.run(self.model.heads())

    @rule(who=WHO)
    def read(self, who: int) -> None:
        expected = self.run(self.everything(self.model))
        assert self.run(self.everything(self.journals[who])) == expected

    async def everything(self, journal: Journal) -> list[JournalLine]:
        return sorted([line async for line in journal.read()], key=lambda line: line.position)

    @invariant()
    def nothing_is_left_aside(self) -> None:
        assert list(self.path.rglob("*.aside")) == []

    def logs(self) -> list[Path]:
        return sorted(self.path.glob("journal/*.log"))


JournalMachine.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestJournal = JournalMachine.TestCase
