"""An earlier or another ledger under a running server is noticed, and made anew."""

import copy
from collections.abc import Mapping

import pytest

from registry import agreement
from registry.agreement import Watch
from registry.oci.errors import ManifestUnknown, StorageUnavailable
from registry.oci.names import Tag
from registry.storage.flusher import Flusher
from registry.storage.memory.blobs import MemoryBlobStore
from registry.storage.memory.journal import MemoryJournal
from registry.storage.memory.ledger import MemoryLedger
from registry.storage.ports.ledger import DOUBT
from registry.storage.records import Position
from registry.storage.storage import Storage
from support.ledgers import HATS, SHOES, put


@pytest.fixture
def ledger() -> MemoryLedger:
    return MemoryLedger()


@pytest.fixture
async def storage(ledger: MemoryLedger) -> Storage:
    journal = MemoryJournal()
    storage = Storage(MemoryBlobStore(), journal, ledger, Flusher(ledger, journal))
    await agreement.settle(storage)
    return storage


@pytest.fixture
async def watch(storage: Storage) -> Watch:
    watch = Watch(storage)
    assert await watch.look()
    return watch


async def push(storage: Storage, word: str) -> None:
    await storage.flusher.flush(await storage.ledger.put_manifest(put(SHOES, word, word)))


def put_back(ledger: MemoryLedger, state: dict[str, object]) -> None:
    ledger.__dict__.update(copy.deepcopy(state))


def state_of(ledger: MemoryLedger) -> dict[str, object]:
    kept = {name: value for name, value in vars(ledger).items() if name != "interruptions"}
    return copy.deepcopy(kept)


async def rebuild(storage: Storage) -> None:
    await agreement.rebuild(storage.journal, storage.ledger, lambda _: None, batch=2)


async def test_where_all_is_well_nothing_is_done(storage: Storage, watch: Watch) -> None:
    await push(storage, "a")
    assert not await watch.look()
    assert storage.disagreement is None


async def test_after_an_interruption_nothing_is_believed_until_it_was_compared(
    storage: Storage, ledger: MemoryLedger, watch: Watch
) -> None:
    await push(storage, "a")
    ledger.interruptions += 1
    assert watch.is_in_doubt
    with pytest.raises(StorageUnavailable):
        await push(storage, "b")
    assert await watch.look(), "it is as it was"
    assert storage.disagreement is None
    await push(storage, "c")
    assert await storage.journal.heads() == {"shoes": 3}, "the line that waited went along"


async def test_a_comparison_that_was_interrupted_proves_nothing(
    storage: Storage, ledger: MemoryLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    heads = ledger.heads

    async def interrupted() -> object:
        ledger.interruptions += 1
        return await heads()

    monkeypatch.setattr(ledger, "heads", interrupted)
    await agreement.settle(storage)
    assert storage.disagreement == DOUBT


async def test_a_line_drawn_by_a_ledger_that_was_put_back_gives_way_to_the_journals(
    storage: Storage, ledger: MemoryLedger, watch: Watch
) -> None:
    await push(storage, "a")
    await storage.flusher.flush_all()
    earlier = state_of(ledger)
    await push(storage, "b")
    lines = [line async for line in storage.journal.read()]
    put_back(ledger, earlier)
    ledger.interruptions += 1
    with pytest.raises(StorageUnavailable):
        await push(storage, "c")
    assert await ledger.heads() == await storage.journal.heads(), "as long, but not the same"
    assert not await watch.look()
    assert "went another way" in str(storage.disagreement)
    await rebuild(storage)
    assert await watch.look()
    assert (await ledger.find_manifest(SHOES, Tag.parse("b"))).content == b"manifest b"
    with pytest.raises(ManifestUnknown):
        await ledger.find_manifest(SHOES, Tag.parse("c"))
    assert await ledger.put_manifest(put(SHOES, "c")) == Position("shoes", 3)
    await storage.flusher.flush_all()
    assert [line async for line in storage.journal.read()][:2] == lines


async def test_a_ledger_that_was_put_back_in_place_is_noticed(
    storage: Storage, ledger: MemoryLedger, watch: Watch
) -> None:
    await push(storage, "a")
    earlier = state_of(ledger)
    await push(storage, "b")
    assert not await watch.look()
    put_back(ledger, earlier)
    assert not await watch.look()
    assert "behind" in str(storage.disagreement)
    await rebuild(storage)
    assert await watch.look()


async def test_a_rebuild_that_is_under_way_is_noticed(
    storage: Storage, ledger: MemoryLedger, watch: Watch
) -> None:
    await push(storage, "a")
    identity = await storage.journal.identity()
    assert identity is not None
    await ledger.found(identity, whole=False)
    assert not await watch.look()
    assert "half rebuilt" in str(storage.disagreement)
    await rebuild(storage)
    assert await watch.look()


async def test_a_rebuild_of_a_ledger_that_fits_stops_nobody(
    storage: Storage, ledger: MemoryLedger
) -> None:
    await push(storage, "a")
    seen: list[bool] = []

    async def rebuild_beside() -> None:
        def progress(_: int) -> None:
            assert ledger._identity is not None
            seen.append(ledger._identity[1])

        await agreement.rebuild(storage.journal, storage.ledger, progress)

    await rebuild_beside()
    assert seen == [True]
    await ledger.put_manifest(put(HATS, "a"))


async def test_what_cannot_be_asked_is_a_disagreement(
    storage: Storage, ledger: MemoryLedger, watch: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away() -> int:
        raise StorageUnavailable("the ledger's file was put aside")

    with monkeypatch.context() as patch:
        patch.setattr(ledger, "count_lines", away)
        with pytest.raises(StorageUnavailable):
            await watch.look()
        assert storage.disagreement == "the ledger's file was put aside"
    assert await watch.look()


class BusyJournal(MemoryJournal):
    """Whenever it is asked how far it is, somebody has just written one more line."""

    def __init__(self, ledger: MemoryLedger) -> None:
        super().__init__()
        self._ledger = ledger

    async def heads(self) -> Mapping[str, int]:
        await self._ledger.put_manifest(put(SHOES, "boot", "v1"))
        await self.append(await self._ledger.pending_lines())
        return await super().heads()


async def test_a_store_that_others_write_to_is_not_taken_for_one_ahead_of_its_ledger() -> None:
    ledger = MemoryLedger()
    journal = BusyJournal(ledger)
    for _ in range(3):
        assert await agreement.check(journal, ledger) is None
    assert (await ledger.heads())["shoes"] == 2
