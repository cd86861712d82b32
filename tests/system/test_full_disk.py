"""No room is left: what is sent is refused in words, and what was there goes on being served."""

import contextlib
import os
import random
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urljoin

import httpx
import pytest

from registry.oci.descriptor import OCI_MANIFEST
from registry.oci.digest import Digest
from support.builders import image
from support.disk import small_disk
from support.environment import wait_until
from support.pushing import code
from support.server import Server, Settings, running_server

MIB = 1 << 20
ROOM = 48 * MIB
HELD = random.Random(1).randbytes(8 * MIB)
LARGE = random.Random(2).randbytes(64 * MIB)
APP = "library/app"
FULL = httpx.codes.INSUFFICIENT_STORAGE
PROMPT = image("base", "top")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    with (
        small_disk(tmp_path / "disk", ROOM) as disk,
        running_server(Settings(), data=disk) as server,
    ):
        yield server


@pytest.fixture
def http(server: Server) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.url, timeout=60) as http:
        yield http


def push(http: httpx.Client, content: bytes) -> httpx.Response:
    return http.post(f"/v2/{APP}/blobs/uploads/?digest={Digest.of(content)}", content=content)


def path_of(content: bytes) -> str:
    return f"/v2/{APP}/blobs/{Digest.of(content)}"


def used(server: Server) -> int:
    told = os.statvfs(server.data)
    return (told.f_blocks - told.f_bfree) * told.f_frsize


def hold_what_was_there_is_served(http: httpx.Client) -> None:
    assert http.get(path_of(HELD)).content == HELD
    assert http.head(path_of(HELD)).status_code == httpx.codes.OK
    assert http.get(f"/v2/{APP}/manifests/1").content == PROMPT.manifest
    assert http.get(f"/v2/{APP}/tags/list").json()["tags"] == ["1"]


@pytest.fixture(autouse=True)
def held(http: httpx.Client) -> None:
    for content in (HELD, *PROMPT.blobs):
        assert push(http, content).status_code == httpx.codes.CREATED
    assert put_manifest(http, "1").status_code == httpx.codes.CREATED


def put_manifest(http: httpx.Client, tag: str) -> httpx.Response:
    headers = {"Content-Type": OCI_MANIFEST}
    return http.put(f"/v2/{APP}/manifests/{tag}", content=PROMPT.manifest, headers=headers)


def test_a_blob_that_does_not_fit_leaves_nothing(server: Server, http: httpx.Client) -> None:
    before = used(server)
    for _ in range(3):
        refused = push(http, LARGE)
        assert refused.status_code == FULL, refused.text
        assert "free some space" in refused.text
        assert used(server) <= before + MIB, "what had come is gone again"
        hold_what_was_there_is_served(http)
    assert http.get(path_of(LARGE)).status_code == httpx.codes.NOT_FOUND
    fits = LARGE[: 16 * MIB]
    assert push(http, fits).status_code == httpx.codes.CREATED
    assert http.get(path_of(fits)).content == fits


def test_an_upload_goes_on_once_there_is_room(server: Server, http: httpx.Client) -> None:
    location = urljoin(server.url, http.post(f"/v2/{APP}/blobs/uploads/").headers["Location"])
    filler = server.data / "filler"
    filler.write_bytes(bytes(24 * MIB))
    content = LARGE[: 20 * MIB]
    refused = http.patch(location, content=content)
    assert (refused.status_code, code(refused)) == (FULL, "DENIED"), refused.text
    hold_what_was_there_is_served(http)
    filler.unlink()
    status = http.get(location)
    assert status.status_code == httpx.codes.NO_CONTENT
    start = int(status.headers["Range"].partition("-")[2]) + 1 if "Range" in status.headers else 0
    closing = httpx.URL(location).copy_merge_params({"digest": str(Digest.of(content))})

    def resumed() -> bool:
        """A lease whose end could not be written either ends by itself."""
        answer = http.put(closing, content=content[start:])
        assert answer.status_code in {httpx.codes.CREATED, httpx.codes.CONFLICT}, answer.text
        return answer.is_success

    wait_until(resumed, "the lease's end", 60)
    assert http.get(path_of(content)).content == content


def test_names_wait_for_room_and_deletions_do_not(server: Server, http: httpx.Client) -> None:
    """The ledger and the journal have no room either."""
    filler = server.data / "filler"
    with filler.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(4096))
    answers = [put_manifest(http, f"t{number}") for number in range(400)]
    refused = [each for each in answers if each.status_code != httpx.codes.CREATED]
    assert refused, "the database grew without room"
    assert {each.status_code for each in refused} <= {FULL, httpx.codes.SERVICE_UNAVAILABLE}
    assert http.get(path_of(HELD)).content == HELD
    acknowledged = [f"t{number}" for number, each in enumerate(answers) if each.is_success]
    filler.unlink()
    assert put_manifest(http, "after").status_code == httpx.codes.CREATED
    assert http.delete(path_of(HELD)).status_code == httpx.codes.ACCEPTED
    server.kill()
    server.restart()
    tags = set(http.get(f"/v2/{APP}/tags/list").json()["tags"])
    assert {"1", "after", *acknowledged} <= tags
    for tag in tags:
        assert http.get(f"/v2/{APP}/manifests/{tag}").content == PROMPT.manifest
