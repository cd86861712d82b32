"""Who may see, share and delete image records: by roles, tokens, and on this machine."""

import json

import httpx
import pytest

from registry.auth.open import OpenIdentity
from registry.catalogue import imageapi
from registry.storage.storage import Storage
from registry.v2api.app import Application, Settings
from registry.v2api.guard import Guard
from support.imagecalls import (
    APP,
    IMAGES,
    NOBODYS,
    PATCH,
    Caller,
    is_fault,
    push,
)
from support.pushing import push_image
from support.signing import Registry, basic, bearer


@pytest.mark.parametrize(
    ("user", "statuses"),
    [
        ("bob", (200, 403, 403, 403, 403)),
        ("alice", (200, 403, 403, 403, 204)),
        ("mona", (200, 200, 200, 204, 204)),
        ("root", (200, 200, 200, 204, 204)),
        ("carol", (404, 404, 404, 404, 404)),
        ("nobody", (404, 404, 404, 404, 404)),
        ("", (401, 401, 401, 401, 401)),
    ],
)
async def test_roles_say_who_sees_shares_and_deletes(
    client: httpx.AsyncClient, mona: Caller, user: str, statuses: tuple[int, ...]
) -> None:
    await push(client)
    record = await mona.find("app:1")
    await mona.set_visibility(record, "shared")
    await mona.share(record, "others")
    caller = Caller(client, user)
    answers = (
        await caller.show(record),
        await caller.set_visibility(record, "shared"),
        await caller.share(record, "another"),
        await caller.unshare(record, "others"),
        await caller.delete(record),
    )
    assert tuple(answer.status_code for answer in answers) == statuses
    assert all(is_fault(answer, answer.status_code) for answer in answers if answer.is_error)
    assert (await mona.show(record)).status_code == (404 if statuses[-1] == 204 else 200)


async def test_what_one_may_not_see_is_as_what_is_not_there(
    client: httpx.AsyncClient, alice: Caller, carol: Caller
) -> None:
    await push(client)
    record = await alice.find("app:1")
    missing = record | {"id": NOBODYS}
    for told, other in (
        (await carol.show(record), await carol.show(missing)),
        (await carol.delete(record), await carol.delete(missing)),
        (await carol.set_visibility(record, "public"), await carol.set_visibility(missing, "x")),
        (await carol.share(record, "hats"), await carol.share(missing, "hats")),
        (await carol.ask("GET", IMAGES, params={"marker": record["id"]}),
         await carol.ask("GET", IMAGES, params={"marker": NOBODYS})),
    ):  # fmt: skip
        assert (told.status_code, told.content) == (other.status_code, other.content)


async def test_a_member_accepts_and_cannot_do_more(
    client: httpx.AsyncClient, mona: Caller, carol: Caller
) -> None:
    await push(client)
    record = await mona.find("app:1")
    await mona.set_visibility(record, "shared")
    await mona.share(record, "hats")
    await mona.share(record, "others")
    assert is_fault(await mona.answer(record, "hats", "accepted"), 403)
    assert is_fault(await carol.answer(record, "others", "accepted"), 404)
    assert (await carol.answer(record, "hats", "accepted")).status_code == 200
    assert is_fault(await carol.unshare(record, "others"), 403)
    assert is_fault(await carol.share(record, "more"), 403)
    assert is_fault(await carol.set_visibility(record, "public"), 403)
    assert is_fault(await carol.delete(record), 403)
    assert await mona.members(record) == {"hats": "accepted", "others": "pending"}


async def test_who_is_in_no_project_sees_what_is_public(client: httpx.AsyncClient) -> None:
    await push(client)
    await push(client, "open/app", user="mona")
    assert await Caller(client, "nobody").names(oci_kind="tag") == {"app:1"}
    (found,) = await Caller(client, "nobody").list(oci_kind="tag")
    assert found["owner"] == "open"


RECORD = f"{IMAGES}/{NOBODYS}"
ENDPOINTS = [
    ("GET", IMAGES),
    ("GET", RECORD),
    ("PATCH", RECORD),
    ("DELETE", RECORD),
    ("GET", f"{RECORD}/file"),
    ("GET", f"{RECORD}/members"),
    ("POST", f"{RECORD}/members"),
    ("GET", f"{RECORD}/members/hats"),
    ("PUT", f"{RECORD}/members/hats"),
    ("DELETE", f"{RECORD}/members/hats"),
    ("GET", "/image/v2/schemas/image"),
]


async def test_who_is_not_signed_in_gets_the_challenge_everywhere(
    client: httpx.AsyncClient,
) -> None:
    for number, (method, path) in enumerate(ENDPOINTS):
        for headers in (
            {},
            basic(f"stranger-{number}", "wrong"),
            bearer("none"),
            {"X-Auth-Token": "none"},
            {"Authorization": "x"},
        ):
            answer = await client.request(method, path, headers=headers)
            assert is_fault(answer, 401)
            assert answer.headers["www-authenticate"].startswith("Bearer realm=")


async def test_a_token_is_good_for_its_scope_alone(
    client: httpx.AsyncClient, people: Registry, mona: Caller
) -> None:
    await push(client)
    record = await mona.find("app:1")
    pulling = await people.sign_in("mona", "repository:shoes/app:pull,push,delete")
    listing = await people.sign_in("mona", "registry:catalog:*")
    both = await people.sign_in("mona", "registry:catalog:*", "repository:shoes/app:delete")
    token = Caller(client, "")
    assert is_fault(await token.ask("GET", IMAGES, headers=pulling), 401)
    for headers in (listing, {"X-Auth-Token": listing["Authorization"].removeprefix("Bearer ")}):
        listed = await token.ask("GET", IMAGES, headers=headers)
        assert len(listed.json()["images"]) == 4, listed.text
    url = f"{IMAGES}/{record['id']}"
    assert is_fault(await token.ask("DELETE", url, headers=listing), 403)
    public = json.dumps([{"op": "replace", "path": "/visibility", "value": "public"}])
    assert is_fault(await token.ask("PATCH", url, headers=PATCH | both, content=public), 403)
    await mona.set_visibility(record, "shared")
    members = f"{url}/members"
    member = {"member": "open"}
    assert is_fault(await token.ask("POST", members, headers=both, json=member), 403)
    await mona.share(record, "open")
    accepted = {"status": "accepted"}
    assert is_fault(await token.ask("PUT", f"{members}/open", headers=both, json=accepted), 403)
    assert is_fault(await token.ask("DELETE", f"{members}/open", headers=both), 403)
    assert (await token.ask("DELETE", url, headers=both)).status_code == 204


async def test_where_nobody_signs_in_this_machine_may_do_all(storage: Storage) -> None:
    app = Application(storage, Guard(OpenIdentity()), Settings(), imageapi.routes)
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app), base_url="http://127.0.0.1:5000"
    ) as client:
        await push_image(client, "shoes/app", "1", APP)
        caller = Caller(client, "")
        record = await caller.find("app:1")
        assert (await caller.set_visibility(record, "shared")).status_code == 200
        assert (await caller.share(record, "hats")).status_code == 200
        assert (await caller.answer(record, "hats", "accepted")).status_code == 200
        assert (await caller.ask("GET", IMAGES, headers={"X-Auth-Token": "x"})).status_code == 200
        for foreign in ({"Host": "evil.example"}, {"Origin": "http://evil.example"}):
            for method, path in (("GET", IMAGES), ("DELETE", f"{IMAGES}/{record['id']}")):
                assert is_fault(await caller.ask(method, path, headers=foreign), 403)
        assert (await caller.delete(record)).status_code == 204
