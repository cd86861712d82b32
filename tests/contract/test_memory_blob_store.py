"""The model keeps the port's promises."""

import pytest

from registry.storage.memory import MemoryBlobStore
from registry.storage.ports import BlobStore
from tests.contract.blob_store_contract import BlobStoreContract


class TestMemoryBlobStore(BlobStoreContract):
    @pytest.fixture
    def blobs(self) -> BlobStore:
        return MemoryBlobStore()
