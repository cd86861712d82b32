"""What may be seen, pushed and mounted: by roles, by scopes, by an upload's own address."""

import pytest

from registry.oci.digest import Digest
from registry.v2api import routes
from support.asking import APP, BLOB, IN_REPOSITORY, NAME, PATHS, asked_for, is_refusal, push_app
from support.pushing import code
from support.signing import Forger, Registry, basic, bearer

UPLOADS = PATHS["UPLOADS"]
every_endpoint_in_a_repository = pytest.mark.parametrize(("method", "path", "kind"), IN_REPOSITORY)


@every_endpoint_in_a_repository
async def test_who_may_not_is_told_the_same_whether_it_exists_or_not(
    registry: Registry, method: str, path: str, kind: str
) -> None:
    await push_app(registry)
    missing = path.replace(NAME, "shoes/none").replace(str(APP.digest), str(Digest.of(b"none")))
    told = [
        [await registry.client.request(method, each, headers=headers) for each in (path, missing)]
        for headers in (basic("carol"), await registry.sign_in("carol", f"repository:{NAME}:*"), {})
    ]
    for existing, other in told:
        assert existing.status_code == other.status_code
        assert existing.content == other.content, kind
    by_basic, by_token, by_nobody = (existing for existing, _ in told)
    assert is_refusal(by_basic, 403, "DENIED")
    assert asked_for(by_token)["error"] == "insufficient_scope"
    assert asked_for(by_nobody)
    assert b"shoes" not in by_nobody.content


@every_endpoint_in_a_repository
async def test_who_may_only_pull_is_told_what_he_lacks(
    registry: Registry, method: str, path: str, kind: str
) -> None:
    await push_app(registry)
    actions = vars(routes)[kind][method].actions
    answer = await registry.client.request(method, path, headers=basic("bob"))
    if actions == routes.PULL:
        assert answer.status_code == 200
        return
    action = "delete" if actions == routes.DELETE else "push"
    assert (answer.status_code, code(answer)) == (403, "DENIED")
    assert answer.json()["errors"][0]["detail"] == {
        "action": action,
        "project": "shoes",
        "role": "member",
        "advice": "ask for the role member in shoes",
    }


async def test_who_may_pull_is_told_what_is_not_there(registry: Registry) -> None:
    for path, expected in (
        ("shoes/none/manifests/1", "MANIFEST_UNKNOWN"),
        ("shoes/none/tags/list", "NAME_UNKNOWN"),
        (f"shoes/none/blobs/{APP.digest}", "BLOB_UNKNOWN"),
    ):
        answer = await registry.client.get(f"/v2/{path}", headers=basic("bob"))
        assert (answer.status_code, code(answer)) == (404, expected)


async def test_a_token_is_good_for_its_scope_alone(registry: Registry) -> None:
    await push_app(registry)
    await push_app(registry, "shoes/other")
    signed_in = await registry.sign_in("alice", f"repository:{NAME}:pull")
    get, put = registry.client.get, registry.client.put
    assert (await get(f"/v2/{NAME}/manifests/1", headers=signed_in)).status_code == 200
    other = asked_for(await get("/v2/shoes/other/manifests/1", headers=signed_in))
    assert other == {"scope": "repository:shoes/other:pull", "error": "insufficient_scope"}
    pushed = asked_for(await put(f"/v2/{NAME}/manifests/2", content=b"{}", headers=signed_in))
    assert pushed["scope"] == f"repository:{NAME}:pull,push"


async def test_roles_count_at_the_moment_of_asking(registry: Registry) -> None:
    access = [{"type": "repository", "name": NAME, "actions": ["pull", "push"]}]
    forger = await Forger.of(registry.keys, registry.clock.now, access)
    once_a_member = bearer(forger.sign(sub="bob"))
    answer = await registry.client.post(UPLOADS, headers=once_a_member)
    assert asked_for(answer)["error"] == "insufficient_scope"


@pytest.mark.parametrize("by", ["nobody", "a token of nobody", "basic", "a token"])
async def test_anybody_pulls_from_a_public_project_and_pushes_nothing(
    registry: Registry, by: str
) -> None:
    await push_app(registry, "open/app", "mona")
    scope = "repository:open/app:pull,push,delete"
    headers = {
        "nobody": {},
        "a token of nobody": await registry.sign_in("", scope),
        "basic": basic("carol"),
        "a token": await registry.sign_in("carol", scope),
    }[by]
    client = registry.client
    for path in (f"blobs/{BLOB}", "manifests/1", "tags/list", f"referrers/{APP.digest}"):
        answer = await client.get(f"/v2/open/app/{path}", headers=headers)
        assert answer.status_code == 200, path
    refusals = [
        await client.post("/v2/open/app/blobs/uploads/", headers=headers),
        await client.put("/v2/open/app/manifests/2", headers=headers),
        await client.delete("/v2/open/app/manifests/1", headers=headers),
        await client.delete(f"/v2/open/app/blobs/{BLOB}", headers=headers),
    ]
    expected = 403 if by == "basic" else 401
    assert [answer.status_code for answer in refusals] == [expected] * 4


# -- the catalogue ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("user", "expected"),
    [
        ("alice", ["hats/app", "open/app", "shoes/app"]),
        ("bob", ["open/app", "shoes/app"]),
        ("carol", ["hats/app", "open/app"]),
        ("nobody", ["open/app"]),
        ("root", ["hats/app", "open/app", "shoes/app"]),
    ],
)
async def test_the_catalogue_shows_only_what_may_be_pulled(
    registry: Registry, user: str, expected: list[str]
) -> None:
    for name, by in (("shoes/app", "alice"), ("hats/app", "carol"), ("open/app", "mona")):
        await push_app(registry, name, by)
    for headers in (basic(user), await registry.sign_in(user, "registry:catalog:*")):
        answer = await registry.client.get("/v2/_catalog", headers=headers)
        assert answer.json() == {"repositories": expected}


async def test_a_token_for_something_else_does_not_show_the_catalogue(registry: Registry) -> None:
    signed_in = await registry.sign_in("root", f"repository:{NAME}:*", "registry:catalog:pull")
    answer = await registry.client.get("/v2/_catalog", headers=signed_in)
    assert asked_for(answer)["scope"] == "registry:catalog:*"
    anonymous = await registry.sign_in("", "registry:catalog:*")
    asked_for(await registry.client.get("/v2/_catalog", headers=anonymous))
    assert (await registry.client.get("/v2/", headers=anonymous)).status_code == 200


# -- mounts -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("user", "source", "status"),
    [
        ("alice", "shoes/app", 201),
        ("alice", "open/app", 201),
        ("mona", "open/app", 201),
        ("root", "hats/app", 201),
        ("mona", "hats/app", 202),
        ("mona", "hats/none", 202),
        ("mona", "hats/../shoes/app", 400),
    ],
)
async def test_a_blob_is_mounted_only_from_where_it_may_be_read(
    registry: Registry, user: str, source: str, status: int
) -> None:
    for name, by in (("shoes/app", "alice"), ("hats/app", "carol"), ("open/app", "mona")):
        await push_app(registry, name, by)
    url = f"/v2/shoes/new/blobs/uploads/?mount={BLOB}&from={source}"
    by_token = await registry.sign_in(user, "repository:shoes/new:pull,push")
    for headers in (basic(user), by_token):
        answer = await registry.client.post(url, headers=headers)
        assert answer.status_code == status
        assert str(BLOB) not in answer.headers.get("location", "") or status == 201


async def test_without_a_source_a_blob_is_mounted_from_what_may_be_read(
    registry: Registry,
) -> None:
    await push_app(registry, "hats/app", "carol")
    url = f"/v2/shoes/new/blobs/uploads/?mount={BLOB}"
    assert (await registry.client.post(url, headers=basic("mona"))).status_code == 202
    assert (await registry.client.post(url, headers=basic("alice"))).status_code == 201


# -- a push that takes longer than its token ----------------------------------------------------

PIECES = (b"the first piece, ", b"the second", b" and the last")
WHOLE = Digest.of(b"".join(PIECES))


async def begun(registry: Registry, user: str = "alice") -> tuple[str, dict[str, str]]:
    """The address of a new upload, and a token that has expired since."""
    signed_in = await registry.sign_in(user, f"repository:{NAME}:pull,push")
    answer = await registry.client.post(UPLOADS, headers=signed_in)
    assert answer.status_code == 202
    registry.clock.now += 301
    return answer.headers["location"], signed_in


async def test_a_push_outlives_its_token(registry: Registry) -> None:
    location, expired = await begun(registry)
    client = registry.client
    asked_for(await client.post(UPLOADS, headers=expired))
    for piece in PIECES[:2]:
        answer = await client.patch(location, content=piece, headers=expired)
        assert answer.status_code == 202
        location = answer.headers["location"]
        registry.clock.now += 40_000
        assert (await client.get(location, headers=expired)).status_code == 204
    closing = f"{location}&digest={WHOLE}"
    assert (await client.put(closing, content=PIECES[2], headers=expired)).status_code == 201
    asked_for(await client.put(PATHS["MANIFEST"], content=APP.manifest, headers=expired))
    asked_for(await client.get(f"/v2/{NAME}/blobs/{WHOLE}", headers=expired))


async def test_an_upload_may_be_cancelled_with_a_token_that_has_expired(
    registry: Registry,
) -> None:
    location, expired = await begun(registry)
    assert (await registry.client.delete(location, headers=expired)).status_code == 204
    fresh = await registry.sign_in("alice", f"repository:{NAME}:pull,push")
    gone = await registry.client.get(location, headers=fresh)
    assert (gone.status_code, code(gone)) == (404, "BLOB_UPLOAD_UNKNOWN")


@pytest.mark.parametrize("method", ["GET", "PATCH", "PUT", "DELETE"])
async def test_an_uploads_address_widens_time_and_nothing_else(
    registry: Registry, method: str
) -> None:
    location, expired = await begun(registry)
    _, others = await begun(registry, "mona")
    second, _ = await begun(registry)
    path, _, state = location.partition("?")
    forger = await Forger.of(registry.keys, registry.clock.now - 600)
    tries = [
        (path, expired),
        (f"{path}?_state=", expired),
        (f"{path}?_state=é", expired),
        (f"{path}?{state}x", expired),
        (f"{path}?{second.partition('?')[2]}", expired),
        (f"{second.partition('?')[0]}?{state}", expired),
        (f"{path.replace(NAME, 'hats/app')}?{state}", expired),
        (location, others),
        (location, {}),
        (location, bearer(forger.sign(sub="root"))),
        (location, bearer(forger.swapped())),
        (location, bearer(forger.sign(aud="other"))),
    ]
    for url, headers in tries:
        asked_for(await registry.client.request(method, url, headers=headers))
    assert (await registry.client.get(location, headers=expired)).status_code == 204
    registry.clock.now += 86_400
    asked_for(await registry.client.request(method, location, headers=expired))


async def test_another_person_does_not_go_on_with_an_upload(registry: Registry) -> None:
    location, _ = await begun(registry)
    for method in ("GET", "PATCH", "PUT", "DELETE"):
        url = f"{location}&digest={WHOLE}"
        answer = await registry.client.request(method, url, headers=basic("mona"))
        assert is_refusal(answer, 401, "UNAUTHORIZED")
