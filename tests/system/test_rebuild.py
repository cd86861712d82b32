"""The database is lost, set back or another's: nothing is denied, and a rebuild brings all back."""

import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from registry.oci.descriptor import OCI_INDEX, OCI_MANIFEST
from registry.oci.digest import Digest
from support.builders import image, index
from support.clients import Skopeo
from support.crawl import Answers, crawl
from support.environment import wait_until
from support.images import Images
from support.server import BERTH, Server, Settings, running_server

APP = "library/app"
JSON_PATCH = "application/openstack-images-v2.1-json-patch"
AMD, ARM, OLD = image("base", "", "top"), image("base", "arm", architecture="arm64"), image("old")
BOTH = index(AMD, ARM)
SIGNATURE = image(
    "signature",
    extra={"subject": {"mediaType": OCI_MANIFEST, "digest": str(AMD.digest),
                       "size": len(AMD.manifest)}},
)  # fmt: skip


def push_blobs(http: httpx.Client, name: str, *contents: bytes) -> None:
    for content in contents:
        query = f"digest={Digest.of(content)}"
        answer = http.post(f"/v2/{name}/blobs/uploads/?{query}", content=content)
        assert answer.status_code == httpx.codes.CREATED, answer.text


def put(http: httpx.Client, path: str, content: bytes, media_type: str = OCI_MANIFEST) -> None:
    answer = http.put(f"/v2/{path}", content=content, headers={"Content-Type": media_type})
    assert answer.status_code == httpx.codes.CREATED, answer.text


def must(answer: httpx.Response) -> httpx.Response:
    assert answer.is_success, answer.text
    return answer


def live(http: httpx.Client) -> None:
    """All that can happen to names: pushes, moves, deletions, mounts, sharing."""
    for each in (AMD, ARM, OLD, SIGNATURE):
        push_blobs(http, APP, *each.blobs)
    put(http, f"{APP}/manifests/{ARM.digest}", ARM.manifest)
    for tag in ("1", "1.0", "old", "moves"):
        put(http, f"{APP}/manifests/{tag}", AMD.manifest)
    put(http, f"{APP}/manifests/latest", BOTH, OCI_INDEX)
    put(http, f"{APP}/manifests/{SIGNATURE.digest}", SIGNATURE.manifest)
    put(http, f"{APP}/manifests/moves", OLD.manifest)
    must(http.delete(f"/v2/{APP}/manifests/old"))
    for blob in AMD.blobs:
        query = f"mount={Digest.of(blob)}&from={APP}"
        must(http.post(f"/v2/payments/copy/blobs/uploads/?{query}"))
    put(http, "payments/copy/manifests/1", AMD.manifest)
    push_blobs(http, "payments/gone", *OLD.blobs)
    put(http, "payments/gone/manifests/1", OLD.manifest)
    must(http.delete(f"/v2/payments/gone/manifests/{OLD.digest}"))
    (record,) = must(http.get("/image/v2/images?name=copy:1")).json()["images"]
    patch = [{"op": "replace", "path": "/visibility", "value": "shared"}]
    path = f"/image/v2/images/{record['id']}"
    must(http.patch(path, json=patch, headers={"Content-Type": JSON_PATCH}))
    must(http.post(f"{path}/members", json={"member": "library"}))


@pytest.fixture(scope="module")
def lived(real: Images) -> Iterator[tuple[Server, Answers]]:
    """A server that has been used, stopped, and all that it answered."""
    with running_server(Settings(workers=2)) as server:
        with httpx.Client(base_url=server.url, timeout=60) as http:
            live(http)
            Skopeo(server.directory).push(real.index, f"{server.address}/library/real:1")
            answers = crawl(http)
        server.stop()
        yield server, answers


@pytest.fixture
def server(lived: tuple[Server, Answers], tmp_path: Path) -> Iterator[Server]:
    """The same, stopped; what a test does to its data is undone afterwards."""
    server, _ = lived
    saved = tmp_path / "saved"
    shutil.copytree(server.data, saved)
    yield server
    if server.process.status is None:
        server.stop()
    shutil.rmtree(server.data)
    shutil.move(saved, server.data)


@pytest.fixture
def before(lived: tuple[Server, Answers]) -> Answers:
    assert len(lived[1]) > 60, "there was something to lose"
    return lived[1]


def lose_ledger(server: Server) -> None:
    for path in server.data.glob("ledger.db*"):
        path.unlink()


def rebuild(server: Server) -> subprocess.CompletedProcess[str]:
    command = [str(BERTH), "rebuild", "--config", str(server.directory / "berth.toml")]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


def ready(http: httpx.Client) -> bool:
    return http.get("/readyz").status_code == httpx.codes.OK


def hold_nothing_is_denied(http: httpx.Client, before: Answers) -> None:
    """While store and ledger disagree, nothing that may be there is said to be absent."""
    for path in before:
        if path.startswith("/v2/"):
            answer = http.get(path)
            assert answer.status_code == httpx.codes.SERVICE_UNAVAILABLE, (path, answer.text)
    push = http.post(f"/v2/{APP}/blobs/uploads/")
    assert push.status_code == httpx.codes.SERVICE_UNAVAILABLE
    assert "berth rebuild" in push.text
    assert http.get("/healthz").status_code == httpx.codes.OK
    assert http.get("/readyz").status_code == httpx.codes.SERVICE_UNAVAILABLE


def test_a_lost_database_is_rebuilt_beside_the_running_server(
    server: Server, before: Answers
) -> None:
    lose_ledger(server)
    server.restart()
    with httpx.Client(base_url=server.url, timeout=60) as http:
        hold_nothing_is_denied(http, before)
        done = rebuild(server)
        assert (done.returncode, done.stdout[:8]) == (0, "rebuilt:"), done.stderr
        # Two workers notice by themselves, each within a second or two.
        wait_until(lambda: all(ready(http) for _ in range(10)), "the server's agreement")
        time.sleep(2)
        assert crawl(http) == before
        put(http, f"{APP}/manifests/after", AMD.manifest)


def test_a_database_from_before_is_brought_up_to_date(server: Server, before: Answers) -> None:
    for path in server.data.glob("ledger.db*"):
        shutil.copy(path, server.directory / f"backup-{path.name}")
    server.restart()
    with httpx.Client(base_url=server.url, timeout=60) as http:
        put(http, f"{APP}/manifests/late", ARM.manifest)
        must(http.delete(f"/v2/{APP}/manifests/1.0"))
        after = crawl(http)
    server.stop()
    lose_ledger(server)
    for path in server.directory.glob("backup-*"):
        path.rename(server.data / path.name.removeprefix("backup-"))
    server.restart()
    with httpx.Client(base_url=server.url, timeout=60) as http:
        assert http.get(f"/v2/{APP}/manifests/late").status_code == 503
        assert http.get(f"/v2/{APP}/manifests/1").status_code == 200, "what is known is served"
        assert rebuild(server).returncode == 0
        wait_until(lambda: all(ready(http) for _ in range(10)), "the server's agreement")
        time.sleep(2)
        assert crawl(http) == after != before


def test_a_file_put_in_place_of_the_database_is_noticed_and_nothing_is_lost(
    server: Server, before: Answers
) -> None:
    saved = server.directory / "backup"
    saved.mkdir()
    for path in server.data.glob("ledger.db*"):
        shutil.copy(path, saved)
    server.restart()
    with httpx.Client(base_url=server.url, timeout=60) as http:
        put(http, f"{APP}/manifests/late", ARM.manifest)
        after = crawl(http)
        lose_ledger(server)
        for path in saved.iterdir():
            shutil.copy(path, server.data)
        wait_until(lambda: not any(ready(http) for _ in range(10)), "both workers' notice")
        assert "restart it" in http.get("/readyz").text
        refused = http.delete(f"/v2/{APP}/manifests/late")
        assert refused.status_code == httpx.codes.SERVICE_UNAVAILABLE
        server.stop()
        server.restart()
        assert http.get(f"/v2/{APP}/manifests/late").status_code == 503
        assert rebuild(server).returncode == 0
        wait_until(lambda: all(ready(http) for _ in range(10)), "the server's agreement")
        assert crawl(http) == after != before


def test_a_rebuild_that_was_broken_off_is_repeated(server: Server, before: Answers) -> None:
    lose_ledger(server)
    half = f"{server.directory}/berth.toml"
    source = (
        "import asyncio, os, sys\n"
        "from registry import agreement, stores, wiring\n"
        "os.environ[wiring.CONFIG_VARIABLE] = sys.argv[1]\n"
        "async def main():\n"
        "    async with stores.opened(wiring.load_config()) as storage:\n"
        "        stop = lambda count: os._exit(9) if count >= 5 else None\n"
        "        await agreement.rebuild(storage.journal, storage.ledger, stop, batch=5)\n"
        "asyncio.run(main())\n"
    )
    python = BERTH.with_name("python")
    died = subprocess.run([python, "-c", source, half], timeout=60, check=False)
    assert died.returncode == 9
    server.restart()
    with httpx.Client(base_url=server.url, timeout=60) as http:
        answer = http.get("/readyz")
        assert (answer.status_code, "half rebuilt" in answer.text) == (503, True)
        assert rebuild(server).returncode == 0
        wait_until(lambda: all(ready(http) for _ in range(10)), "the server's agreement")
        time.sleep(2)
        assert crawl(http) == before


def test_a_rebuild_of_a_whole_ledger_changes_nothing(server: Server, before: Answers) -> None:
    assert rebuild(server).returncode == 0
    server.restart()
    with httpx.Client(base_url=server.url, timeout=60) as http:
        assert crawl(http) == before


def test_a_damaged_line_is_named_and_nothing_is_made_of_it(server: Server) -> None:
    lose_ledger(server)
    (log,) = (server.data / "journal").glob("*.log")
    lines = log.read_bytes().splitlines(keepends=True)
    lines[4] = lines[4].replace(b"library", b"librarz", 1)
    log.write_bytes(b"".join(lines))
    done = rebuild(server)
    assert done.returncode == 1
    assert f"line 5 of {log.name}" in done.stderr.replace("\n", " ")
    assert "Traceback" not in done.stderr


def test_another_stores_ledger_is_refused(server: Server) -> None:
    meta = server.data / "meta" / "store.json"
    meta.write_text('{"store": "another", "epoch": 1}\n')
    server.restart()
    with httpx.Client(base_url=server.url, timeout=60) as http:
        answer = http.get(f"/v2/{APP}/manifests/unknown")
        assert answer.status_code == httpx.codes.SERVICE_UNAVAILABLE
        assert "another" in answer.text
    done = rebuild(server)
    assert done.returncode == 1
    assert "belongs to store" in done.stderr.replace("\n", " ")
