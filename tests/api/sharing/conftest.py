"""A registry whose records let others in."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from registry.oci.descriptor import OCI_INDEX
from registry.storage.storage import Storage
from support.asking import APP, NAME
from support.builders import index
from support.imagecalls import ARM, Caller, push
from support.pushing import push_manifest
from support.sharing import OTHER
from support.signing import Registry, basic, open_registry


@pytest.fixture
async def shared(tmp_path: Path, storage: Storage) -> AsyncIterator[Registry]:
    """shoes/app has the tags 1, 2 and both: an index of 1 and ARM."""
    async with open_registry(tmp_path, storage) as registry:
        await push(registry.client, NAME, "1", APP)
        await push(registry.client, NAME, "2", OTHER)
        await push(registry.client, NAME, str(ARM.digest), ARM)
        registry.client.headers.update(basic("alice"))
        await push_manifest(registry.client, NAME, "both", index(APP, ARM), OCI_INDEX)
        del registry.client.headers["Authorization"]
        yield registry


@pytest.fixture
def mona(shared: Registry) -> Caller:
    """Manager of shoes."""
    return Caller(shared.client, "mona")
