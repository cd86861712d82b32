"""Faults that are put into a server on purpose: a harness that stays green on one is no harness."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from typing import Any

from registry import stores as real_stores
from registry import wiring as real_wiring
from registry.oci.digest import Digest
from registry.storage.records import BlobRecord, ManifestPut, Position
from registry.storage.storage import Storage

stores: Any = real_stores
wiring: Any = real_wiring
"""Its names are replaced here, which types forbid with reason."""
_kept: set[asyncio.Task[Any]] = set()


def plant(name: str | None) -> None:
    """Put one fault into this process."""
    if name is not None:
        FAULTS[name]()


def acknowledge_before_the_journal() -> None:
    """A change is answered while its line is only in the ledger."""

    async def flush(self: object, position: Position) -> None:
        del self, position

    async def flush_all(self: object) -> None:
        del self

    stores.Flusher.flush = flush
    stores.Flusher.flush_all = flush_all


def acknowledge_before_the_bytes() -> None:
    """A blob is answered while its bytes are still on their way."""
    put: Callable[..., Awaitable[BlobRecord]] = stores.FilesystemBlobStore.put

    async def late(
        self: Any, digest: Digest, size: int | None, chunks: AsyncIterator[bytes]
    ) -> BlobRecord:
        stored = await put(self, digest, size, chunks)
        path = self._layout.object(stored.object)
        path.rename(path.with_suffix(".late"))

        async def arrive() -> None:
            await asyncio.sleep(0.05)
            path.with_suffix(".late").rename(path)

        _kept.add(asyncio.create_task(arrive()))
        return stored

    stores.FilesystemBlobStore.put = late


def put_a_manifest_in_two_transactions() -> None:
    """First the manifest, then its tags."""
    put: Callable[..., Awaitable[Position]] = stores.SqlLedger.put_manifest

    async def twice(self: Any, pushed: ManifestPut, leave: Any = None) -> Position:
        await put(self, replace(pushed, tags=(), drafts=()), leave)
        return await put(self, pushed, leave)

    stores.SqlLedger.put_manifest = twice


def delete_later() -> None:
    """A deletion is answered before it was carried out."""
    delete = stores.SqlLedger.delete_tag

    async def later(self: Any, *arguments: Any) -> Position:
        head = (await self.heads()).get(arguments[0].project, 0)

        async def work() -> None:
            await asyncio.sleep(0.05)
            await delete(self, *arguments)

        _kept.add(asyncio.create_task(work()))
        return Position(arguments[0].project, head)

    stores.SqlLedger.delete_tag = later


def trust_an_empty_ledger() -> None:
    """Store and ledger are never compared."""

    async def settle(storage: Storage) -> None:
        storage.disagreement = None

    wiring.agreement.settle = settle


FAULTS: dict[str, Callable[[], None]] = {
    fault.__name__: fault
    for fault in (
        acknowledge_before_the_journal,
        acknowledge_before_the_bytes,
        put_a_manifest_in_two_transactions,
        delete_later,
        trust_an_empty_ledger,
    )
}
