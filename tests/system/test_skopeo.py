"""skopeo, and what a push leaves that broke off."""

from pathlib import Path

import httpx
import pytest

from support.clients import ClientFailed, ContentClient, Skopeo
from support.images import Images
from support.network import breaking_proxy
from support.roundtrip import ContentSuite, new_repository, reading
from support.server import Server


class TestSkopeo(ContentSuite):
    @pytest.fixture(scope="class")
    @classmethod
    def client(cls, place: Path) -> ContentClient:
        return Skopeo(place)

    def test_a_push_that_broke_off_shows_nothing_and_can_be_repeated(
        self, client: ContentClient, server: Server, real: Images, tmp_path: Path
    ) -> None:
        repository = new_repository()
        with (
            breaking_proxy(server.address, 20 << 20) as proxy,
            pytest.raises(ClientFailed),
        ):
            client.push(real.image, f"{proxy.address}/{repository}:1")
        assert proxy.broken.is_set()
        with reading(server) as reader:
            assert reader.manifest(repository, "1").status_code == httpx.codes.NOT_FOUND
        reference = f"{server.address}/{repository}:1"
        client.push(real.image, reference)
        client.pull(reference, tmp_path / "pulled")
        real.image.hold_same(tmp_path / "pulled")
