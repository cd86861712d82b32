"""Store and ledger are compared while others change both."""

from collections.abc import Mapping

from registry import agreement
from registry.storage.flusher import Flusher
from registry.storage.memory import MemoryBlobStore, MemoryJournal
from registry.storage.memory_ledger import MemoryLedger
from registry.storage.storage import Storage
from support.ledgers import SHOES, put


async def test_a_change_that_comes_meanwhile_is_no_disagreement() -> None:
    ledger = MemoryLedger()
    pushes = iter("abc")

    class Busy(MemoryJournal):
        """Somebody pushes whenever its heads are asked for."""

        async def heads(self) -> Mapping[str, int]:
            await ledger.put_manifest(put(SHOES, next(pushes), "v1"))
            await self.append(await ledger.pending_lines(await super().heads()))
            return await super().heads()

    journal = Busy()
    storage = Storage(MemoryBlobStore(), journal, ledger, Flusher(ledger, journal))
    await agreement.settle(storage)
    assert storage.disagreement is None
    assert await agreement.check(journal, ledger) is None
    await ledger.restart("shoes", 0)
    assert "behind the journal" in str(await agreement.check(journal, ledger))
