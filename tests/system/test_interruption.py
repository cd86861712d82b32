"""An upload whose connection broke is resumed where it ended; a killed server keeps its word."""

import hashlib
import random
from collections.abc import Iterator
from urllib.parse import urljoin

import httpx
import pytest

from support.environment import wait_until
from support.images import Images
from support.network import breaking_proxy
from support.roundtrip import new_repository, reading
from support.server import Server, Settings, running_server

SIZE = 16 << 20
BREAK = 5 << 20
CONTENT = random.Random(7).randbytes(SIZE)
DIGEST = f"sha256:{hashlib.sha256(CONTENT).hexdigest()}"


def pieces(start: int) -> Iterator[bytes]:
    for offset in range(start, SIZE, 1 << 16):
        yield CONTENT[offset : offset + (1 << 16)]


def test_a_broken_upload_is_resumed_where_it_ended(server: Server) -> None:
    repository = new_repository()
    with httpx.Client(base_url=server.url, timeout=60) as http:
        begun = http.post(f"/v2/{repository}/blobs/uploads/")
        assert begun.status_code == httpx.codes.ACCEPTED
        location = urljoin(server.url, begun.headers["Location"])
        path = httpx.URL(location).raw_path.decode()
        with (
            breaking_proxy(server.address, BREAK) as proxy,
            httpx.Client(base_url=f"http://{proxy.address}", timeout=60) as broken,
            pytest.raises(httpx.TransportError),
        ):
            broken.patch(path, content=pieces(0))

        def size() -> int:
            status = http.get(location)
            assert status.status_code == httpx.codes.NO_CONTENT, status.text
            return int(status.headers["Range"].partition("-")[2]) + 1

        # The server may still be writing what had arrived.
        wait_until(lambda: size() > BREAK // 2, "what arrived")
        end = size()
        assert end < SIZE
        location = urljoin(server.url, http.get(location).headers["Location"])
        resumed = http.patch(
            location,
            content=CONTENT[end:],
            headers={"Content-Range": f"{end}-{SIZE - 1}"},
        )
        assert resumed.status_code == httpx.codes.ACCEPTED, resumed.text
        location = urljoin(server.url, resumed.headers["Location"])
        closing = httpx.URL(location).copy_merge_params({"digest": DIGEST})
        finished = http.put(closing)
        assert finished.status_code == httpx.codes.CREATED, finished.text
    with reading(server) as reader:
        assert reader.blob(repository, DIGEST) == CONTENT


def test_what_was_acknowledged_outlives_a_killed_server(small: Images) -> None:
    repository = new_repository()
    manifest = small.image.blob(small.image.digest).read_bytes()
    with running_server(Settings()) as server:
        with httpx.Client(base_url=server.url, timeout=60) as http:
            for media_type, digest in small.image.reachable():
                content = small.image.blob(digest).read_bytes()
                if digest == small.image.digest:
                    continue
                begun = http.post(f"/v2/{repository}/blobs/uploads/")
                location = httpx.URL(urljoin(server.url, begun.headers["Location"]))
                location = location.copy_merge_params({"digest": digest})
                assert http.put(location, content=content).is_success, media_type
            put = http.put(
                f"/v2/{repository}/manifests/1",
                content=manifest,
                headers={"Content-Type": small.image.descriptor["mediaType"]},
            )
            assert put.status_code == httpx.codes.CREATED, put.text
        server.kill()
        server.restart()
        with reading(server) as reader:
            reader.hold_same(small.image, repository)
