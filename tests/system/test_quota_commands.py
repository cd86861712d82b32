"""Quotas as people set and see them: climg, berth quota, and after the ledger was lost."""

import json
import sqlite3
from collections.abc import Iterator

import httpx
import pytest

from registry.oci.digest import Digest
from support.builders import image
from support.climgcalls import Climg
from support.server import ALICE, CAROL, Account, Server, Settings, running_server

ADMIN = '[auth.projects.ops]\nalice = "admin"\n[quota]\nrepository_tags = 50\n'
MIB = 1024 * 1024
IMAGE = image("base", "top")


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with running_server(Settings(auth=True, workers=2, extra=ADMIN)) as server:
        yield server


@pytest.fixture
def climg(server: Server) -> Climg:
    return Climg(server.url)


def by(account: Account) -> dict[str, str]:
    return {"BERTH_USER": account.name, "BERTH_PASSWORD": account.password}


def push_blob(server: Server, name: str, content: bytes) -> httpx.Response:
    query = f"digest={Digest.of(content)}"
    url = f"{server.url}/v2/{name}/blobs/uploads/?{query}"
    return httpx.post(url, content=content, auth=ALICE.pair, timeout=60)


def push_image(server: Server, name: str) -> None:
    for blob in IMAGE.blobs:
        assert push_blob(server, name, blob).status_code == httpx.codes.CREATED
    url = f"{server.url}/v2/{name}/manifests/1"
    headers = {"Content-Type": IMAGE.media_type}
    answer = httpx.put(url, content=IMAGE.manifest, headers=headers, auth=ALICE.pair, timeout=60)
    assert answer.status_code == httpx.codes.CREATED, answer.text


def shown(climg: Climg, *names: str) -> dict[str, dict[str, object]]:
    told = json.loads("\n".join(climg.said("quota-show", "--json", *names, **by(CAROL))))
    return {f"{each['project']}/{each['repository'] or ''}": each for each in told}


def test_a_limit_is_set_seen_held_and_outlives_the_ledger(server: Server, climg: Climg) -> None:
    push_image(server, "library/app")
    said = climg.said("quota-set", "library", "--bytes", "1MiB", "--tags", "7", **by(ALICE))
    assert said[0].split() == [
        "Name", "Bytes", "Limit", "Trash", "Reserved", "Repositories", "Tags",
    ]  # fmt: skip
    used = sum(map(len, IMAGE.blobs)) + len(IMAGE.manifest)
    assert said[1].split() == ["library", str(used), str(MIB), "0", "0", "1/any", "1/7"]
    climg.said("quota-set", "library/app", "--bytes", "10KiB", **by(ALICE))
    climg.said("quota-set", "library", "--tags", "default", **by(ALICE))
    answer = push_blob(server, "library/other", b"a" * MIB)
    assert answer.status_code == httpx.codes.FORBIDDEN
    assert "project library has" in answer.json()["errors"][0]["message"]
    answer = push_blob(server, "library/app", b"a" * 20_000)
    assert "repository library/app has" in answer.json()["errors"][0]["message"]
    whole = {"bytes": MIB, "repositories": None, "tags": None}
    for _ in ("before", "after the ledger was lost"):
        assert shown(climg)["library/"]["limits"] == whole
        one = shown(climg, "library/app")["library/app"]
        assert one["limits"] == {"bytes": 10_240, "tags": 50}
        assert one["set"] == {"bytes": 10_240}
        assert one["used"] == {
            "bytes": used, "trash": 0, "reserved": 0, "repositories": 1, "tags": 1,
        }  # fmt: skip
        assert server.run("quota", "--check") == "all counters are exact\n"
        told = "library: 1 repositories, 1 tags\n  {} bytes, 0 in the trash, 0 reserved\n"
        assert server.run("quota") == told.format(used)
        server.stop()
        for path in server.data.glob("ledger.db*"):
            path.unlink()
        server.run("rebuild")
        server.restart()


def test_only_an_administrator_limits_a_project_and_a_manager_its_repositories(
    climg: Climg,
) -> None:
    told = climg.refused(1, "quota-set", "library", "--bytes", "1", **by(CAROL))
    assert "limiting a project needs the role admin" in told
    told = climg.refused(1, "quota-set", "library/app", "--bytes", "1", **by(CAROL))
    assert "needs the role manager in library" in told
    told = climg.refused(1, "quota-show", "ops", **by(CAROL))
    assert "there is no project ops in which you have a role" in told


@pytest.mark.parametrize(
    "words",
    [
        ("library",),
        ("library", "--bytes", "much"),
    ],
)
def test_what_is_no_limit_is_wrong_usage(climg: Climg, words: tuple[str, ...]) -> None:
    climg.refused(2, "quota-set", *words, **by(ALICE))


@pytest.mark.parametrize("body", [b"", b"[]", b'{"bytes":"1"}', b'{"bytes":-2}', b'{"x":1}'])
def test_a_body_that_is_no_limits_is_refused_in_words(server: Server, body: bytes) -> None:
    url = f"{server.url}/registry/v1/projects/library/quota"
    answer = httpx.put(url, content=body, auth=ALICE.pair)
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (400, "UNSUPPORTED")
    url = f"{server.url}/registry/v1/repositories/library/app/_quota"
    answer = httpx.put(url, json={"repositories": 3}, auth=ALICE.pair)
    assert answer.json()["errors"][0]["detail"] == "limits are one JSON object of bytes, tags"


def test_a_counter_that_is_wrong_is_told_and_mended(server: Server) -> None:
    push_image(server, "conformance/app")
    with sqlite3.connect(server.data / "ledger.db", timeout=30) as ledger:
        ledger.execute("UPDATE usage SET bytes = bytes + 3 WHERE project_id = 'conformance'")
    ledger.close()
    told = server.run("quota", "--check", status=1)
    assert told.splitlines()[-1] == "2 counters were wrong"
    assert "conformance: bytes: counted" in told
    server.run("quota", "--mend", status=1)
    assert server.run("quota", "--check") == "all counters are exact\n"
    assert "conformance: " in server.run("quota")
