"""What every Journal promises, sentence by sentence."""

import asyncio

import pytest

from contract.ledger_journal_contract import change_everything, observe
from registry import agreement
from registry.oci.errors import StorageUnavailable
from registry.storage.changes import from_line
from registry.storage.memory.ledger import MemoryLedger
from registry.storage.ports.journal import Journal
from registry.storage.records import BlobRecord, JournalLine, Position, StoreIdentity
from support.ledgers import MORE_SHOES, manifest, put, tagged

SHOES = "0123456789abcdef0123456789abcdef"
HATS = "hats"


class JournalContract:
    """Subclass, give the fixture ``journal``, inherit the tests."""

    async def test_a_new_journal_is_empty(self, journal: Journal) -> None:
        assert await everything(journal) == []
        assert await journal.heads() == {}

    async def test_what_was_appended_is_read_back_whole_and_in_order(
        self, journal: Journal
    ) -> None:
        lines = [line(SHOES, 1), line(SHOES, 2, '{"tag": "größer → 🧢"}'), line(SHOES, 3)]
        await journal.append(lines[:1])
        await journal.append(lines[1:])
        assert await everything(journal) == lines
        assert await journal.heads() == {SHOES: 3}

    async def test_projects_are_counted_each_by_itself(self, journal: Journal) -> None:
        await journal.append([line(SHOES, 1), line(HATS, 1), line(SHOES, 2)])
        await journal.append([line(HATS, 2)])
        lines = await everything(journal)
        assert of(lines, SHOES) == [line(SHOES, 1), line(SHOES, 2)]
        assert of(lines, HATS) == [line(HATS, 1), line(HATS, 2)]
        assert await journal.heads() == {SHOES: 2, HATS: 2}

    async def test_appending_nothing_changes_nothing(self, journal: Journal) -> None:
        await journal.append([])
        assert await everything(journal) == []

    async def test_a_line_appended_twice_counts_once(self, journal: Journal) -> None:
        await journal.append([line(SHOES, 1), line(SHOES, 2)])
        await journal.append([line(SHOES, 1), line(SHOES, 2)])
        await journal.append([line(SHOES, 2), line(SHOES, 3)])
        await journal.append([line(SHOES, 1)])
        assert await everything(journal) == [line(SHOES, n) for n in (1, 2, 3)]

    async def test_nothing_to_fold_is_not_folded(self, journal: Journal) -> None:
        assert await journal.fold() is None
        await journal.append([line(SHOES, 1)])
        assert await journal.fold(at_least=1 << 40) is None
        assert await journal.folded() == {}
        assert await everything(journal) == [line(SHOES, 1)]

    async def test_a_fold_makes_the_same_ledger(self, journal: Journal) -> None:
        """A new one, one from before the fold, and one that was never behind."""
        source, early, new = MemoryLedger(), MemoryLedger(), MemoryLedger()
        await change_everything(source)
        lines = await source.pending_lines()
        await early.replay(lines[: len(lines) // 2])
        for each in lines:
            await journal.append([each])
        heads = await journal.heads()
        count = await journal.fold()
        assert await journal.heads() == heads
        left = await everything(journal)
        assert len(left) <= len(lines)
        if count is not None:
            assert set(await journal.folded()) <= set(heads)
            assert len(left) < len(lines)
        await journal.found(IDENTITY)
        for ledger in (early, new, new):
            await agreement.rebuild(journal, ledger, lambda _: None)
            assert await ledger.heads() == heads
            assert names_of(await observe(ledger)) == names_of(await observe(source))

    async def test_a_fold_keeps_deletions_for_as_long_as_they_can_be_taken_back(
        self, journal: Journal
    ) -> None:
        source = MemoryLedger()
        for word in "ab":
            await source.put_manifest(put(MORE_SHOES, word, "v1"))
            await source.delete_manifest(MORE_SHOES, manifest(word).digest)
        lines = await source.pending_lines()
        for each in lines:
            await journal.append([each])
        count = await journal.fold(since=from_line(lines[-1].content).at)
        *old, pushed, deleted = [from_line(each.content) for each in await everything(journal)]
        assert count is None or not old
        assert pushed.manifest == manifest("b")
        assert (deleted.op, deleted.digest) == ("delete-manifest", manifest("b").digest)
        assert deleted.tags == ("v1",)

    async def test_lines_go_on_after_a_fold_and_fold_again(self, journal: Journal) -> None:
        source, copy = MemoryLedger(), MemoryLedger()
        for turn in range(4):
            for word in "abcd":
                await source.put_manifest(
                    put(MORE_SHOES, word, "v1", drafts=tagged(MORE_SHOES, "v1", word))
                )
                await journal.append(await source.pending_lines())
            await journal.fold()
            assert await journal.heads() == {MORE_SHOES.project: 4 * turn + 4}
        await journal.found(IDENTITY)
        await agreement.rebuild(journal, copy, lambda _: None)
        assert names_of(await observe(copy)) == names_of(await observe(source))

    @pytest.mark.parametrize("missing", [1, 3])
    async def test_a_gap_is_refused_and_nothing_of_it_appended(
        self, journal: Journal, missing: int
    ) -> None:
        before = [line(SHOES, n) for n in range(1, missing)]
        await journal.append(before)
        with pytest.raises(StorageUnavailable):
            await journal.append([line(HATS, 1), line(SHOES, missing + 1)])
        assert await everything(journal) == before
        await journal.append([line(SHOES, missing), line(SHOES, missing + 1)])
        assert (await journal.heads())[SHOES] == missing + 1

    async def test_another_line_in_its_place_contradicts_a_line(self, journal: Journal) -> None:
        await journal.append([line(SHOES, 1), line(SHOES, 2), line(HATS, 1)])
        lines = [line(SHOES, 1), line(SHOES, 2), line(HATS, 1), line(HATS, 2)]
        assert await journal.contradicted([]) == set()
        assert await journal.contradicted(lines) == set(), "the same, or not there yet"
        other = line(SHOES, 1, '{"other": true}')
        assert await journal.contradicted([other, *lines[1:]]) == {SHOES}
        assert await journal.contradicted([line(HATS, 2, "{}")]) == set()

    async def test_a_gap_within_the_lines_is_refused(self, journal: Journal) -> None:
        with pytest.raises(StorageUnavailable):
            await journal.append([line(SHOES, 1), line(SHOES, 3)])
        assert await everything(journal) == []

    async def test_a_line_may_be_large(self, journal: Journal) -> None:
        lines = [line(SHOES, n, f'{{"manifest": "{"x" * 4_000_000}"}}') for n in (1, 2)]
        await journal.append(lines)
        assert await everything(journal) == lines

    async def test_many_appends_at_once_lose_nothing(self, journal: Journal) -> None:
        async def append(project: str) -> None:
            for n in range(1, 11):
                await journal.append([line(project, n)])

        await asyncio.gather(*(append(f"project-{n}") for n in range(8)))
        lines = await everything(journal)
        assert len(lines) == 80
        for n in range(8):
            assert of(lines, f"project-{n}") == [line(f"project-{n}", s) for s in range(1, 11)]

    async def test_a_reading_sees_what_was_there_when_it_began(self, journal: Journal) -> None:
        await journal.append([line(SHOES, 1), line(SHOES, 2)])
        lines = journal.read()
        first = await anext(lines)
        await journal.append([line(SHOES, 3)])
        assert [first] + [found async for found in lines] == [line(SHOES, 1), line(SHOES, 2)]

    async def test_heads_are_the_callers_to_keep(self, journal: Journal) -> None:
        await journal.append([line(SHOES, 1)])
        heads = await journal.heads()
        await journal.append([line(SHOES, 2)])
        assert heads == {SHOES: 1}

    async def test_a_store_that_was_never_used_says_nothing(self, journal: Journal) -> None:
        assert await journal.identity() is None

    async def test_a_store_says_what_it_was_told_to_be(self, journal: Journal) -> None:
        await journal.found(IDENTITY)
        assert await journal.identity() == IDENTITY
        await journal.found(IDENTITY)
        assert await journal.identity() == IDENTITY

    @pytest.mark.parametrize(
        "other", [StoreIdentity("another", 1), StoreIdentity("f3b1c2d4", 2)], ids=["id", "epoch"]
    )
    async def test_a_store_is_not_told_to_be_another(
        self, journal: Journal, other: StoreIdentity
    ) -> None:
        await journal.found(IDENTITY)
        with pytest.raises(StorageUnavailable):
            await journal.found(other)
        assert await journal.identity() == IDENTITY

    async def test_of_many_founders_one_wins(self, journal: Journal) -> None:
        identities = [StoreIdentity(str(n), 1) for n in range(8)]
        outcomes = await asyncio.gather(
            *(journal.found(identity) for identity in identities), return_exceptions=True
        )
        winner = await journal.identity()
        for identity, outcome in zip(identities, outcomes, strict=True):
            assert (outcome is None) == (identity == winner)

    @pytest.mark.parametrize(
        "strange",
        [
            JournalLine(Position("", 1), b"{}"),
            JournalLine(Position("*", 1), b"{}"),
            JournalLine(Position("a b", 1), b"{}"),
            JournalLine(Position("a\n", 1), b"{}"),
            JournalLine(Position("a", 0), b"{}"),
            JournalLine(Position("a", 1), b"{\n}"),
        ],
        ids=["no project", "star", "blank", "line end", "zero", "two lines"],
    )
    async def test_what_is_no_line_is_the_callers_mistake(
        self, journal: Journal, strange: JournalLine
    ) -> None:
        with pytest.raises(ValueError, match="journal"):
            await journal.append([strange])
        assert await everything(journal) == []


IDENTITY = StoreIdentity("f3b1c2d4", 1)


def line(project: str, sequence: int, content: str | None = None) -> JournalLine:
    text = content or f'{{"change": "{project} {sequence}"}}'
    return JournalLine(Position(project, sequence), text.encode())


def of(lines: list[JournalLine], project: str) -> list[JournalLine]:
    return [line for line in lines if line.position.project == project]


def names_of(seen: dict[str, object]) -> dict[str, object]:
    """Without links, of which a fold leaves out those that no manifest uses."""
    return {name: each for name, each in seen.items() if not isinstance(each, BlobRecord)}


async def everything(journal: Journal) -> list[JournalLine]:
    return [line async for line in journal.read()]
