"""docker, which writes manifests of its own kind."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from support.clients import Docker, Skopeo, running_docker
from support.images import DOCKER_MANIFEST, Images
from support.roundtrip import EngineSuite, new_repository, reading
from support.server import Server


class TestDocker(EngineSuite):
    @pytest.fixture(scope="class")
    @classmethod
    def client(cls, place: Path) -> Iterator[Docker]:
        with running_docker(place) as docker:
            yield docker

    def test_its_own_kind_of_manifest_is_kept_as_it_is(
        self, client: Docker, server: Server, small: Images
    ) -> None:
        repository = new_repository()
        client.push(small.image, f"{server.address}/{repository}:1")
        with reading(server) as reader:
            assert reader.manifest(repository, "1").json()["mediaType"] == DOCKER_MANIFEST

    def test_docker_and_skopeo_push_the_same_image_at_once(
        self, client: Docker, server: Server, real: Images, tmp_path: Path
    ) -> None:
        repository = new_repository()
        address = f"{server.address}/{repository}"
        skopeo = Skopeo(tmp_path)
        with ThreadPoolExecutor(2) as pool:
            pushes = [
                pool.submit(client.push, real.image, f"{address}:docker"),
                pool.submit(skopeo.push, real.image, f"{address}:1"),
            ]
            for push in pushes:
                push.result()
        with reading(server) as reader:
            reader.hold_same(real.image, repository)
            assert reader.stored(repository, "docker") == real.image.stored()
