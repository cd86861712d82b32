"""A folded journal makes the same names as the whole one, and is never longer."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory, mkdtemp
from typing import Any, cast

from hypothesis import given, settings
from hypothesis import strategies as st

from registry.oci.errors import RegistryError
from registry.oci.names import RepositoryName, Tag
from registry.storage.changes import Change, from_line, to_line
from registry.storage.folding import NEVER, Fold
from registry.storage.ledger import SqlLedger
from registry.storage.memory.ledger import MemoryLedger
from registry.storage.memory.names import Names
from registry.storage.records import JournalLine, Position
from support.ledgers import (
    HATS,
    MORE_SHOES,
    SHOES,
    Template,
    blob,
    manifest,
    platform,
    put,
    put_index,
    share_with,
    tagged,
)

TEMPLATE = Template(Path(mkdtemp()))
CONTENT = {"a": (), "b": ("sole",), "c": ("lace",), "d": ("lace", "sole")}
NAMES = st.sampled_from([SHOES, MORE_SHOES, HATS])
WORDS = st.sampled_from("abcd")
TAGS = st.sampled_from(["v1", "v2", "v3"])
CHAINS = st.sampled_from([("base",), ("base", "x"), ("base", "x", "y"), ("other",)])
BLOBS = st.sampled_from(["sole", "lace"])
STEPS = st.one_of(
    st.tuples(st.just("put"), NAMES, WORDS, TAGS, CHAINS),
    st.tuples(st.just("untagged"), NAMES, WORDS),
    st.tuples(st.just("index"), NAMES, WORDS, TAGS),
    st.tuples(st.just("delete-tag"), NAMES, TAGS),
    st.tuples(st.just("delete-manifest"), NAMES, WORDS),
    st.tuples(st.just("store"), NAMES, BLOBS),
    st.tuples(st.just("unlink"), NAMES, BLOBS),
    st.tuples(st.just("share"), st.integers(0, 20)),
)


async def carry_out(ledger: MemoryLedger, step: Any) -> None:
    match step:
        case ("put", name, word, tag, chain):
            blobs = tuple(blob(each) for each in CONTENT[word])
            pushed = put(
                name, word, tag, blobs=blobs, sparse=True, drafts=tagged(name, tag, *chain)
            )
            await ledger.put_manifest(pushed)
        case ("untagged", name, word):
            blobs = tuple(blob(each) for each in CONTENT[word])
            await ledger.put_manifest(put(name, word, blobs=blobs, sparse=True))
        case ("index", name, word, tag):
            part = platform(name, word, "base", word)
            top = tagged(name, tag, "base", word, uses=(part[-1].key,))
            drafts = {each.key: each for each in (*top[:-1], *part, top[-1])}
            children = (manifest(word).digest,)
            await ledger.put_manifest(
                put_index(name, "index", tag, children=children, drafts=tuple(drafts.values()))
            )
        case ("delete-tag", name, tag):
            await ledger.delete_tag(name, Tag.parse(tag))
        case ("delete-manifest", name, word):
            await ledger.delete_manifest(name, manifest(word).digest)
        case ("store", name, held):
            await ledger.finish_upload(name, None, blob(held))
        case ("unlink", name, held):
            await ledger.unlink_blob(name, blob(held).digest)
        case (_, number):  # share
            found = await ledger.list_records(projects=None, filters={}, limit=100)
            if found:
                record = found[number % len(found)]
                await share_with(ledger, record.id, "others")
        case _:
            raise AssertionError(step)


def live(steps: Sequence[Any]) -> list[JournalLine]:
    """The lines of a ledger that took *steps*."""

    async def work() -> list[JournalLine]:
        ledger = MemoryLedger()
        for step in steps:
            try:
                await carry_out(ledger, step)
            except RegistryError:
                continue
        return await ledger.pending_lines()

    return asyncio.run(work())


def fold(lines: Sequence[JournalLine], since: float = NEVER) -> list[JournalLine]:
    folding = Fold(since)
    for line in lines:
        folding.look(line)
    folded = list(folding.folded(lines))
    for project, bound in folding.bounds().items():
        sequences = [each.position.sequence for each in folded if each.position.project == project]
        assert sequences == list(range(bound.start + 1, bound.end + 1))
    return folded


def names(lines: Sequence[JournalLine]) -> Names:
    """What *lines* make; without links that no manifest uses, and what only these hold."""
    made = Names()
    for line in lines:
        change = from_line(line.content)
        for state in change.records:  # a database would refuse it
            named = {*state.uses, state.record.parent_id} - {None}
            mine = {each.record.id for each in change.records}
            assert named <= set(made.records) | mine
        made.apply(change)
    used = {key for key in made.links if made.is_named(*key)}
    made.links = dict.fromkeys(used, 0.0)
    made.blobs = {digest: made.blobs[digest] for _, digest in used}
    return made


@settings(max_examples=300, deadline=None)
@given(st.lists(STEPS, max_size=40), st.data())
def test_a_fold_makes_the_same_names(steps: list[Any], data: st.DataObject) -> None:
    lines = live(steps)
    moments = [from_line(line.content).at for line in lines]
    since = data.draw(st.sampled_from([NEVER, 0.0, *moments]))
    folded = fold(lines, since)
    assert names(folded) == names(lines)
    assert len(folded) <= len(lines)
    assert fold(folded, since) == folded, "what is folded folds no further"
    # A fold of a part, with the rest behind it, as a journal has them.
    cut = data.draw(st.integers(0, len(lines)))
    kept = {line.position for line in lines[:cut]}
    assert names(
        [*fold(lines[:cut], since), *(line for line in lines if line.position not in kept)]
    ) == (names(lines))


async def thrown_away(lines: Sequence[JournalLine], path: Path) -> list[tuple[object, ...]]:
    """What can be taken back where *lines* were replayed."""
    ledger = SqlLedger(await TEMPLATE.copy(path))
    starts = {line.position.project: line.position.sequence - 1 for line in reversed(lines)}
    for project, start in starts.items():
        await ledger.restart(project, start)
    await ledger.replay(lines)
    found = []
    for each in await ledger.trash.list(limit=100):
        content = await ledger.trash.content(each.id)
        found.append((each.deleted_at, str(each.repository), content, each.tags, each.whole))
    await ledger.close()
    return sorted(found)


@settings(max_examples=40, deadline=None)
@given(st.lists(STEPS, max_size=40), st.data())
def test_what_was_deleted_of_late_can_be_taken_back_after_a_fold(
    steps: list[Any], data: st.DataObject
) -> None:
    lines = []
    for line in live(steps):
        change = from_line(line.content)
        if change.op == "put" and data.draw(st.booleans()):
            change = replace(change, op="undelete")
        lines.append(JournalLine(line.position, to_line(change)))
    since = data.draw(st.sampled_from([from_line(line.content).at for line in lines] or [0.0]))
    with TemporaryDirectory() as directory:
        whole = asyncio.run(thrown_away(lines, Path(directory) / "whole.db"))
        folded = asyncio.run(thrown_away(fold(lines, since), Path(directory) / "folded.db"))
    assert folded == [each for each in whole if cast("float", each[0]) >= since]


def test_a_repository_that_is_empty_is_still_known() -> None:
    lines = live([("put", SHOES, "a", "v1", ("base",)), ("delete-manifest", SHOES, "a")])
    (left,) = fold(lines)
    assert names([left]).repositories == {SHOES}
    assert left.position == lines[-1].position


def test_a_tag_that_moves_leaves_one_line_each() -> None:
    moves = [("put", SHOES, word, "v1", ("base", word)) for word in "abcd" * 10]
    lines = live(moves)
    folded = fold(lines)
    assert len(lines) == len(moves)
    assert len(folded) == len(set("abcd")) + 1, "four manifests, and the tag's last move"


def test_projects_are_folded_each_by_itself() -> None:
    other = RepositoryName("hats", "straw")
    steps = [("put", name, "a", "v1", ("base",)) for name in (SHOES, other, SHOES, SHOES)]
    folded = fold(live(steps))
    assert {line.position.project for line in folded} == {SHOES.project, "hats"}


def test_a_fold_knows_the_last_object_of_a_blob_in_every_repository() -> None:
    """It may have been healed by a push to another one."""

    async def work() -> list[JournalLine]:
        ledger = MemoryLedger()
        for name in (SHOES, HATS):
            await ledger.finish_upload(name, None, blob("sole"))
            await ledger.put_manifest(put(name, "b", "v1", blobs=(blob("sole"),)))
        lines = await ledger.pending_lines()
        change = from_line(lines[0].content)
        fresh = replace(blob("sole"), object="another")
        healed = Change("link", change.repository, change.at + 99, blobs=(fresh,))
        head = (await ledger.heads())[change.repository.project]
        position = Position(change.repository.project, head + 1)
        return [*lines, JournalLine(position, to_line(healed))]

    folded = fold(sorted(asyncio.run(work()), key=lambda line: line.position))
    told = [each for line in folded for each in from_line(line.content).blobs]
    assert [each.object for each in told] == ["another", "another"]
