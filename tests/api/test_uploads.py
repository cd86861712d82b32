"""end-4 to end-6, end-11, end-13, end-14, as CONFORMANCE asks and as the suite does not."""

import hashlib
from collections.abc import AsyncIterator

import httpx

from registry.oci.digest import Digest
from support.pushing import code, push_blob

HELLO = b"hello, registry"
DIGEST = str(Digest.of(HELLO))
START = "/v2/library/app/blobs/uploads/"


async def begin(client: httpx.AsyncClient) -> str:
    answer = await client.post(START)
    assert answer.status_code == 202
    assert answer.headers["range"] == "0-0"
    return str(answer.headers["location"])


def with_digest(location: str, digest: str = DIGEST) -> str:
    return f"{location}{'&' if '?' in location else '?'}digest={digest}"


async def test_a_whole_blob_goes_in_one_post(client: httpx.AsyncClient) -> None:
    answer = await client.post(f"{START}?digest={DIGEST}", content=HELLO)
    assert answer.status_code == 201
    assert answer.headers["docker-content-digest"] == DIGEST
    got = await client.get(answer.headers["location"])
    assert (got.status_code, got.content) == (200, HELLO)


async def test_a_post_then_a_put_with_the_whole(client: httpx.AsyncClient) -> None:
    location = await begin(client)
    answer = await client.put(with_digest(location), content=HELLO)
    assert answer.status_code == 201
    assert (await client.get(answer.headers["location"])).content == HELLO


async def test_a_stream_of_unknown_length_then_an_empty_put(client: httpx.AsyncClient) -> None:
    location = await begin(client)

    async def stream() -> AsyncIterator[bytes]:
        yield HELLO[:5]
        yield HELLO[5:]

    patched = await client.patch(location, content=stream())
    assert (patched.status_code, patched.headers["range"]) == (202, f"0-{len(HELLO) - 1}")
    closed = await client.put(with_digest(patched.headers["location"]))
    assert closed.status_code == 201


async def test_chunks_in_order_and_the_last_one_in_the_put(client: httpx.AsyncClient) -> None:
    location = await begin(client)
    first = await client.patch(location, content=HELLO[:6], headers={"Content-Range": "0-5"})
    assert (first.status_code, first.headers["range"]) == (202, "0-5")
    headers = {"Content-Range": f"6-{len(HELLO) - 1}"}
    closed = await client.put(
        with_digest(first.headers["location"]), content=HELLO[6:], headers=headers
    )
    assert closed.status_code == 201
    assert (await client.get(closed.headers["location"])).content == HELLO


async def test_a_chunk_out_of_order_is_416_and_appends_nothing(client: httpx.AsyncClient) -> None:
    location = await begin(client)
    ahead = await client.patch(location, content=b"xyz", headers={"Content-Range": "5-7"})
    assert (ahead.status_code, ahead.headers["range"]) == (416, "0-0")
    first = await client.patch(location, content=HELLO[:6], headers={"Content-Range": "0-5"})
    assert first.status_code == 202
    again = await client.patch(location, content=HELLO[:6], headers={"Content-Range": "0-5"})
    assert (again.status_code, again.headers["range"]) == (416, "0-5")
    assert code(again) == "BLOB_UPLOAD_INVALID"
    closing = await client.put(
        with_digest(location), content=b"x", headers={"Content-Range": "9-9"}
    )
    assert (closing.status_code, closing.headers["range"]) == (416, "0-5")
    rest = await client.patch(again.headers["location"], content=HELLO[6:])
    assert rest.headers["range"] == f"0-{len(HELLO) - 1}"
    assert (await client.put(with_digest(location))).status_code == 201


async def test_a_stale_location_still_tells_how_far_the_upload_is(
    client: httpx.AsyncClient,
) -> None:
    location = await begin(client)
    assert (await client.get(location)).headers["range"] == "0-0"
    await client.patch(location, content=HELLO)
    status = await client.get(with_digest(location))
    assert (status.status_code, status.headers["range"]) == (204, f"0-{len(HELLO) - 1}")


async def test_other_content_than_the_digest_is_400_on_every_path(
    client: httpx.AsyncClient,
) -> None:
    other = str(Digest.of(b"other"))
    one = await client.post(f"{START}?digest={other}", content=HELLO)
    whole = await client.put(with_digest(await begin(client), other), content=HELLO)
    location = await begin(client)
    await client.patch(location, content=HELLO)
    streamed = await client.put(with_digest(location, other))
    for answer in (one, whole, streamed):
        assert (answer.status_code, code(answer)) == (400, "DIGEST_INVALID")
    assert (await client.head(f"/v2/library/app/blobs/{other}")).status_code == 404
    assert (await client.head(f"/v2/library/app/blobs/{DIGEST}")).status_code == 404


async def test_after_a_wrong_digest_the_session_can_be_closed_with_the_right_one(
    client: httpx.AsyncClient,
) -> None:
    location = await begin(client)
    await client.patch(location, content=HELLO)
    assert (await client.put(with_digest(location, str(Digest.of(b"x"))))).status_code == 400
    assert (await client.put(with_digest(location))).status_code == 201


async def test_a_repeated_closing_put_gets_its_201_again(client: httpx.AsyncClient) -> None:
    location = await begin(client)
    await client.patch(location, content=HELLO)
    for _ in range(2):
        assert (await client.put(with_digest(location))).status_code == 201
    assert (await client.patch(location, content=b"more")).status_code == 404
    wrong = await client.put(with_digest(location, str(Digest.of(b"x"))))
    assert (wrong.status_code, code(wrong)) == (404, "BLOB_UPLOAD_UNKNOWN")


async def test_sha512_named_only_at_the_end_is_verified(client: httpx.AsyncClient) -> None:
    digest = "sha512:" + hashlib.sha512(HELLO).hexdigest()
    location = await begin(client)
    await client.patch(location, content=HELLO)
    closed = await client.put(with_digest(location, digest))
    assert (closed.status_code, closed.headers["docker-content-digest"]) == (201, digest)
    head = await client.head(f"/v2/library/app/blobs/{digest}")
    assert (head.status_code, head.headers["docker-content-digest"]) == (200, digest)


async def test_the_empty_blob_goes_by_post_and_by_put(client: httpx.AsyncClient) -> None:
    empty = str(Digest.of(b""))
    assert (await client.post(f"{START}?digest={empty}")).status_code == 201
    other = await client.post("/v2/library/other/blobs/uploads/")
    closed = await client.put(with_digest(other.headers["location"], empty))
    assert closed.status_code == 201
    got = await client.get(closed.headers["location"])
    assert (got.content, got.headers["content-length"]) == (b"", "0")


async def test_a_cancelled_upload_is_unknown_from_then_on(client: httpx.AsyncClient) -> None:
    location = await begin(client)
    await client.patch(location, content=HELLO)
    assert (await client.delete(location)).status_code == 204
    for answer in (
        await client.get(location),
        await client.patch(location, content=b"x"),
        await client.put(with_digest(location)),
        await client.delete(location),
    ):
        assert (answer.status_code, code(answer)) == (404, "BLOB_UPLOAD_UNKNOWN")


async def test_a_mount_links_without_bytes(client: httpx.AsyncClient) -> None:
    await push_blob(client, "library/app", HELLO)
    answer = await client.post(f"/v2/library/b/blobs/uploads/?mount={DIGEST}&from=library/app")
    assert answer.status_code == 201
    assert answer.headers["location"] == f"/v2/library/b/blobs/{DIGEST}"
    anonymous = await client.post(f"/v2/library/c/blobs/uploads/?mount={DIGEST}")
    assert anonymous.status_code == 201
    assert (await client.get(anonymous.headers["location"])).content == HELLO


async def test_a_mount_of_what_is_not_there_begins_an_upload(client: httpx.AsyncClient) -> None:
    answer = await client.post(f"/v2/library/b/blobs/uploads/?mount={DIGEST}&from=library/app")
    assert answer.status_code == 202
    closed = await client.put(with_digest(answer.headers["location"]), content=HELLO)
    assert closed.status_code == 201


async def test_nonsense_is_a_clear_400(client: httpx.AsyncClient) -> None:
    location = await begin(client)
    cases = [
        (await client.put(location, content=HELLO), "DIGEST_INVALID"),
        (await client.put(with_digest(location, "md5:abc"), content=HELLO), "DIGEST_INVALID"),
        (await client.post(f"{START}?digest=sha256:zz", content=HELLO), "DIGEST_INVALID"),
        (await client.post(f"{START}?digest-algorithm=md5"), "DIGEST_INVALID"),
        (await client.post(f"{START}?mount=nonsense"), "DIGEST_INVALID"),
        (
            await client.patch(location, content=b"abc", headers={"Content-Range": "0-9"}),
            "BLOB_UPLOAD_INVALID",
        ),
        (
            await client.patch(location, content=b"abc", headers={"Content-Range": "a-b"}),
            "BLOB_UPLOAD_INVALID",
        ),
    ]
    for answer, expected in cases:
        assert (answer.status_code, code(answer)) == (400, expected)
    assert (await client.get(location)).headers["range"] == "0-0"


async def test_a_session_of_another_repository_is_unknown(client: httpx.AsyncClient) -> None:
    location = await begin(client)
    elsewhere = location.replace("library/app", "library/other")
    assert (await client.get(elsewhere)).status_code == 404
    assert (await client.get(START + "not-a-uuid")).status_code == 404
