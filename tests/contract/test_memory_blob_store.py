"""The model keeps the port's promises."""

import pytest

from contract.blob_store_contract import BlobStoreContract
from registry.storage.memory.blobs import MemoryBlobStore
from registry.storage.ports.blobs import BlobStore


class TestMemoryBlobStore(BlobStoreContract):
    @pytest.fixture
    def blobs(self) -> BlobStore:
        return MemoryBlobStore()
