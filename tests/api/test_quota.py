"""Limits at the API: what is refused, when, in which words, and what is left behind (nothing)."""

from collections.abc import AsyncIterator

import httpx
import pytest

from registry.limits import UNBOUNDED, Allowance, FixedAllowances, Limits
from registry.oci.digest import Digest
from registry.oci.names import RepositoryName
from registry.storage.ledger import SqlLedger
from registry.storage.memory.blobs import MemoryBlobStore
from registry.storage.ports.quota import Usage
from registry.storage.storage import Storage
from support.builders import image
from support.pushing import code, push_blob, push_image, push_manifest

KIB = 1024
ROOM = 1024 * KIB
LIBRARY = RepositoryName("library", "")
UPLOADS = "/v2/library/app/blobs/uploads/"


@pytest.fixture
def limited(storage: Storage) -> Storage:
    """A storage whose project library has room for 1 MiB."""
    storage.allowances = FixedAllowances(UNBOUNDED, {"library": Limits(bytes=ROOM)})
    return storage


async def usage(storage: Storage, name: RepositoryName = LIBRARY) -> Usage:
    assert isinstance(storage.ledger, SqlLedger)
    assert await storage.ledger.quotas.differences() == []
    return (await storage.ledger.quotas.standing(name)).usage


async def left(storage: Storage) -> tuple[int, int, int]:
    """Bytes that count, bytes that are reserved, objects and segments in the store."""
    used = await usage(storage)
    assert isinstance(storage.blobs, MemoryBlobStore)
    return used.bytes, used.reserved, len(storage.blobs._objects) + len(storage.blobs._segments)


class Body:
    """A body of pieces of 64 KiB, which counts those that were asked for."""

    def __init__(self, pieces: int) -> None:
        self.pieces = pieces
        self.sent = 0

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while self.sent < self.pieces:
            self.sent += 1
            yield bytes([self.sent % 256]) * 64 * KIB

    def digest(self) -> str:
        content = b"".join(bytes([n % 256]) * 64 * KIB for n in range(1, self.pieces + 1))
        return str(Digest.of(content))


async def begin(client: httpx.AsyncClient) -> str:
    answer = await client.post(UPLOADS)
    assert answer.status_code == 202, answer.text
    return answer.headers["location"]


async def test_a_stream_of_unknown_length_is_refused_where_the_room_ends(
    client: httpx.AsyncClient, limited: Storage
) -> None:
    where = await begin(client)
    body = Body(100)
    answer = await client.patch(where, content=body)
    assert (answer.status_code, code(answer)) == (403, "DENIED")
    assert answer.json()["errors"][0]["message"] == (
        "quota exceeded: project library has 0 bytes and reserves 1 MiB of 1 MiB; "
        "64 KiB more are needed"
    )
    assert 16 <= body.sent <= 20
    assert (await client.get(where)).status_code == 404
    assert await left(limited) == (0, 0, 0)


async def test_a_stream_that_fits_to_the_byte_is_taken(
    client: httpx.AsyncClient, limited: Storage
) -> None:
    where = await begin(client)
    body = Body(16)
    answer = await client.patch(where, content=body)
    assert answer.status_code == 202
    assert answer.headers["warning"].startswith('299 - "the project has 1 MiB of 1 MiB (100 %)')
    where = answer.headers["location"]
    answer = await client.put(f"{where}?digest={body.digest()}")
    assert answer.status_code == 201
    assert await left(limited) == (ROOM, 0, 1)


@pytest.mark.parametrize("method", ["patch", "put", "post"])
async def test_a_length_that_does_not_fit_is_refused_before_its_first_byte(
    client: httpx.AsyncClient, limited: Storage, method: str
) -> None:
    body = Body(17)
    where = UPLOADS if method == "post" else await begin(client)
    query = "" if method == "patch" else f"?digest={body.digest()}"
    headers = {"Content-Length": str(17 * 64 * KIB)}
    answer = await client.request(method, where + query, content=body, headers=headers)
    assert (answer.status_code, code(answer)) == (403, "DENIED")
    detail = answer.json()["errors"][0]["detail"]
    assert detail.pop("advice").startswith("Delete tags, manifests or repositories")
    assert detail == {
        "limit": "bytes",
        "of": "project library",
        "allowed": ROOM,
        "used": 0,
        "reserved": 0,
        "needed": 17 * 64 * KIB,
    }
    assert body.sent <= 1
    assert await left(limited) == (0, 0, 0)


async def test_a_chunk_that_does_not_fit_ends_the_upload_with_those_before(
    client: httpx.AsyncClient, limited: Storage
) -> None:
    where = await begin(client)
    answer = await client.patch(where, content=b"a" * ROOM)
    assert answer.status_code == 202
    assert await left(limited) == (0, ROOM, 1)
    answer = await client.patch(answer.headers["location"], content=b"b")
    assert (answer.status_code, code(answer)) == (403, "DENIED")
    assert await left(limited) == (0, 0, 0)
    await begin(client)


async def test_a_content_that_is_not_its_digest_leaves_nothing_reserved(
    client: httpx.AsyncClient, limited: Storage
) -> None:
    answer = await client.post(f"{UPLOADS}?digest={Digest.of(b'other')}", content=b"a" * 10)
    assert (answer.status_code, code(answer)) == (400, "DIGEST_INVALID")
    assert await left(limited) == (0, 0, 0)


async def test_a_cancelled_upload_gives_its_room_back(
    client: httpx.AsyncClient, limited: Storage
) -> None:
    where = await begin(client)
    answer = await client.patch(where, content=b"a" * ROOM)
    assert (await client.post(UPLOADS)).status_code == 403
    assert (await client.delete(answer.headers["location"])).status_code == 204
    assert await left(limited) == (0, 0, 0)
    await begin(client)


async def test_a_mount_within_the_project_costs_nothing_and_from_another_its_bytes(
    client: httpx.AsyncClient, limited: Storage
) -> None:
    digest = await push_blob(client, "library/app", b"a" * ROOM)
    query = f"?mount={digest}&from=library/app"
    answer = await client.post(f"/v2/library/other/blobs/uploads/{query}")
    assert answer.status_code == 201
    other = await push_blob(client, "west/app", b"b")
    query = f"?mount={other}&from=west/app"
    answer = await client.post(f"/v2/library/other/blobs/uploads/{query}")
    assert (answer.status_code, code(answer)) == (403, "DENIED")
    assert (await usage(limited)).bytes == ROOM


async def test_whoever_comes_near_a_limit_is_warned_at_blobs_and_manifests(
    client: httpx.AsyncClient, limited: Storage
) -> None:
    digest = Digest.of(b"a" * 900 * KIB)
    answer = await client.post(f"{UPLOADS}?digest={digest}", content=b"a" * 900 * KIB)
    assert "warning" not in answer.headers
    answer = await push_image(client, "library/app", "v1", image("text"))
    assert "warning" not in answer.headers
    await push_blob(client, "library/app", b"b" * 40 * KIB)
    answer = await push_image(client, "library/app", "v2", image("text"))
    used = (await usage(limited)).bytes
    assert answer.headers["warning"] == (
        f'299 - "the project has {used / KIB:.1f} KiB of 1 MiB ({100 * used / ROOM:.0f} %)"'
    )


async def test_a_manifest_without_room_is_refused_and_deletions_go_on(
    client: httpx.AsyncClient, storage: Storage
) -> None:
    await push_image(client, "library/app", "v1", image("text"))
    held = image("other")
    for blob in held.blobs:
        await push_blob(client, "library/app", blob)
    before = await usage(storage)
    storage.allowances = FixedAllowances(
        Allowance(project=Limits(bytes=before.bytes, tags=1, repositories=1)), {}
    )
    answer = await push_manifest(client, "library/app", "v2", held.manifest, held.media_type)
    assert (answer.status_code, code(answer)) == (403, "DENIED")
    told = answer.json()["errors"][0]["message"]
    assert told.startswith("quota exceeded: project library has ")
    again = image("text")
    answer = await push_manifest(client, "library/app", "v1", again.manifest, again.media_type)
    assert answer.status_code == 201, "what is there already costs nothing"
    answer = await push_manifest(client, "library/app", "v2", again.manifest, again.media_type)
    told = answer.json()["errors"][0]["message"]
    assert told == "quota exceeded: project library has 1 of 1 tags; 1 more are needed"
    answer = await client.post("/v2/library/new/blobs/uploads/")
    assert answer.status_code == 403
    assert await usage(storage) == before
    for path in ("manifests/v1", f"manifests/{again.digest}", f"blobs/{Digest.of(held.config)}"):
        assert (await client.delete(f"/v2/library/app/{path}")).status_code == 202
