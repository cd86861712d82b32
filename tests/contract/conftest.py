"""Ledgers in databases, and stores on a real Swift in containers, of each test's own."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from registry.storage.swift import SwiftAccount, SwiftBlobStore
from support.faultproxy import FaultProxy
from support.ledgers import Clock, Template, own_schema
from support.openstack import OpenStack
from support.swift import account_of, blobs_of, new_prefix


@pytest.fixture
def clock() -> Clock:
    """The ledgers' time."""
    return Clock()


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Template:
    """An empty ledger on SQLite, to be copied."""
    return Template(tmp_path_factory.mktemp("template"))


@pytest.fixture
def schema_url(postgres_url: str) -> Iterator[str]:
    """An empty schema on a real PostgreSQL."""
    with own_schema(postgres_url) as url:
        yield url


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty database, of either kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/ledger.db"
    url: str = request.getfixturevalue("schema_url")
    return url


@pytest.fixture
async def account(openstack: OpenStack) -> AsyncIterator[SwiftAccount]:
    """The service user's account in Swift."""
    async with account_of(openstack) as account:
        yield account


@pytest.fixture
def prefix() -> str:
    """What the names of the test's containers begin with."""
    return new_prefix()


@pytest.fixture
async def store(account: SwiftAccount, prefix: str) -> AsyncIterator[SwiftBlobStore]:
    """A store in those containers."""
    async with blobs_of(account, prefix) as store:
        yield store


@pytest.fixture
async def other(account: SwiftAccount, prefix: str) -> AsyncIterator[SwiftBlobStore]:
    """Another process's store in the same containers."""
    async with blobs_of(account, prefix) as store:
        yield store


@pytest.fixture
async def proxy(openstack: OpenStack) -> AsyncIterator[FaultProxy]:
    """What stands before the service user's account for ``behind``."""
    async with FaultProxy.before(openstack.account_url("service")) as proxy:
        yield proxy


@pytest.fixture
async def behind(openstack: OpenStack, proxy: FaultProxy) -> AsyncIterator[SwiftAccount]:
    """The account as it is reached through the proxy."""
    async with account_of(openstack, proxy.url) as account:
        yield account
