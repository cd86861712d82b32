"""A server that stands still past its lease and wakes: what it holds can no longer be recorded."""

import signal
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urljoin

import httpx
import pytest

from registry.oci.digest import Digest
from support.crashes import ForkServer, Place
from support.environment import wait_until
from support.ledgers import is_leased
from support.server import ALICE

FIRST, OTHER = b"\x01" * (1 << 20), b"\x02" * (3 << 20)
LOST = b"\x03" * (1 << 20)
LEASE = 2.0
"""Seconds; the server's own are thirty."""
APP = "library/app"


@pytest.fixture
def two(tmp_path: Path) -> Iterator[tuple[Place, Place]]:
    """Two servers' places on the same data."""
    with ForkServer() as one, ForkServer() as other:
        first = Place(tmp_path / "first", one, None, lease=LEASE)
        second = Place(tmp_path / "second", other, None, lease=LEASE)
        (first.directory / "data").mkdir()
        (second.directory / "data").symlink_to(first.directory / "data")
        yield first, second


def client(place: Place) -> httpx.Client:
    return httpx.Client(base_url=place.url, auth=ALICE.pair, timeout=60)


def offset(answer: httpx.Response) -> int:
    assert answer.is_success, answer.text
    return int(answer.headers["Range"].partition("-")[2]) + 1


def test_a_paused_writer_records_nothing_after_a_take_over(two: tuple[Place, Place]) -> None:
    first, second = two
    serving = first.must_serve()
    also = second.must_serve()
    sent, resume = threading.Event(), threading.Event()

    def body() -> Iterator[bytes]:
        yield LOST
        sent.set()
        assert resume.wait(60)
        yield LOST

    try:
        with client(first) as http, client(second) as heir, ThreadPoolExecutor(1) as pool:
            answer = http.post(f"/v2/{APP}/blobs/uploads/")
            location = urljoin(first.url, answer.headers["Location"])
            answer = http.patch(location, content=FIRST)
            location = urljoin(first.url, answer.headers["Location"])
            assert offset(answer) == len(FIRST)
            paused = pool.submit(http.patch, location, content=body())
            assert sent.wait(30)
            ledger = f"sqlite:///{first.directory}/data/ledger.db"
            wait_until(lambda: is_leased(ledger), "the first writer")
            path = httpx.URL(location).raw_path.decode()

            def busy() -> bool:
                chunk = {"Content-Range": f"{len(FIRST)}-{len(FIRST) + len(OTHER) - 1}"}
                answer = heir.patch(path, content=OTHER, headers=chunk)
                assert answer.status_code in {202, 409, 423, 429, 503}, answer.text
                return answer.status_code != httpx.codes.ACCEPTED

            assert busy(), "one writer at a time"
            serving.tell(signal.SIGSTOP)
            wait_until(lambda: not busy(), "the lease's end", 30)
            assert offset(heir.get(path)) == len(FIRST) + len(OTHER)
            serving.tell(signal.SIGCONT)
            resume.set()
            late = paused.result(30)
            assert late.is_client_error, late.text
            whole = FIRST + OTHER
            assert offset(heir.get(path)) == len(whole)
            digest = Digest.of(whole)
            closing = httpx.URL(urljoin(second.url, path)).copy_merge_params(
                {"digest": str(digest)}
            )
            assert heir.put(closing).status_code == httpx.codes.CREATED
            for each in (http, heir):
                assert each.get(f"/v2/{APP}/blobs/{digest}").content == whole
    finally:
        serving.tell(signal.SIGCONT)
        serving.stop()
        also.stop()
