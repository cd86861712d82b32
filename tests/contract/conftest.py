"""Stores on a real Swift, in containers of each test's own."""

from collections.abc import AsyncIterator

import pytest

from registry.storage.swift import SwiftAccount, SwiftBlobStore
from support.faultproxy import FaultProxy
from support.openstack import OpenStack
from support.swift import account_of, blobs_of, new_prefix


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
