"""end-2 and end-10: reading with ranges, and deleting."""

import httpx
import pytest

from registry.oci.digest import Digest
from support.pushing import code, push_blob

CONTENT = bytes(range(256)) * 8
URL = f"/v2/library/app/blobs/{Digest.of(CONTENT)}"


@pytest.fixture
async def pushed(client: httpx.AsyncClient) -> httpx.AsyncClient:
    await push_blob(client, "library/app", CONTENT)
    return client


async def test_get_and_head_have_the_same_headers(pushed: httpx.AsyncClient) -> None:
    got, head = await pushed.get(URL), await pushed.head(URL)
    assert got.content == CONTENT
    assert head.content == b""
    names = ("content-length", "docker-content-digest", "content-type", "accept-ranges", "etag")
    assert [got.headers[name] for name in names] == [head.headers[name] for name in names]
    assert got.headers["content-length"] == str(len(CONTENT))


@pytest.mark.parametrize(
    ("wanted", "start", "stop"),
    [
        ("bytes=500-1499", 500, 1500),
        ("bytes=500-", 500, 2048),
        ("bytes=-500", 1548, 2048),
        ("bytes=2000-5000", 2000, 2048),
        ("bytes=-9999", 0, 2048),
        ("bytes=0-0", 0, 1),
    ],
)
async def test_a_range_is_answered_exactly(
    pushed: httpx.AsyncClient, wanted: str, start: int, stop: int
) -> None:
    answer = await pushed.get(URL, headers={"Range": wanted})
    assert answer.status_code == 206
    assert answer.content == CONTENT[start:stop]
    assert answer.headers["content-range"] == f"bytes {start}-{stop - 1}/2048"
    assert answer.headers["content-length"] == str(stop - start)


@pytest.mark.parametrize("wanted", ["bytes=500-0", "bytes=5000-10000", "bytes=2048-", "bytes=-0"])
async def test_a_range_without_a_byte_is_416(pushed: httpx.AsyncClient, wanted: str) -> None:
    answer = await pushed.get(URL, headers={"Range": wanted})
    assert answer.status_code == 416
    assert answer.headers["content-range"] == "bytes */2048"


@pytest.mark.parametrize("wanted", ["bytes=0-1,5-6", "lines=1-2", "bytes=", "bytes=a-b", "-"])
async def test_another_kind_of_range_is_ignored(pushed: httpx.AsyncClient, wanted: str) -> None:
    answer = await pushed.get(URL, headers={"Range": wanted})
    assert (answer.status_code, answer.content) == (200, CONTENT)


async def test_a_deleted_blob_is_gone_at_once_and_can_be_pushed_again(
    pushed: httpx.AsyncClient,
) -> None:
    await push_blob(pushed, "library/other", CONTENT)
    for _ in range(3):
        assert (await pushed.delete(URL)).status_code == 202
        assert (await pushed.head(URL)).status_code == 404
        assert (await pushed.delete(URL)).status_code == 404
        await push_blob(pushed, "library/app", CONTENT)
        assert (await pushed.get(URL)).content == CONTENT
    await pushed.delete(URL)
    other = await pushed.get(URL.replace("app", "other"))
    assert other.content == CONTENT


async def test_a_blob_of_another_repository_is_unknown(pushed: httpx.AsyncClient) -> None:
    answer = await pushed.get(URL.replace("library/app", "library/b"))
    assert (answer.status_code, code(answer)) == (404, "BLOB_UNKNOWN")


async def test_a_misspelt_digest_is_400(client: httpx.AsyncClient) -> None:
    answer = await client.get("/v2/library/app/blobs/sha256:nonsense")
    assert (answer.status_code, code(answer)) == (400, "DIGEST_INVALID")


async def test_an_unknown_path_and_a_wrong_method_say_so(client: httpx.AsyncClient) -> None:
    unknown = await client.get("/v2/library/app/nonsense")
    assert (unknown.status_code, code(unknown)) == (404, "NAME_UNKNOWN")
    wrong = await client.post(URL)
    assert (wrong.status_code, code(wrong)) == (405, "UNSUPPORTED")
    assert wrong.headers["allow"] == "GET, HEAD, DELETE"


@pytest.mark.parametrize("name", ["UPPER/app", "a//b", "-a/b", "a/b_", "a/" + "x" * 300, "ü/b"])
async def test_a_bad_name_is_refused(client: httpx.AsyncClient, name: str) -> None:
    answer = await client.get(f"/v2/{name}/tags/list")
    assert (answer.status_code, code(answer)) == (400, "NAME_INVALID")


async def test_every_answer_has_a_request_id(client: httpx.AsyncClient) -> None:
    for path in ("/v2/", "/v2/nonsense", "/nowhere", URL):
        answer = await client.get(path)
        assert answer.headers["x-openstack-request-id"].startswith("req-")
