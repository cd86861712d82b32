"""containerd, driven by ctr."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from support.clients import Ctr, running_containerd
from support.images import Images
from support.roundtrip import ContentSuite
from support.server import Server


class TestContainerd(ContentSuite):
    @pytest.fixture(scope="class")
    @classmethod
    def client(cls, place: Path) -> Iterator[Ctr]:
        with running_containerd(place) as ctr:
            yield ctr

    def test_an_image_can_be_unpacked_for_a_container(
        self, client: Ctr, server: Server, real: Images, published: str
    ) -> None:
        assert client.unpack(f"{server.address}/{published}:1") == real.index.stored()
