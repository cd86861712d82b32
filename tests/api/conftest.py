"""The ASGI application over embedded stores, and a client that speaks to it in memory."""

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from registry.auth.open import OpenIdentity
from registry.push import PushRules
from registry.storage.flusher import Flusher
from registry.storage.ledger import SqlLedger
from registry.storage.memory.blobs import MemoryBlobStore
from registry.storage.memory.journal import MemoryJournal
from registry.storage.storage import Storage
from registry.v2api.app import Application, Settings
from registry.v2api.guard import Guard
from support.signing import Registry, open_registry


@pytest.fixture
async def storage(tmp_path: Path) -> AsyncIterator[Storage]:
    ledger = await SqlLedger.open(f"sqlite:///{tmp_path}/ledger.db")
    journal = MemoryJournal()
    storage = Storage(MemoryBlobStore(), journal, ledger, Flusher(ledger, journal))
    storage.openings = ledger.sightings
    yield storage
    await storage.flusher.close()
    await ledger.close()


@pytest.fixture
def sparse() -> bool:
    return False


@pytest.fixture
async def client(storage: Storage, sparse: bool) -> AsyncIterator[httpx.AsyncClient]:
    settings = Settings(push=PushRules(require_references=not sparse), body_timeout=2)
    app = Application(storage, Guard(OpenIdentity()), settings)
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:5000") as client:
        yield client


@pytest.fixture
async def registry(tmp_path: Path) -> AsyncIterator[Registry]:
    async with open_registry(tmp_path) as registry:
        yield registry
