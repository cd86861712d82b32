"""end-3, end-7, end-9: manifests."""

import json
from collections.abc import AsyncIterator

import httpx
import pytest

from registry.oci.descriptor import DOCKER_MANIFEST, OCI_INDEX, OCI_MANIFEST
from registry.oci.digest import Digest
from support.builders import image, index
from support.pushing import code, push_blob, push_image, push_manifest

NAME = "library/app"
BASE = f"/v2/{NAME}/manifests"
APP = image("base", "", "top")


async def test_what_was_pushed_comes_back_byte_for_byte(client: httpx.AsyncClient) -> None:
    spaced = APP.manifest.replace(b": ", b" :  ") + b"\n"
    for blob in APP.blobs:
        await push_blob(client, NAME, blob)
    put = await push_manifest(client, NAME, "1", spaced, OCI_MANIFEST + "; charset=utf-8")
    assert put.status_code == 201
    digest = str(Digest.of(spaced))
    assert put.headers["docker-content-digest"] == digest
    for reference in ("1", digest):
        got = await client.get(f"{BASE}/{reference}")
        head = await client.head(f"{BASE}/{reference}")
        assert got.content == spaced
        for answer in (got, head):
            assert answer.headers["content-type"] == OCI_MANIFEST
            assert answer.headers["docker-content-digest"] == digest
            assert answer.headers["content-length"] == str(len(spaced))


async def test_a_manifest_may_come_in_chunks(client: httpx.AsyncClient) -> None:
    for blob in APP.blobs:
        await push_blob(client, NAME, blob)

    async def stream() -> AsyncIterator[bytes]:
        yield APP.manifest[:20]
        yield APP.manifest[20:]

    headers = {"Content-Type": OCI_MANIFEST}
    put = await client.put(f"{BASE}/1", content=stream(), headers=headers)
    assert put.status_code == 201


async def test_a_push_by_digest_may_carry_tags(client: httpx.AsyncClient) -> None:
    for blob in APP.blobs:
        await push_blob(client, NAME, blob)
    digest = str(Digest.of(APP.manifest, "sha512"))
    put = await push_manifest(
        client, NAME, f"{digest}?tag=a&tag=b,c&tag=a", APP.manifest, OCI_MANIFEST
    )
    assert put.headers.get_list("oci-tag") == ["a", "b", "c"]
    head = await client.head(f"{BASE}/c")
    assert head.headers["docker-content-digest"] == digest
    wrong = await push_manifest(client, NAME, f"{digest}?tag=-bad", APP.manifest, OCI_MANIFEST)
    assert (wrong.status_code, code(wrong)) == (400, "NAME_INVALID")
    on_tag = await push_manifest(client, NAME, "x?tag=y", APP.manifest, OCI_MANIFEST)
    assert (on_tag.status_code, code(on_tag)) == (400, "UNSUPPORTED")
    assert (await client.head(f"{BASE}/x")).status_code == 404


async def test_other_content_than_the_digest_is_refused(client: httpx.AsyncClient) -> None:
    other = str(Digest.of(b"other"))
    put = await push_manifest(client, NAME, other, APP.manifest, OCI_MANIFEST)
    assert (put.status_code, code(put)) == (400, "DIGEST_INVALID")
    bad = await push_manifest(client, NAME, "sha256:bad", APP.manifest, OCI_MANIFEST)
    assert (bad.status_code, code(bad)) == (400, "DIGEST_INVALID")


async def test_a_missing_blob_is_named_and_nothing_is_stored(client: httpx.AsyncClient) -> None:
    await push_blob(client, NAME, APP.config)
    put = await push_manifest(client, NAME, "1", APP.manifest, OCI_MANIFEST)
    assert (put.status_code, code(put)) == (400, "MANIFEST_BLOB_UNKNOWN")
    assert str(Digest.of(APP.layers[0])) in put.text
    assert (await client.head(f"{BASE}/1")).status_code == 404


@pytest.mark.parametrize("sparse", [True])
async def test_a_sparse_manifest_is_taken_where_allowed(client: httpx.AsyncClient) -> None:
    assert (await push_manifest(client, NAME, "1", APP.manifest, OCI_MANIFEST)).status_code == 201
    listed = index(APP, image("other", architecture="arm64"))
    assert (await push_manifest(client, NAME, "2", listed, OCI_INDEX)).status_code == 201


async def test_an_index_needs_its_children(client: httpx.AsyncClient) -> None:
    arm = image("base", architecture="arm64")
    await push_image(client, NAME, str(APP.digest), APP)
    listed = index(APP, arm)
    put = await push_manifest(client, NAME, "all", listed, OCI_INDEX)
    assert (put.status_code, code(put)) == (400, "MANIFEST_BLOB_UNKNOWN")
    await push_image(client, NAME, str(arm.digest), arm)
    assert (await push_manifest(client, NAME, "all", listed, OCI_INDEX)).status_code == 201


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"schemaVersion": 1}',
        b'{"schemaVersion": 2, "schemaVersion": 2}',
        b'{"schemaVersion": 2, "mediaType": "application/x-unknown"}',
        b'{"schemaVersion": 2, "config": 1, "layers": []}',
        b'{"schemaVersion": 2, "layers": [{"digest": "x"}]}',
    ],
)
async def test_nonsense_is_manifest_invalid(client: httpx.AsyncClient, content: bytes) -> None:
    put = await push_manifest(client, NAME, "1", content, OCI_MANIFEST)
    assert put.status_code == 400
    assert code(put) in {"MANIFEST_INVALID", "DIGEST_INVALID"}
    assert (await client.head(f"{BASE}/1")).status_code == 404


async def test_a_manifest_over_the_limit_is_413(client: httpx.AsyncClient) -> None:
    async def stream() -> AsyncIterator[bytes]:
        for _ in range(5):
            yield b" " * 1024 * 1024

    headers = {"Content-Type": OCI_MANIFEST}
    for body in (b" " * (4 * 1024 * 1024 + 1), stream()):
        put = await client.put(f"{BASE}/1", content=body, headers=headers)
        assert (put.status_code, code(put)) == (413, "MANIFEST_INVALID")


async def test_deleting_a_tag_leaves_the_manifest_and_its_other_tags(
    client: httpx.AsyncClient,
) -> None:
    await push_image(client, NAME, "1", APP)
    await push_manifest(client, NAME, "2", APP.manifest, OCI_MANIFEST)
    assert (await client.delete(f"{BASE}/1")).status_code == 202
    assert (await client.head(f"{BASE}/1")).status_code == 404
    assert (await client.head(f"{BASE}/2")).status_code == 200
    assert (await client.head(f"{BASE}/{APP.digest}")).status_code == 200
    again = await client.delete(f"{BASE}/1")
    assert (again.status_code, code(again)) == (404, "MANIFEST_UNKNOWN")


async def test_deleting_a_manifest_takes_its_tags_and_it_can_be_pushed_again(
    client: httpx.AsyncClient,
) -> None:
    for _ in range(2):
        await push_image(client, NAME, "1", APP)
        assert (await client.delete(f"{BASE}/{APP.digest}")).status_code == 202
        for reference in ("1", APP.digest):
            assert (await client.head(f"{BASE}/{reference}")).status_code == 404
        assert (await client.get(f"/v2/{NAME}/tags/list")).json()["tags"] == []


async def test_a_docker_manifest_keeps_its_type(client: httpx.AsyncClient) -> None:
    body = json.loads(APP.manifest) | {"mediaType": DOCKER_MANIFEST}
    for blob in APP.blobs:
        await push_blob(client, NAME, blob)
    content = json.dumps(body).encode()
    assert (await push_manifest(client, NAME, "d", content, DOCKER_MANIFEST)).status_code == 201
    assert (await client.get(f"{BASE}/d")).headers["content-type"] == DOCKER_MANIFEST


async def test_tags_are_listed_in_byte_order_and_by_pages(client: httpx.AsyncClient) -> None:
    await push_image(client, NAME, "b", APP)
    for tag in ("a", "_x", "B", "10", "9", "a.1"):
        await push_manifest(client, NAME, tag, APP.manifest, OCI_MANIFEST)
    expected = ["10", "9", "B", "_x", "a", "a.1", "b"]
    url = f"/v2/{NAME}/tags/list"
    assert (await client.get(url)).json() == {"name": NAME, "tags": expected}
    assert (await client.get(f"{url}?last=A")).json()["tags"] == expected[2:]
    page = await client.get(f"{url}?n=3")
    assert page.json()["tags"] == expected[:3]
    assert page.headers["link"] == f'<{url}?n=3&last=B>; rel="next"'
    last = await client.get(f"{url}?n=4&last=B")
    assert (last.json()["tags"], "link" in last.headers) == (expected[3:], False)
    none = await client.get(f"{url}?n=0")
    assert (none.json()["tags"], "link" in none.headers) == ([], False)
    assert (await client.get(f"{url}?n=-1")).status_code == 400
    unknown = await client.get("/v2/library/none/tags/list")
    assert (unknown.status_code, code(unknown)) == (404, "NAME_UNKNOWN")


async def test_the_catalogue_goes_by_pages(client: httpx.AsyncClient) -> None:
    for name in ("library/b", "library/a", "zoo/a"):
        await push_image(client, name, "1", APP)
    whole = await client.get("/v2/_catalog")
    assert whole.json() == {"repositories": ["library/a", "library/b", "zoo/a"]}
    page = await client.get("/v2/_catalog?n=1")
    assert page.headers["link"] == '</v2/_catalog?n=1&last=library%2Fa>; rel="next"'
    rest = await client.get("/v2/_catalog?n=5&last=library/a")
    assert rest.json()["repositories"] == ["library/b", "zoo/a"]


async def test_referrers_are_found_filtered_and_forgotten(client: httpx.AsyncClient) -> None:
    subject = {"mediaType": OCI_MANIFEST, "digest": str(APP.digest), "size": len(APP.manifest)}
    about = image(
        "signature", extra={"subject": subject, "artifactType": "x/sig", "annotations": {"k": "v"}}
    )
    plain = image("sbom", extra={"subject": subject})
    url = f"/v2/{NAME}/referrers/{APP.digest}"
    empty = await client.get(url)
    assert empty.status_code == 200
    assert empty.headers["content-type"] == OCI_INDEX
    assert empty.json() == {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": []}
    put = await push_image(client, NAME, "sig", about)
    assert put.headers["oci-subject"] == str(APP.digest)
    await push_image(client, NAME, str(plain.digest), plain)
    found = (await client.get(url)).json()["manifests"]
    expected = {str(about.digest), str(plain.digest)}
    assert {each["digest"] for each in found} == expected
    assert len(found) == 2
    filtered = await client.get(f"{url}?artifactType=x/sig")
    assert filtered.headers["oci-filters-applied"] == "artifactType"
    assert filtered.json()["manifests"] == [
        {
            "mediaType": OCI_MANIFEST,
            "size": len(about.manifest),
            "digest": str(about.digest),
            "annotations": {"k": "v"},
            "artifactType": "x/sig",
        }
    ]
    await client.delete(f"{BASE}/{about.digest}")
    assert (await client.get(f"{url}?artifactType=x/sig")).json()["manifests"] == []
    bad = await client.get(f"/v2/{NAME}/referrers/sha256:x")
    assert (bad.status_code, code(bad)) == (400, "DIGEST_INVALID")
