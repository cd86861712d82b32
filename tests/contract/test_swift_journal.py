"""The journal in Swift: the port's promises on a real one, what lies there, what lags or fails."""

import asyncio
import json
from collections.abc import Mapping
from typing import Any

import pytest

from contract.journal_contract import (
    HATS,
    IDENTITY,
    SHOES,
    JournalContract,
    everything,
    line,
    of,
)
from registry import agreement
from registry.oci.digest import Digest
from registry.oci.errors import StorageFull, StorageUnavailable
from registry.storage.lines import encode
from registry.storage.memory.ledger import MemoryLedger
from registry.storage.ports.journal import Journal
from registry.storage.records import JournalLine, StoreIdentity
from registry.storage.swift import SwiftAccount, SwiftJournal
from registry.storage.swift.names import Names, Place
from registry.storage.swift.objects import Objects
from support.faultpoints import methods
from support.faultproxy import FaultProxy
from support.ledgers import MORE_SHOES, put, tagged
from support.streams import stream
from support.swift import blobs_of, lies_in


class TestSwiftJournal(JournalContract):
    @pytest.fixture
    def journal(self, account: SwiftAccount, prefix: str) -> Journal:
        return SwiftJournal(account, prefix=prefix)


class TestOneOfTwoSwiftJournals(JournalContract):
    """Each call goes to the other one: what a second process sees."""

    @pytest.fixture
    def journal(self, account: SwiftAccount, prefix: str) -> Journal:
        return Alternating(*(SwiftJournal(account, prefix=prefix) for _ in range(2)))


class Alternating(SwiftJournal):
    def __init__(self, *journals: SwiftJournal) -> None:
        self._journals = list(journals)

    def __getattribute__(self, name: str) -> object:
        if name in methods(Journal):
            journals = object.__getattribute__(self, "_journals")
            journals.append(journals.pop(0))
            return getattr(journals[0], name)
        return object.__getattribute__(self, name)


@pytest.fixture
def journal(account: SwiftAccount, prefix: str) -> SwiftJournal:
    return SwiftJournal(account, prefix=prefix)


@pytest.fixture
def again(account: SwiftAccount, prefix: str) -> SwiftJournal:
    """Another process's, which knows nothing yet."""
    return SwiftJournal(account, prefix=prefix)


@pytest.fixture
def spoilt(behind: SwiftAccount, prefix: str) -> SwiftJournal:
    """Another process's, behind the proxy."""
    return SwiftJournal(behind, prefix=prefix)


async def overwrite(account: SwiftAccount, prefix: str, each: JournalLine, text: bytes) -> None:
    await Objects(account).put(Names(prefix).line(each.position), text)


# -- what lies there ------------------------------------------------------------------------------


async def test_a_line_is_an_object_under_its_project_and_number(
    journal: SwiftJournal, account: SwiftAccount, prefix: str
) -> None:
    await journal.append([line(SHOES, 1), line(SHOES, 2)])
    found = await lies_in(account, prefix)
    assert found == {
        "journal": [f"{SHOES}/{n:016}" for n in (1, 2)],
        "meta": [f"projects/{1:016}"],
    }
    assert await Objects(account).get(Names(prefix).line(line(SHOES, 2).position)) == encode(
        line(SHOES, 2)
    )


async def test_a_line_with_other_content_is_not_taken_for_the_same(
    journal: SwiftJournal, again: SwiftJournal
) -> None:
    await journal.append([line(SHOES, 1), line(SHOES, 2)])
    for one in (journal, again):
        with pytest.raises(StorageUnavailable, match=r"line 2 .*other content"):
            await one.append([line(SHOES, 1), line(SHOES, 2, '{"another": "ledger"}')])
    assert await everything(again) == [line(SHOES, 1), line(SHOES, 2)]


async def test_a_project_that_would_be_two_folders_is_refused(journal: SwiftJournal) -> None:
    with pytest.raises(ValueError, match="journal"):
        await journal.append([line("a/b", 1)])


async def test_missing_damaged_and_mistaken_lines_are_told(
    journal: SwiftJournal, account: SwiftAccount, prefix: str
) -> None:
    lines = [line(SHOES, n) for n in (1, 2, 3)]
    await journal.append(lines)
    for text, words in (
        (encode(lines[1])[:-3] + b"?}\n", "line 2 .*checksum"),
        (encode(lines[0]), "line 2 .*another"),
        (b"", "line 2 .*no line"),
    ):
        await overwrite(account, prefix, lines[1], text)
        with pytest.raises(StorageUnavailable, match=words):
            await everything(journal)
    await Objects(account).delete(Names(prefix).line(lines[1].position))
    with pytest.raises(StorageUnavailable, match=r"line 2 .*missing"):
        await everything(journal)


async def test_a_reading_may_be_broken_off(journal: SwiftJournal) -> None:
    await journal.append([line(SHOES, n) for n in range(1, 12)])
    reading = journal.read()
    assert await anext(reading) == line(SHOES, 1)
    await reading.aclose()  # type: ignore[attr-defined]


@pytest.mark.parametrize("text", [b"{", b"[]", b'{"store": "x"}'])
async def test_a_damaged_identity_is_no_identity_of_another(
    journal: SwiftJournal, account: SwiftAccount, prefix: str, text: bytes
) -> None:
    await journal.found(IDENTITY)
    await Objects(account).put(Place(f"{prefix}-meta", "store.json"), text)
    for attempt in (journal.identity, lambda: journal.found(IDENTITY)):
        with pytest.raises(StorageUnavailable, match=r"store\.json"):
            await attempt()


async def test_of_founders_in_many_processes_one_wins(account: SwiftAccount, prefix: str) -> None:
    journals = [SwiftJournal(account, prefix=prefix) for _ in range(6)]
    identities = [StoreIdentity(str(n), 1) for n in range(6)]
    outcomes = await asyncio.gather(
        *(one.found(each) for one, each in zip(journals, identities, strict=True)),
        return_exceptions=True,
    )
    winner = await journals[0].identity()
    assert [each for each, failure in zip(identities, outcomes, strict=True) if not failure] == [
        winner
    ]


async def test_a_store_has_its_containers_before_anything_is_pushed(
    behind: SwiftAccount, proxy: FaultProxy, account: SwiftAccount, prefix: str
) -> None:
    """Whoever pushed first would wait for three requests where one is enough."""
    await SwiftJournal(account, prefix=prefix).found(IDENTITY)
    assert len(await lies_in(account, prefix)) == 19
    async with blobs_of(behind, prefix) as store:
        for content in (b"a", b"b", b"c"):
            await store.put(Digest.of(content), 1, stream(content))
    assert len(proxy.requests) == 3


async def test_a_container_that_cannot_be_made_yet_hinders_no_founding(
    behind: SwiftAccount, proxy: FaultProxy, prefix: str
) -> None:
    proxy.spoil(rf"^PUT .*/{prefix}-blobs-\w+ ", status=403, times=16)
    journal = SwiftJournal(behind, prefix=prefix)
    await journal.found(IDENTITY)
    assert await journal.identity() == IDENTITY
    assert proxy.asked(f"{prefix}-blobs-") == 16
    async with blobs_of(behind, prefix) as store:
        await store.put(Digest.of(b"a"), 1, stream(b"a"))


# -- folds ----------------------------------------------------------------------------------------


async def fill(journal: Journal, ledger: MemoryLedger, count: int) -> None:
    """Push the same again and again: two of these lines make the same names."""
    for _ in range(count):
        drafts = tagged(MORE_SHOES, "v1", "a")
        await ledger.put_manifest(put(MORE_SHOES, "a", "v1", drafts=drafts))
    await journal.append(await ledger.pending_lines())
    await ledger.settle(await ledger.heads())


async def test_lines_are_deleted_once_two_folds_stand_for_them(
    journal: SwiftJournal, again: SwiftJournal, account: SwiftAccount, prefix: str
) -> None:
    source, copy = MemoryLedger(), MemoryLedger()
    project = MORE_SHOES.project
    for count, lines, folds in ((6, 6, 1), (4, 4, 2), (3, 3, 2)):
        await fill(journal, source, count)
        before = again.read()
        first = await anext(before)
        assert await journal.fold()
        last = [first, *[each async for each in before]][-1]
        assert last.position.sequence == (await source.heads())[project]
        found = await lies_in(account, prefix)
        assert len(found["journal"]) == lines
        assert sum(name.startswith("folds/") for name in found["meta"]) == folds
        assert await again.heads() == journal._heads == await source.heads()
        assert await journal.fold() is None
    await journal.found(IDENTITY)
    await agreement.rebuild(again, copy, lambda _: None)
    assert await copy.heads() == await source.heads()
    late = [line(project, 2), line(project, 3)]
    await SwiftJournal(account, prefix=prefix).append(late)
    assert (await again.folded())[project].end == 13
    assert [each.position.sequence async for each in again.read()][-1] == 13


async def test_a_fold_that_is_damaged_or_another_is_told(
    journal: SwiftJournal, again: SwiftJournal, account: SwiftAccount
) -> None:
    await fill(journal, MemoryLedger(), 6)
    await journal.fold()
    ((_, (fold,)),) = (await journal._folds.find()).items()
    objects = Objects(account)
    whole = await objects.get(fold.place)
    assert whole is not None
    await objects.delete(fold.place)
    other = Place(fold.place.container, fold.place.name.replace("-", "-1"))
    for place, text in (
        (fold.place, whole[:-20]),
        (fold.place, whole[:40] + b"?" + whole[41:]),
        (fold.place, b"no zstandard"),
        (other, whole),
    ):
        await objects.put(place, text)
        with pytest.raises(StorageUnavailable, match=r"fold of .* is damaged"):
            await everything(again)
        await objects.delete(place)
    with pytest.raises(StorageUnavailable, match=r"fold of .* is missing"):
        [each async for each in journal._folds.read(fold)]


async def test_what_is_no_change_is_not_folded(journal: SwiftJournal) -> None:
    await journal.append([line(HATS, 1)])
    with pytest.raises(StorageUnavailable, match="cannot be folded"):
        await journal.fold()
    assert await everything(journal) == [line(HATS, 1)]


async def test_a_fold_goes_by_all_that_either_listing_tells(
    spoilt: SwiftJournal, journal: SwiftJournal, proxy: FaultProxy
) -> None:
    await fill(journal, MemoryLedger(), 6)
    proxy.spoil("^GET .*-journal.*delimiter", status=200, body=b"[]")
    assert await spoilt.fold()
    assert dict(await spoilt.heads()) == dict(await journal.heads())


async def test_of_a_fold_that_changed_on_its_way_nothing_is_left(
    spoilt: SwiftJournal, journal: SwiftJournal, proxy: FaultProxy
) -> None:
    await fill(journal, MemoryLedger(), 6)
    before = await everything(journal)
    proxy.spoil("^PUT .*folds", flips=True)
    with pytest.raises(StorageUnavailable):
        await spoilt.fold()
    assert await everything(journal) == before
    assert await spoilt.fold()
    assert await everything(journal) == await everything(spoilt)


async def test_one_process_folds_once_at_a_time(journal: SwiftJournal) -> None:
    await fill(journal, MemoryLedger(), 3)
    outcomes = await asyncio.gather(journal.fold(), journal.fold())
    assert sorted(each is None for each in outcomes) == [False, True]


# -- faults ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "fault", [{"loses_answer": True}, {"refuses": True}, {"status": 503}], ids=str
)
async def test_an_append_whose_answer_was_lost_is_repeated(
    spoilt: SwiftJournal, journal: SwiftJournal, proxy: FaultProxy, fault: Mapping[str, Any]
) -> None:
    await journal.append([line(SHOES, 1)])
    proxy.spoil("^PUT", **fault)
    await spoilt.append([line(SHOES, 2), line(SHOES, 3)])
    assert await everything(journal) == [line(SHOES, n) for n in (1, 2, 3)]


async def test_an_append_that_fails_leaves_no_gap(
    spoilt: SwiftJournal, journal: SwiftJournal, proxy: FaultProxy
) -> None:
    await journal.append([line(SHOES, 1)])
    proxy.spoil(f"^PUT .*{SHOES}/0*3 ", status=507)
    with pytest.raises(StorageFull):
        await spoilt.append([line(SHOES, n) for n in range(1, 6)] + [line(HATS, 1)])
    assert of(await everything(journal), SHOES) == [line(SHOES, 1), line(SHOES, 2)]
    assert of(await everything(journal), HATS) == [line(HATS, 1)]
    await spoilt.append([line(SHOES, n) for n in range(1, 6)])
    assert (await journal.heads())[SHOES] == 5


async def test_what_a_lagging_listing_does_not_tell_is_looked_for_by_name(
    spoilt: SwiftJournal, journal: SwiftJournal, proxy: FaultProxy
) -> None:
    await journal.append([line(SHOES, n) for n in range(1, 6)])
    old = json.dumps([{"name": f"{SHOES}/{3:016}", "bytes": 9}]).encode()
    proxy.spoil("^GET .*prefix=", times=100, status=200, body=old)
    assert await spoilt.heads() == {SHOES: 5}
    assert await everything(spoilt) == [line(SHOES, n) for n in range(1, 6)]


async def test_a_project_that_a_listing_forgets_is_remembered(
    spoilt: SwiftJournal, journal: SwiftJournal, proxy: FaultProxy
) -> None:
    await spoilt.append([line(SHOES, 1)])
    await journal.append([line(SHOES, 2)])
    proxy.spoil("^GET .*delimiter", times=100, status=204)
    assert await spoilt.heads() == {SHOES: 2}


async def test_a_line_that_swift_has_and_has_not_is_unavailable(
    spoilt: SwiftJournal, proxy: FaultProxy
) -> None:
    proxy.spoil(f"^PUT .*{SHOES}/0", times=100, status=412)
    with pytest.raises(StorageUnavailable, match="has it not"):
        await spoilt.append([line(SHOES, 1)])


async def test_a_store_that_lost_its_identity_at_once_is_unavailable(
    spoilt: SwiftJournal, proxy: FaultProxy
) -> None:
    proxy.spoil("^GET", times=2, status=404)
    with pytest.raises(StorageUnavailable, match="nothing"):
        await spoilt.found(IDENTITY)
