"""The Image API over a ledger, and people who ask it."""

from collections.abc import AsyncIterator

import httpx
import pytest

from registry.catalogue import imageapi
from registry.storage.storage import Storage
from registry.v2api.app import Application, Settings
from registry.v2api.guard import Guard
from support.imagecalls import Caller
from support.signing import URL, Registry, open_registry


@pytest.fixture(scope="module")
async def people(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Registry]:
    async with open_registry(tmp_path_factory.mktemp("people")) as people:
        yield people


@pytest.fixture
async def client(storage: Storage, people: Registry) -> AsyncIterator[httpx.AsyncClient]:
    """Registry and Image API over one ledger, at which people sign in."""
    guard: Guard = people.app.state.guard
    app = Application(storage, guard, Settings(body_timeout=1), imageapi.routes)
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url=URL) as client:
        yield client


@pytest.fixture
def alice(client: httpx.AsyncClient) -> Caller:
    """Member of shoes, reader of hats."""
    return Caller(client, "alice")


@pytest.fixture
def bob(client: httpx.AsyncClient) -> Caller:
    """Reader of shoes."""
    return Caller(client, "bob")


@pytest.fixture
def mona(client: httpx.AsyncClient) -> Caller:
    """Manager of shoes."""
    return Caller(client, "mona")


@pytest.fixture
def carol(client: httpx.AsyncClient) -> Caller:
    """Member of hats."""
    return Caller(client, "carol")
