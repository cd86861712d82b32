"""Which projects have a journal in Swift: found whatever the listings tell."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from contract.journal_contract import HATS, SHOES, everything, line
from contract.test_swift_journal import fill
from registry.oci.errors import StorageUnavailable
from registry.storage.memory.ledger import MemoryLedger
from registry.storage.swift import SwiftAccount, SwiftJournal
from registry.storage.swift.names import Names
from registry.storage.swift.objects import Objects
from support.faultproxy import FaultProxy


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


def tell_nothing(monkeypatch: pytest.MonkeyPatch, but: str | None = None) -> None:
    """Have all listings lag behind everything, but for one of a certain prefix."""
    listing = Objects.listing

    async def lag(objects: Objects, container: str, **query: str) -> AsyncIterator[dict[str, Any]]:
        if but is not None and query.get("prefix") == but:
            async for entry in listing(objects, container, **query):
                yield entry

    monkeypatch.setattr(Objects, "listing", lag)


async def test_what_no_listing_tells_of_is_found(
    journal: SwiftJournal, again: SwiftJournal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A ledger that was lost is made anew at such a moment, too."""
    names = [f"project-{n}" for n in range(5)]
    await journal.append([line(name, 1) for name in (SHOES, HATS)])
    await journal.append([line(SHOES, 2), *(line(name, 1) for name in names)])
    tell_nothing(monkeypatch)
    assert await again.heads() == {SHOES: 2, HATS: 1, **dict.fromkeys(names, 1)}
    assert len(await everything(again)) == 8


async def test_what_was_folded_is_found_though_no_listing_tells_of_its_lines(
    journal: SwiftJournal, again: SwiftJournal, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = MemoryLedger()
    for _ in range(2):
        await fill(journal, source, 4)
        assert await journal.fold()
    await fill(journal, source, 4)
    told = await everything(journal)
    tell_nothing(monkeypatch, but="folds/")
    assert await again.heads() == await source.heads()
    assert await everything(again) == told


async def test_who_cannot_note_a_project_writes_no_line_of_it(
    spoilt: SwiftJournal, again: SwiftJournal, proxy: FaultProxy
) -> None:
    proxy.spoil("^PUT .*/projects/", times=100, status=412)
    with pytest.raises(StorageUnavailable, match="could not be noted"):
        await spoilt.append([line(SHOES, 1)])
    assert await again.heads() == {}
    proxy.rules.clear()
    await spoilt.append([line(SHOES, 1)])
    assert await again.heads() == {SHOES: 1}


async def test_who_was_overwritten_is_noted_again_by_its_next_writer(
    journal: SwiftJournal, again: SwiftJournal, account: SwiftAccount, prefix: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """Of two conditional PUTs of one number both may succeed."""
    await journal.append([line(SHOES, 1)])
    await Objects(account).put(Names(prefix).project(1), HATS.encode())
    await again.append([line(HATS, 1), line(SHOES, 2)])
    tell_nothing(monkeypatch)
    assert await SwiftJournal(account, prefix=prefix).heads() == {HATS: 1, SHOES: 2}


async def test_a_damaged_name_is_told(
    journal: SwiftJournal, again: SwiftJournal, account: SwiftAccount, prefix: str
) -> None:
    await journal.append([line(SHOES, 1)])
    await Objects(account).put(Names(prefix).project(1), b"\xff")
    with pytest.raises(StorageUnavailable, match=r"projects/0+1 of the store is damaged"):
        await again.heads()


async def test_a_store_of_before_notes_its_projects_with_their_next_line(
    journal: SwiftJournal, again: SwiftJournal, account: SwiftAccount, prefix: str
) -> None:
    await journal.append([line(SHOES, 1)])
    await Objects(account).delete(Names(prefix).project(1))
    assert await again.heads() == {SHOES: 1}
    await again.append([line(SHOES, 2)])
    assert await Objects(account).get(Names(prefix).project(1)) == SHOES.encode()
