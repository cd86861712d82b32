"""What was deleted, over HTTP: listed, taken back, repositories deleted as a whole."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from registry import undelete
from registry.api.trash import TrashApi
from registry.auth.open import OpenIdentity
from registry.limits import UNBOUNDED, FixedAllowances, Limits
from registry.oci.descriptor import OCI_INDEX, OCI_MANIFEST
from registry.oci.digest import Digest
from registry.oci.names import RepositoryName
from registry.storage.ledger import SqlLedger
from registry.storage.storage import Storage
from registry.v2api.app import Application, Settings
from registry.v2api.guard import Guard
from support.builders import image, index
from support.pushing import code, push_image, push_manifest

APP = "library/app"
OWN = f"/registry/v1/repositories/{APP}"
AMD, ARM, OLD = image("base", "top"), image("base", "arm", architecture="arm64"), image("old")
BOTH = index(AMD, ARM)
TOP = index(AMD, ARM, extra={"annotations": {"of": "both"}})


@pytest.fixture
async def client(storage: Storage) -> AsyncIterator[httpx.AsyncClient]:
    assert isinstance(storage.ledger, SqlLedger)
    routes = TrashApi(storage.ledger.trash, 100.0).routes
    app = Application(storage, Guard(OpenIdentity()), Settings(), routes)
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:5000") as client:
        for each in (AMD, ARM):
            await push_image(client, APP, str(each.digest), each)
        await push_manifest(client, APP, "1", AMD.manifest, OCI_MANIFEST)
        answer = await push_manifest(client, APP, "both", BOTH, OCI_INDEX)
        assert answer.status_code == 201, answer.text
        yield client


async def delete(client: httpx.AsyncClient, *references: str) -> None:
    for each in references:
        answer = await client.delete(f"/v2/{APP}/manifests/{each}")
        assert answer.status_code == 202, answer.text


async def trash(client: httpx.AsyncClient) -> list[tuple[str, list[str]]]:
    answer = await client.get("/registry/v1/trash")
    return [(each["digest"], each["tags"]) for each in answer.json()["trash"]]


async def take_back(client: httpx.AsyncClient, reference: str | None = None) -> httpx.Response:
    query = {} if reference is None else {"reference": reference}
    return await client.post(f"{OWN}/_undelete", params=query)


async def manifest(client: httpx.AsyncClient, reference: str) -> bytes | None:
    answer = await client.get(f"/v2/{APP}/manifests/{reference}")
    return answer.content if answer.status_code == 200 else None


async def test_what_is_taken_back_needs_room_within_limits_that_are_kept_elsewhere(
    client: httpx.AsyncClient, storage: Storage
) -> None:
    """As the configuration has them, or Keystone."""
    await delete(client, "1")
    await push_manifest(client, APP, "2", AMD.manifest, OCI_MANIFEST)
    storage.allowances = FixedAllowances(UNBOUNDED, {"library": Limits(tags=2)})
    refused = await take_back(client, "1")
    assert (refused.status_code, code(refused)) == (403, "DENIED")
    assert "has 2 of 2 tags; 1 more are needed" in refused.text
    assert await manifest(client, "1") is None
    assert await trash(client) == [(str(AMD.digest), ["1"])]
    used = await used_bytes(storage)
    storage.allowances = FixedAllowances(UNBOUNDED, {"library": Limits(tags=3, bytes=used + 1)})
    answer = await take_back(client, "1")
    assert answer.status_code == 200, answer.text
    assert "(100 %)" in answer.headers["Warning"]
    assert await manifest(client, "1") == AMD.manifest


async def used_bytes(storage: Storage) -> int:
    assert isinstance(storage.ledger, SqlLedger)
    return (await storage.ledger.quotas.standing(RepositoryName("library", ""))).usage.bytes


async def test_a_tag_is_listed_and_taken_back(client: httpx.AsyncClient) -> None:
    await delete(client, "1")
    (shown,) = (await client.get(f"{OWN}/_trash")).json()["trash"]
    assert shown["until"] - shown["deleted_at"] == 100
    del shown["id"], shown["until"], shown["deleted_at"]
    assert shown == {
        "repository": APP, "digest": str(AMD.digest), "media_type": OCI_MANIFEST,
        "size": len(AMD.manifest), "tags": ["1"], "whole": False,
    }  # fmt: skip
    answer = await take_back(client, "1")
    assert answer.json() == {
        "repository": APP, "restored": [{"digest": str(AMD.digest), "tags": ["1"]}],
        "taken": {}, "more": False,
    }  # fmt: skip
    assert await manifest(client, "1") == AMD.manifest
    assert await trash(client) == []
    assert (await take_back(client, "1")).status_code == 404


async def test_an_index_brings_back_what_it_names(client: httpx.AsyncClient) -> None:
    await delete(client, "both", str(Digest.of(BOTH)), str(AMD.digest), str(ARM.digest))
    answer = await take_back(client, "both")
    assert answer.status_code == 200, answer.text
    came = [each["digest"] for each in answer.json()["restored"]]
    assert sorted(came[:2]) == sorted([str(AMD.digest), str(ARM.digest)])
    assert came[2:] == [str(Digest.of(BOTH))]
    assert await manifest(client, "both") == BOTH
    assert await manifest(client, str(ARM.digest)) == ARM.manifest
    assert await trash(client) == [(str(AMD.digest), ["1"])], "its tag was not asked for"
    await take_back(client, "1")
    assert await manifest(client, "1") == AMD.manifest


async def test_a_manifest_comes_back_without_tags_that_are_elsewhere(
    client: httpx.AsyncClient,
) -> None:
    await push_manifest(client, APP, "2", AMD.manifest, OCI_MANIFEST)
    await delete(client, str(AMD.digest))
    await push_image(client, APP, "1", OLD)
    refused = await take_back(client, "1")
    assert (refused.status_code, code(refused)) == (409, "DENIED")
    assert f"1 on {OLD.digest}" in refused.text
    assert "by its digest" in refused.text
    assert await manifest(client, str(AMD.digest)) is None
    answer = (await take_back(client, str(AMD.digest))).json()
    assert answer["restored"] == [{"digest": str(AMD.digest), "tags": ["2"]}]
    assert answer["taken"] == {"1": str(OLD.digest)}
    assert await manifest(client, "1") == OLD.manifest
    assert await manifest(client, "2") == AMD.manifest


async def test_a_repository_goes_and_comes_back_as_a_whole(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two manifests a call, so that each takes several."""
    monkeypatch.setattr(undelete, "STEP", 1)
    monkeypatch.setattr(undelete, "MOST", 2)
    await push_image(client, APP, "gone", OLD)
    await delete(client, "gone", str(OLD.digest))
    await push_manifest(client, APP, "top", TOP, OCI_INDEX)
    calls: list[dict[str, Any]] = []
    while not calls or calls[-1]["more"]:
        calls.append((await client.delete(OWN)).json())
    assert [each["manifests"] for each in calls] == [2, 2]
    assert sum(each["tags"] for each in calls) == 3
    assert (await client.get(f"/v2/{APP}/tags/list")).json()["tags"] == []
    assert (await client.delete(OWN)).json() == {
        "repository": APP, "manifests": 0, "tags": 0, "more": False,
    }  # fmt: skip
    answers: list[dict[str, Any]] = []
    while not answers or answers[-1]["more"]:
        answers.append((await take_back(client)).json())
    assert (await client.get(f"/v2/{APP}/tags/list")).json()["tags"] == ["1", "both", "top"]
    assert await manifest(client, "top") == TOP
    assert await manifest(client, str(ARM.digest)) == ARM.manifest
    assert [each[1] for each in await trash(client)] == [[], ["gone"]], "deleted by themselves"
    assert len(answers) > 1


async def test_a_whole_repository_leaves_what_was_pushed_since(client: httpx.AsyncClient) -> None:
    assert (await client.delete(OWN)).status_code == 200
    await push_image(client, APP, "1", OLD)
    answer = (await take_back(client)).json()
    assert answer["taken"] == {"1": str(OLD.digest)}
    assert await manifest(client, "1") == OLD.manifest
    assert await manifest(client, "both") == BOTH
    again = await take_back(client)
    assert again.json()["restored"] == []


@pytest.mark.parametrize("reference", ["nothing", f"sha256:{'0' * 64}", None])
async def test_what_is_not_in_the_trash_is_told(
    client: httpx.AsyncClient, reference: str | None
) -> None:
    answer = await take_back(client, reference)
    assert (answer.status_code, code(answer)) == (404, "MANIFEST_UNKNOWN")
    assert "its term is over" in answer.text


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("POST", f"{OWN}/_undelete?reference=sha256:1", 400),
        ("POST", f"{OWN}/_undelete?reference=a&reference=b", 400),
        ("POST", f"{OWN}/_undelete?reference=-", 400),
        ("POST", "/registry/v1/repositories/NO/_undelete", 400),
        ("GET", f"{OWN}/_undelete", 405),
        ("PUT", OWN, 405),
        ("DELETE", "/registry/v1/repositories/library/nowhere", 404),
        ("GET", "/registry/v1/trash?last=x", 400),
        ("GET", "/registry/v1/trash?last=1/%00", 200),
        ("GET", "/registry/v2", 404),
        ("GET", "/registry/v1/repositories//_trash", 400),
    ],
)
async def test_what_cannot_be_meant_is_refused(
    client: httpx.AsyncClient, method: str, path: str, status: int
) -> None:
    answer = await client.request(method, path)
    assert answer.status_code == status, answer.text
    if status >= 400:
        code(answer)


async def test_nothing_is_changed_or_denied_while_store_and_ledger_disagree(
    client: httpx.AsyncClient, storage: Storage
) -> None:
    storage.disagreement = "as a test will have it"
    for answer in (await take_back(client, "1"), await client.delete(OWN)):
        assert answer.status_code == 503
    storage.disagreement = None
    assert await manifest(client, "1") == AMD.manifest
