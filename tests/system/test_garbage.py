"""berth gc and fsck on a used registry: what nothing needs goes, and nothing else."""

import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from registry.oci.descriptor import OCI_INDEX, OCI_MANIFEST
from registry.oci.digest import Digest
from support.builders import Image, image, index
from support.crawl import Answers, crawl
from support.server import Server, Settings, running_server

APP, COPY = "library/app", "library/copy"
DAY = 86_400
GC = "[gc]\nevery_minutes = 0\ntrash_days = 1\nuntagged_days = 3\n"
BASE, ARM, OLD = image("base", "top"), image("base", "arm", architecture="arm64"), image("old")


@pytest.fixture
def server() -> Iterator[Server]:
    with running_server(Settings(workers=2, extra=GC)) as server:
        yield server


@pytest.fixture
def http(server: Server) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.url, timeout=60) as http:
        yield http


def push(http: httpx.Client, name: str, tag: str, pushed: Image) -> None:
    for blob in pushed.blobs:
        push_blob(http, name, blob)
    put(http, name, tag, pushed.manifest)


def push_blob(http: httpx.Client, name: str, content: bytes) -> str:
    digest = str(Digest.of(content))
    answer = http.post(f"/v2/{name}/blobs/uploads/?digest={digest}", content=content)
    assert answer.status_code == httpx.codes.CREATED, answer.text
    return digest


def put(
    http: httpx.Client, name: str, tag: str, content: bytes, media_type: str = OCI_MANIFEST
) -> None:
    headers = {"Content-Type": media_type}
    answer = http.put(f"/v2/{name}/manifests/{tag}", content=content, headers=headers)
    assert answer.status_code == httpx.codes.CREATED, answer.text


def days_pass(server: Server, days: float) -> None:
    """All that the ledger remembers of times lies *days* further back."""
    with sqlite3.connect(server.data / "ledger.db", timeout=30) as ledger:
        for table, column in (
            ("link", "touched_at"),
            ("blob", "created_at"),
            ("blob", "verified_at"),
            ("manifest", "pushed_at"),
            ("trash", "deleted_at"),
            ("upload", "touched_at"),
        ):
            ledger.execute(f"UPDATE {table} SET {column} = {column} - {days * DAY}")  # noqa: S608
    ledger.close()


def stored(server: Server) -> set[str]:
    return {path.parent.name for path in (server.data / "blobs").glob("*/*/*/*")}


def hexes(*contents: bytes) -> set[str]:
    return {Digest.of(content).encoded for content in contents}


def reachable(answers: Answers) -> Answers:
    """Without image records, whose order of creation is told by times."""
    return {path: answer for path, answer in answers.items() if path.startswith("/v2/")}


def test_what_nothing_needs_goes_and_nothing_else(server: Server, http: httpx.Client) -> None:
    push(http, APP, "1", BASE)
    push(http, APP, str(ARM.digest), ARM)
    put(http, APP, "both", index(BASE, ARM), OCI_INDEX)
    before = reachable(crawl(http))
    push(http, APP, "old", OLD)
    push(http, COPY, "old", OLD)
    lost = b"nobody names this"
    push_blob(http, APP, lost)
    http.post(f"/v2/{APP}/blobs/uploads/")
    assert http.delete(f"/v2/{APP}/manifests/{OLD.digest}").status_code == 202
    everything = hexes(*BASE.blobs, *ARM.blobs, *OLD.blobs, lost)
    server.run("gc")
    assert stored(server) == everything, "all of it is younger than its grace"
    days_pass(server, 1.5)
    plan = json.loads(server.run("gc", "--dry-run", "--json"))
    doomed = {str(Digest.of(each)) for each in (*OLD.blobs, lost)}
    assert plan["links"].keys() == {APP}
    assert set(plan["links"][APP]) == doomed, "the trash of old ends with this run"
    assert (len(plan["uploads"]), plan["trash"]) == (1, 1)
    assert stored(server) == everything, "a dry run changes nothing"
    told = json.loads(server.run("gc", "--json"))
    assert (told["blobs"], told["blobs_bytes"], told["uploads"]) == (1, len(lost), 1)
    assert (told["trash"], told["links"]) == (1, len(doomed))
    assert stored(server) == everything - hexes(lost), "copy still has the old image"
    assert http.get(f"/v2/{COPY}/manifests/old").content == OLD.manifest
    assert http.head(f"/v2/{APP}/blobs/{Digest.of(OLD.config)}").status_code == 404
    assert http.delete(f"/v2/{COPY}/manifests/old").status_code == 202
    for _ in range(2):  # the tag's trash ends, then the manifest is untagged for long enough
        days_pass(server, 4)
        for _ in range(3):
            server.run("gc")
    assert stored(server) == hexes(*BASE.blobs, *ARM.blobs)
    assert {path: reachable(crawl(http)).get(path) for path in before} == before
    push(http, COPY, "again", OLD)
    for blob in OLD.blobs:
        assert http.get(f"/v2/{COPY}/blobs/{Digest.of(blob)}").content == blob


def test_the_collector_and_the_journal_agree(server: Server, http: httpx.Client) -> None:
    """After a rebuild nothing that was collected is back, and what was pushed again is there."""
    push(http, APP, "1", BASE)
    push(http, APP, "old", OLD)
    assert http.delete(f"/v2/{APP}/manifests/{OLD.digest}").status_code == 202
    for _ in range(2):
        days_pass(server, 2)
        server.run("gc")
    push(http, APP, "new", ARM)
    push(http, COPY, "old", OLD)
    before = crawl(http)
    server.stop()
    for path in server.data.glob("ledger.db*"):
        path.unlink()
    server.run("rebuild")
    server.restart()
    assert crawl(http) == before
    for blob in OLD.blobs:
        digest = Digest.of(blob)
        assert http.get(f"/v2/{COPY}/blobs/{digest}").content == blob
        assert http.get(f"/v2/{APP}/blobs/{digest}").status_code == 404


def test_a_reason_is_told_for_each_digest(server: Server, http: httpx.Client) -> None:
    push(http, APP, "1", BASE)
    lost = push_blob(http, APP, b"lost")

    def explain(digest: str) -> str:
        return server.run("gc", "--explain", digest)

    assert f"{APP} names it in {BASE.digest}, tagged 1" in explain(str(Digest.of(BASE.config)))
    assert "stays: tagged 1" in explain(str(BASE.digest))
    assert f"promised to {APP} until" in explain(lost)
    days_pass(server, 2)
    assert f"goes from {APP} with the next run" in explain(lost)
    assert http.delete(f"/v2/{APP}/manifests/{BASE.digest}").status_code == 202
    assert f"the trash of {APP} names it, until" in explain(str(Digest.of(BASE.config)))
    assert f"in the trash of {APP} since" in explain(str(BASE.digest))
    assert "nothing here has this digest" in explain(str(Digest.of(b"never seen")))


def test_what_was_misspelt_is_said(server: Server, http: httpx.Client) -> None:
    push(http, APP, "1", BASE)
    refused = server.refusal("gc", "--explain", "sha256:nonsense", status=2)
    assert refused.startswith("berth: 'sha256:nonsense' is no digest: a sha256 digest has")
    refused = server.refusal("gc", "--explain", f"{APP}:1", status=2)
    assert f"'{APP}:1' is no digest" in refused
    for words in (["gc"], ["gc", "--dry-run"], ["gc", "--explain", str(BASE.digest)]):
        refused = server.refusal(*words, "--repository", "library/ap")
        assert "there is no repository library/ap" in refused
    server.refusal("fsck", "--older", "-1", status=2)


def test_a_flipped_byte_is_found_and_the_next_push_heals_it(
    server: Server, http: httpx.Client
) -> None:
    push(http, APP, "1", BASE)
    layer = BASE.layers[0]
    digest = Digest.of(layer)
    url = f"/v2/{APP}/blobs/{digest}"
    assert "3 blobs" in server.run("fsck")
    (path,) = (server.data / "blobs").glob(f"*/*/{digest.encoded}/*")
    spoil(path)
    told = json.loads(server.run("fsck", "--json", status=1))
    assert told["bad"] == [str(digest)]
    assert told["broken"] == [f"breaks: {APP} 1 ({BASE.digest}) needs {digest}"]
    assert http.get(url).status_code == httpx.codes.NOT_FOUND
    assert http.head(url).status_code == httpx.codes.NOT_FOUND
    answer = http.put(
        f"/v2/{APP}/manifests/2", content=BASE.manifest, headers={"Content-Type": OCI_MANIFEST}
    )
    assert answer.json()["errors"][0]["code"] == "MANIFEST_BLOB_UNKNOWN"
    assert str(digest) in answer.text
    push(http, COPY, "1", BASE)
    assert http.get(url).content == layer, "healed for all"
    server.run("fsck")
    server.run("gc")
    assert not path.exists()


def test_a_short_file_is_bad_too(server: Server, http: httpx.Client) -> None:
    push(http, APP, "1", BASE)
    digest = Digest.of(BASE.layers[1])
    (path,) = (server.data / "blobs").glob(f"*/*/{digest.encoded}/*")
    path.chmod(0o600)
    path.write_bytes(path.read_bytes()[:-1])
    assert f"bad: {digest}" in server.run("fsck", status=1)


def spoil(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.chmod(0o600)
    path.write_bytes(content)
