"""What the Image API cannot follow: each kind of nonsense is refused in words."""

import asyncio
from collections.abc import AsyncIterator

import httpx

from registry.storage.storage import Storage
from support.imagecalls import (
    IMAGES,
    NOBODYS,
    PATCH,
    Caller,
    is_fault,
    push,
)

QUERIES = [
    "limit=-1",
    "limit=x",
    "limit=",
    "limit=1e3",
    "limit=%D9%A3",
    "limit=1000000000000000000000",
    "marker=",
    "marker=none",
    "marker=%00%ff",
    f"marker={NOBODYS}",
    "marker=" + "x" * 5000,
    "sort=",
    "sort=none",
    "sort=name:up",
    "sort=name,,id",
    "sort=name:asc:asc",
    "sort_key=oci_kind",
    "sort_key=name&sort_dir=up",
    "sort_key=name&sort_key=id&sort_dir=asc&sort_dir=asc&sort_dir=asc",
    "name=in:",
    "name=in:,",
    "name=in:a,",
    "name=in:,a",
    "name=in:%22a",
    "name=in:%22a%22b",
    "name=in:a%22",
    "status=in:",
    "name=in:" + ",".join(map(str, range(201))),
    "oci_tag=in:" + ",".join(map(str, range(15))) + "&name=in:" + ",".join(map(str, range(14))),
    "os_hidden=maybe",
    "os_hidden=",
    "os_hidden=in:true,false",
    "protected=maybe",
    "size_min=x",
    "size_max=-1",
    "size=1",
    "created_at=gt:2026-01-01T00:00:00Z",
    "updated_at=2026-01-01T00:00:00Z",
    "%00=x",
    "%ff=x",
    "=x",
    "a%20b=x",
    "a%22=x",
    "x" * 256 + "=x",
]


async def test_a_query_that_cannot_be_followed_is_400(
    client: httpx.AsyncClient, mona: Caller
) -> None:
    await push(client)
    for query in QUERIES:
        assert is_fault(await mona.ask("GET", f"{IMAGES}?{query}"), 400)


PATCHES = [
    (b"", 400),
    (b"{", 400),
    (b"\xff", 400),
    (b"[" * 60_000, 400),
    (b" " * 65_537, 400),
    (b"9" * 5000, 400),
    (b"null", 400),
    (b"{}", 400),
    (b"[1]", 400),
    (b"[{}]", 400),
    (b'[{"op": "replace"}]', 400),
    (b'[{"op": "replace", "path": 1}]', 400),
    (b'[{"op": ["replace"], "path": "/visibility", "value": "public"}]', 400),
    (b'[{"op": {}, "path": "/visibility", "value": "public"}]', 400),
    (b'[{"op": "move", "path": "/visibility", "from": "/name"}]', 400),
    (b'[{"op": "test", "path": "/visibility", "value": "private"}]', 400),
    (b'[{"replace": ["/visibility"]}]', 400),
    (b'[{"op": "replace", "path": "/visibility"}]', 400),
    (b'[{"op": "replace", "path": "/visibility", "value": null}]', 400),
    (b'[{"op": "replace", "path": "/visibility", "value": ["public"]}]', 400),
    (b'[{"op": "replace", "path": "/visibility", "value": "all"}]', 400),
    (b'[{"op": "replace", "path": "/visibility", "value": "\\ud800"}]', 400),
    (b'[{"op": "replace", "path": "/\\ud800", "value": "x"}]', 403),
    (b'[{"op": "replace", "path": "/name", "value": "x"}]', 403),
    (b'[{"op": "add", "path": "/oci_digest", "value": "x"}]', 403),
    (b'[{"op": "replace", "path": "/owner", "value": "hats"}]', 403),
    (b'[{"op": "replace", "path": "/protected", "value": false}]', 403),
    (b'[{"op": "remove", "path": "/visibility"}]', 403),
]


async def test_a_patch_that_cannot_be_followed_changes_nothing(
    client: httpx.AsyncClient, mona: Caller
) -> None:
    await push(client)
    record = await mona.find("app:1")
    url = f"{IMAGES}/{record['id']}"
    for content, status in PATCHES:
        assert is_fault(await mona.ask("PATCH", url, headers=PATCH, content=content), status)
    assert (await mona.show(record)).json() == record


async def test_a_patch_of_another_type_is_415(client: httpx.AsyncClient, mona: Caller) -> None:
    await push(client)
    url = f"{IMAGES}/{(await mona.find('app:1'))['id']}"
    for kind in ("", "application/json", "text/plain", "x" * 500):
        refused = await mona.ask("PATCH", url, headers={"Content-Type": kind}, content=b"[]")
        assert is_fault(refused, 415)


NO_MEMBERS = [
    b"",
    b"{",
    b"\xff",
    b"null",
    b"[]",
    b"{}",
    b'{"member": null, "status": null}',
    b'{"member": 1, "status": 1}',
    b'{"member": ["hats"], "status": ["accepted"]}',
    b'{"member": "", "status": ""}',
    b'{"member": " ", "status": " accepted"}',
    b'{"member": "a/b", "status": "queued"}',
    b'{"member": "..", "status": "Accepted"}',
    b'{"member": "\\u0000", "status": "\\u0000"}',
    b'{"member": "\\ud800", "status": "\\ud800"}',
    b'{"member": "\\u00e9", "status": "\\u00e9"}',
    b'{"member": "%s", "status": "%s"}' % (b"x" * 256, b"x" * 256),
    b" " * 65_537,
]


async def test_a_member_that_is_none_is_400(
    client: httpx.AsyncClient, mona: Caller, carol: Caller
) -> None:
    await push(client)
    record = await mona.find("app:1")
    await mona.set_visibility(record, "shared")
    await mona.share(record, "hats")
    url = f"{IMAGES}/{record['id']}/members"
    for content in NO_MEMBERS:
        assert is_fault(await mona.ask("POST", url, content=content), 400)
        assert is_fault(await carol.ask("PUT", f"{url}/hats", content=content), 400)
    assert await mona.members(record) == {"hats": "pending"}


NO_PATHS = [
    "/images/",
    "/images/none",
    "/images/%00",
    "/images/%ff",
    "/images/" + "x" * 5000,
    f"/images/{NOBODYS.upper()}",
    f"/images/{NOBODYS}/none",
    f"/images/{NOBODYS}/file",
    f"/images/{NOBODYS}/members",
    f"/images/{NOBODYS}/members/%00",
    f"/images/{NOBODYS}/members/a/b",
    "/schemas",
    "/schemas/none",
    "/schemas/%00",
    "/tasks",
    "/../v1/images",
]


async def test_what_is_not_there_is_404(mona: Caller) -> None:
    for path in NO_PATHS:
        assert is_fault(await mona.ask("GET", f"/image/v2{path}"), 404)


METHODS = {
    "": "GET",
    "/{id}": "GET, DELETE, PATCH",
    "/{id}/file": "GET",
    "/{id}/members": "GET, POST",
    "/{id}/members/hats": "GET, PUT, DELETE",
}


async def test_a_method_that_is_not_there_is_405_and_says_which_are(
    client: httpx.AsyncClient, mona: Caller
) -> None:
    await push(client)
    record = (await mona.find("app:1"))["id"]
    for path, allowed in METHODS.items():
        for method in ("POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "NONSENSE"):
            if method not in allowed:
                refused = await mona.ask(method, IMAGES + path.format(id=record))
                assert is_fault(refused, 405)
                assert refused.headers["allow"] == allowed


async def test_a_body_that_does_not_come_is_408(client: httpx.AsyncClient, mona: Caller) -> None:
    await push(client)

    async def body() -> AsyncIterator[bytes]:
        yield b"["
        await asyncio.sleep(30)

    url = f"{IMAGES}/{(await mona.find('app:1'))['id']}"
    assert is_fault(await mona.ask("PATCH", url, headers=PATCH, content=body()), 408)


async def test_while_store_and_ledger_disagree_nothing_is_denied_or_changed(
    client: httpx.AsyncClient, storage: Storage, mona: Caller
) -> None:
    await push(client)
    record = await mona.find("app:1")
    storage.disagreement = "the ledger is behind"
    for answer in (
        await mona.ask("GET", IMAGES),
        await mona.show(record | {"id": NOBODYS}),
        await mona.set_visibility(record, "public"),
        await mona.delete(record),
    ):
        assert is_fault(answer, 503)
        assert answer.headers["retry-after"] == "5"
    assert (await mona.show(record)).json() == record
    storage.disagreement = None
    assert (await mona.show(record)).json() == record
