"""A real Keystone's people at a registry in memory."""

from collections.abc import AsyncIterator, Iterator

import pytest

from support.directory import Directory, Person, Place, directory_of
from support.keystone import CloudRegistry, open_cloud_registry
from support.openstack import DOMAIN, OpenStack


@pytest.fixture(scope="package")
def directory(openstack: OpenStack) -> Iterator[Directory]:
    with directory_of(openstack) as directory:
        yield directory


@pytest.fixture
async def registry(openstack: OpenStack, directory: Directory) -> AsyncIterator[CloudRegistry]:
    del directory  # by it the service user may look up names
    async with open_cloud_registry(openstack, domains={"Default": DOMAIN}) as registry:
        yield registry


@pytest.fixture
def east(directory: Directory) -> Place:
    return directory.project()


@pytest.fixture
def west(directory: Directory) -> Place:
    return directory.project()


@pytest.fixture
def alice(directory: Directory, east: Place) -> Person:
    """A member of east."""
    return directory.member(east)
