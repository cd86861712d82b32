"""Servers, images and clients that all tests of this folder share."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from support.clients import Skopeo
from support.environment import temporary_directory
from support.images import Images, real_images, small_images
from support.roundtrip import new_repository
from support.server import Server, Settings, running_server


@pytest.fixture(scope="session")
def real() -> Images:
    return real_images()


@pytest.fixture(scope="session")
def small() -> Images:
    return small_images()


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    with running_server(Settings(workers=2)) as started:
        yield started


@pytest.fixture(scope="session")
def guarded() -> Iterator[Server]:
    with running_server(Settings(auth=True)) as started:
        yield started


@pytest.fixture(scope="session")
def published(server: Server, real: Images, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The repository that holds the real index at its tag."""
    repository = new_repository()
    skopeo = Skopeo(tmp_path_factory.mktemp("skopeo"))
    skopeo.push(real.index, f"{server.address}/{repository}:1")
    return repository


@pytest.fixture(scope="class")
def place() -> Iterator[Path]:
    """A directory with a short path for one client."""
    with temporary_directory("client") as directory:
        yield directory
