"""The clients that are Go module tools; pushes that break off, and pushes that meet."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from support.clients import ContentClient, Crane, Oras, Regctl, Skopeo
from support.images import Images
from support.network import breaking_proxy
from support.roundtrip import ContentSuite, new_repository, reading
from support.server import Server, running_server


class TestCrane(ContentSuite):
    @pytest.fixture(scope="class")
    @classmethod
    def client(cls, place: Path) -> ContentClient:
        return Crane(place)


class TestOras(ContentSuite):
    @pytest.fixture(scope="class")
    @classmethod
    def client(cls, place: Path) -> ContentClient:
        return Oras(place)


class TestRegctl(ContentSuite):
    @pytest.fixture(scope="class")
    @classmethod
    def client(cls, place: Path) -> ContentClient:
        return Regctl(place)

    def test_a_push_goes_on_by_itself_after_the_network_broke(
        self, client: ContentClient, real: Images
    ) -> None:
        repository = new_repository()
        # A server of its own: where another test had pushed the layers, they would be mounted.
        with running_server() as server:
            with breaking_proxy(server.address, 20 << 20, mends=True) as proxy:
                client.push(real.image, f"{proxy.address}/{repository}:1")
            assert proxy.broken.is_set()
            with reading(server) as reader:
                reader.hold_same(real.image, repository)


def test_four_clients_push_the_same_image_at_once(
    server: Server, real: Images, tmp_path: Path
) -> None:
    repository = new_repository()
    clients: list[ContentClient] = []
    for kind in (Crane, Regctl, Oras, Skopeo):
        directory = tmp_path / kind.__name__
        directory.mkdir()
        clients.append(kind(directory))
    reference = f"{server.address}/{repository}:1"
    with ThreadPoolExecutor(len(clients)) as pool:
        list(pool.map(lambda client: client.push(real.index, reference), clients))
    with reading(server) as reader:
        reader.hold_same(real.index, repository)
