"""Blobs in Swift: the port's promises on a real one, and what lies there before and after."""

from collections.abc import AsyncIterator

import pytest

from contract.blob_store_contract import BlobStoreContract
from registry.storage.ports import BlobStore
from support.openstack import OpenStack
from support.swift import account_of, blobs_of


class TestSwiftBlobStore(BlobStoreContract):
    @pytest.fixture
    async def blobs(self, openstack: OpenStack) -> AsyncIterator[BlobStore]:
        async with account_of(openstack) as account, blobs_of(account) as store:
            yield store
