"""PostgreSQL is killed, put back, emptied or another's under two running servers."""

import itertools
import os
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from registry.oci.descriptor import OCI_MANIFEST
from registry.oci.digest import Digest
from support.builders import image
from support.crawl import crawl
from support.environment import wait_until
from support.postgres import DATABASE, Postgres, started_postgres
from support.replicas import Replicas, running_replicas
from support.server import Server, Settings

APP = "library/app"
ONE, TWO = image("base", "one"), image("base", "two")
COLLECTING = "[gc]\nevery_minutes = 0.01\n"
UNAVAILABLE = httpx.codes.SERVICE_UNAVAILABLE


@pytest.fixture(scope="module")
def postgres() -> Iterator[Postgres]:
    with started_postgres() as started:
        yield started


@pytest.fixture(scope="module")
def replicas(postgres: Postgres) -> Iterator[Replicas]:
    settings = Settings(ledger=postgres.url(), extra=COLLECTING)
    with running_replicas(settings) as started:
        with httpx.Client(base_url=started.url, timeout=60) as http:
            for each in (ONE, TWO):
                for content in each.blobs:
                    query = f"digest={Digest.of(content)}"
                    answer = http.post(f"/v2/{APP}/blobs/uploads/?{query}", content=content)
                    assert answer.status_code == httpx.codes.CREATED, answer.text
        yield started


def put(http: httpx.Client, tag: str, content: bytes = ONE.manifest) -> httpx.Response:
    headers = {"Content-Type": OCI_MANIFEST}
    return http.put(f"/v2/{APP}/manifests/{tag}", content=content, headers=headers)


def must(answer: httpx.Response) -> httpx.Response:
    assert answer.is_success, answer.text
    return answer


def readiness(server: Server) -> str:
    return httpx.get(f"{server.url}/readyz", timeout=60).text


def wait_ready(replicas: Replicas) -> None:
    wait_until(
        lambda: all(readiness(server) == "OK\n" for server in replicas.servers), "agreement", 60
    )


def wait_disagreement(replicas: Replicas, words: str) -> None:
    wait_until(lambda: all(words in readiness(server) for server in replicas.servers), words, 60)


def journal(server: Server) -> bytes:
    return b"".join(path.read_bytes() for path in sorted((server.data / "journal").glob("*.log")))


def stored(server: Server) -> set[Path]:
    return {path for path in (server.data / "blobs").rglob("*") if path.is_file()}


def age(server: Server, days: float) -> None:
    """What lies in the store is older than any grace."""
    then = time.time() - days * 86400
    for path in stored(server):
        os.utime(path, (then, then))


class Load:
    """Tags that are put at each server, one after the other, and what came of each."""

    def __init__(self, replicas: Replicas) -> None:
        self._ended = threading.Event()
        self._pool = ThreadPoolExecutor(len(replicas.servers))
        self.acknowledged: list[str] = []
        self.seen: Counter[int] = Counter()
        self.unwell: list[httpx.Response] = []
        self._work = [
            self._pool.submit(self._push, server.url, number)
            for number, server in enumerate(replicas.servers)
        ]

    def _push(self, url: str, number: int) -> None:
        with httpx.Client(base_url=url, timeout=60) as http:
            for count in itertools.count():
                if self._ended.is_set():
                    return
                tag = f"load-{number}-{count}"
                answer = put(http, tag)
                self.seen[answer.status_code] += 1
                if answer.status_code == httpx.codes.CREATED:
                    self.acknowledged.append(tag)
                elif answer.status_code != UNAVAILABLE or "retry-after" not in answer.headers:
                    self.unwell.append(answer)
                time.sleep(0.02)

    def wait(self, status: int, count: int) -> None:
        wanted = self.seen[status] + count
        wait_until(lambda: self.seen[status] >= wanted, f"{count} answers of {status}", 60)

    def end(self) -> None:
        self._ended.set()
        for each in self._work:
            each.result(60)
        self._pool.shutdown()


def test_killed_under_load_it_is_waited_for_and_nothing_acknowledged_is_lost(
    postgres: Postgres, replicas: Replicas
) -> None:
    load = Load(replicas)
    load.wait(httpx.codes.CREATED, 20)
    for _ in range(2):
        postgres.kill()
        load.wait(UNAVAILABLE, 20)
        postgres.start()
        load.wait(httpx.codes.CREATED, 20)
    load.end()
    assert load.unwell == []
    wait_ready(replicas)
    for server in replicas.servers:
        answer = must(httpx.get(f"{server.url}/v2/{APP}/tags/list", timeout=60))
        assert set(load.acknowledged) <= set(answer.json()["tags"])
    assert "Traceback" not in replicas.logs()


def test_put_back_it_is_noticed_and_a_rebuild_beside_the_servers_mends_it(
    postgres: Postgres, replicas: Replicas, tmp_path: Path
) -> None:
    one, other = replicas.servers
    with httpx.Client(base_url=replicas.url, timeout=60) as http:
        for tag in ("early", "moved", "gone"):
            must(put(http, tag))
        postgres.save(tmp_path / "saved")
        wait_ready(replicas)
        late = f"/v2/{APP}/manifests/late"
        must(put(http, "late", TWO.manifest))
        must(put(http, "moved", TWO.manifest))
        must(http.delete(f"/v2/{APP}/manifests/gone"))
        after, lines = crawl(http), journal(one)
        load = Load(replicas)
        load.wait(httpx.codes.CREATED, 5)
        denied: list[int] = []
        """Of the two servers in turn."""
        ended = threading.Event()

        def watch() -> None:
            while not ended.is_set():
                denied.append(http.get(late).status_code)

        with ThreadPoolExecutor(1) as pool:
            watching = pool.submit(watch)
            wait_until(lambda: len(denied) > 2, "answers before")
            postgres.put_back(tmp_path / "saved")
            wait_disagreement(replicas, "berth rebuild")
            ended.set()
            watching.result(60)
        load.end()
        assert load.unwell == []
        assert set(denied) == {httpx.codes.OK, UNAVAILABLE}
        for server in replicas.servers:
            for method, path in (("GET", late), ("DELETE", late), ("DELETE", late[:-4] + "early")):
                refused = httpx.request(method, f"{server.url}{path}", timeout=60)
                assert refused.status_code == UNAVAILABLE, refused.text
                assert "berth rebuild" in refused.text
            early = httpx.get(f"{server.url}{late[:-4]}early", timeout=60)
            assert early.content == ONE.manifest, "what is known is served"
        one.run("gc", status=1)
        other.run("rebuild")
        wait_ready(replicas)
        rebuilt = crawl(http)
        single = {path: answer for path, answer in after.items() if "?" not in path}
        assert {path: rebuilt.get(path) for path in single} == single
        tags = [f"/v2/{APP}/manifests/{tag}" for tag in load.acknowledged]
        assert {http.head(path).status_code for path in tags} == {httpx.codes.OK}
        assert http.get(f"/v2/{APP}/manifests/gone").status_code == httpx.codes.NOT_FOUND
        must(put(http, "new"))
        wait_until(lambda: b'"new"' in journal(one), "the line")
        assert journal(one).startswith(lines), "no line was written over"
        before = crawl(http)
        one.run("rebuild")
        assert crawl(http) == before
    assert "Traceback" not in replicas.logs()


@pytest.mark.parametrize("kind", ["empty", "another's"])
def test_with_a_wrong_database_nothing_is_deleted_or_denied(
    postgres: Postgres, replicas: Replicas, kind: str
) -> None:
    server = replicas.servers[0]
    wrong = postgres.make("wrong")
    if kind != "empty":
        with running_replicas(Settings(ledger=wrong), 1) as stranger:
            query = f"digest={Digest.of(b'strange')}"
            url = f"{stranger.url}/v2/{APP}/blobs/uploads/?{query}"
            must(httpx.post(url, content=b"strange", timeout=60))
    age(server, 30)
    kept = stored(server)
    with httpx.Client(base_url=replicas.url, timeout=60) as http:
        must(put(http, "kept"))
        before = crawl(http)
        postgres.rename(DATABASE, "right")
        postgres.rename("wrong", DATABASE)
        wait_disagreement(replicas, "UndefinedTable" if kind == "empty" else "belongs to store")
        ends = time.monotonic() + 3
        while time.monotonic() < ends:
            for path in before:
                if path.startswith("/v2/"):
                    answer = http.get(path)
                    assert answer.status_code == UNAVAILABLE, (path, answer.text)
            for method in ("PUT", "DELETE"):
                refused = http.request(method, f"/v2/{APP}/manifests/kept", content=ONE.manifest)
                assert refused.status_code == UNAVAILABLE
        server.run("gc", status=1)
        assert stored(server) == kept
        postgres.rename(DATABASE, "wrong")
        postgres.rename("right", DATABASE)
        wait_ready(replicas)
        assert crawl(http) == before
        must(put(http, "kept"))
    postgres.drop("wrong")
    assert "Traceback" not in replicas.logs()
