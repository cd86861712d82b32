"""/auth: docker's token flow, its OAuth2 form, the public keys, and revocation."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import Any

import httpx
import jwt
import pytest

from registry.auth.open import OpenIdentity
from registry.storage.storage import Storage
from registry.v2api import token
from registry.v2api.app import Application, Settings
from registry.v2api.guard import Guard
from support.asking import APP, NAME
from support.pushing import code, push_image
from support.signing import SERVICE, Registry, basic, bearer, word_of

SCOPE = f"repository:{NAME}:pull,push"
TO_STAY = {"offline_token": "true"}


def access_of(answer: httpx.Response) -> dict[str, list[str]]:
    """What the token in an answer is good for, by name."""
    assert answer.status_code == 200, answer.text
    claims = jwt.decode(answer.json()["token"], options={"verify_signature": False})
    return {entry["name"]: entry["actions"] for entry in claims["access"]}


async def get(
    registry: Registry, user: str, *scopes: str, **query: str | list[str]
) -> httpx.Response:
    headers = basic(user) if user else {}
    return await registry.client.get(
        "/auth/token", params={"scope": list(scopes), **query}, headers=headers
    )


async def post(registry: Registry, **form: str) -> httpx.Response:
    return await registry.client.post("/auth/token", data=form)


async def sign_in_to_stay(registry: Registry, user: str = "alice") -> str:
    """A refresh token."""
    answer = await get(registry, user, **TO_STAY)
    return str(answer.json()["refresh_token"])


def is_refused(answer: httpx.Response) -> bool:
    assert (answer.status_code, code(answer)) == (401, "UNAUTHORIZED")
    return answer.headers["www-authenticate"] == 'Basic realm="berth"'


# -- GET ----------------------------------------------------------------------------------------


async def test_an_answer_has_dockers_form(registry: Registry) -> None:
    answer = await get(registry, "alice", SCOPE, service=SERVICE)
    body = answer.json()
    assert body.pop("issued_at").endswith("Z")
    issued = body.pop("token")
    assert body == {"access_token": issued, "expires_in": 300, "scope": SCOPE}
    assert answer.headers["cache-control"] == "no-store"
    header = jwt.get_unverified_header(issued)
    keys = (await registry.client.get("/auth/jwks.json")).json()["keys"]
    assert header["kid"] in [key["kid"] for key in keys]


async def test_every_scope_is_decided_by_itself(registry: Registry) -> None:
    scopes = [
        SCOPE,
        "repository:hats/app:pull,push,delete repository:open/app:*",
        "repository:coats/app:pull",
        "repository:Not/A/Name:pull",
        "repository:app:pull",
        "nonsense",
    ]
    answer = await get(registry, "alice", *scopes)
    assert access_of(answer) == {
        NAME: ["pull", "push"],
        "hats/app": ["pull"],
        "open/app": ["pull"],
    }
    assert answer.json()["scope"] == " ".join(scopes)


@pytest.mark.parametrize(
    ("user", "expected"),
    [
        ("alice", ["delete", "pull", "push"]),
        ("mona", ["delete", "pull", "push"]),
        ("root", ["delete", "pull", "push"]),
        ("bob", ["pull"]),
        ("carol", None),
        ("nobody", None),
        ("", None),
    ],
)
async def test_a_push_scope_is_brought_down_to_the_role(
    registry: Registry, user: str, expected: list[str] | None
) -> None:
    answer = await get(registry, user, f"repository:{NAME}:pull,push,delete")
    assert access_of(answer) == ({} if expected is None else {NAME: expected})


async def test_nobody_gets_a_token_for_what_is_public(registry: Registry) -> None:
    answer = await get(registry, "", "repository:open/app:pull,push", "registry:catalog:*")
    assert access_of(answer) == {"open/app": ["pull"]}
    offline = await get(registry, "", **TO_STAY)
    assert "refresh_token" not in offline.json()


async def test_only_who_is_known_gets_a_token_for_the_catalogue(registry: Registry) -> None:
    assert access_of(await get(registry, "nobody", "registry:catalog:*")) == {"catalog": ["*"]}


async def test_too_many_scopes_are_refused(registry: Registry) -> None:
    scopes = [f"repository:shoes/app{number}:pull" for number in range(101)]
    assert len(access_of(await get(registry, "alice", *scopes[:100]))) == 100
    assert (await get(registry, "alice", *scopes)).status_code == 429


@pytest.mark.parametrize(
    "header",
    [
        "",
        "Basic",
        "Basic *",
        "Basic YWxpY2U=",
        basic("alice", "wrong")["Authorization"],
        "Bearer x",
    ],
)
async def test_wrong_credentials_are_refused_and_not_taken_for_none(
    registry: Registry, header: str
) -> None:
    headers = {"Authorization": header}
    assert is_refused(await registry.client.get("/auth/token", headers=headers))


# -- POST ---------------------------------------------------------------------------------------


async def test_a_password_is_taken_by_post(registry: Registry) -> None:
    form = {"grant_type": "password", "service": SERVICE, "client_id": "test", "scope": SCOPE}
    answer = await post(registry, **form, username="alice", password=word_of("alice"))
    assert access_of(answer) == {NAME: ["pull", "push"]}
    assert "refresh_token" not in answer.json()
    for wrong in ({"username": "alice", "password": "x"}, {"username": "alice"}, {}):
        assert is_refused(await post(registry, **form, **wrong))


async def test_a_refresh_token_gives_access_tokens_until_it_is_revoked(
    registry: Registry,
) -> None:
    form = {"grant_type": "password", "username": "alice", "password": word_of("alice")}
    first = await post(registry, **form, access_type="offline")
    refresh = first.json()["refresh_token"]
    form = {"grant_type": "refresh_token", "refresh_token": refresh}
    registry.clock.now += 20 * 86400
    again = await post(registry, **form, scope=f"{SCOPE} repository:open/app:pull")
    assert access_of(again) == {NAME: ["pull", "push"], "open/app": ["pull"]}
    assert again.json()["refresh_token"] == refresh
    signed_in = bearer(again.json()["access_token"])
    assert (await registry.client.get("/v2/", headers=signed_in)).status_code == 200
    revoked = await registry.client.post("/auth/revoke", data={"token": refresh})
    assert (revoked.status_code, revoked.content) == (200, b"")
    assert is_refused(await post(registry, **form))


async def test_a_refresh_token_ends_after_a_month_and_with_its_user(registry: Registry) -> None:
    form = {"grant_type": "refresh_token", "refresh_token": await sign_in_to_stay(registry)}
    registry.clock.now += 29 * 86400
    assert access_of(await post(registry, **form, scope=SCOPE)) == {NAME: ["pull", "push"]}
    people = registry.people.read_bytes().decode()
    registry.write_people("")
    assert is_refused(await post(registry, **form))
    registry.write_people(people)
    assert access_of(await post(registry, **form)) == {}
    registry.clock.now += 86400
    assert is_refused(await post(registry, **form))


async def test_a_refresh_token_is_no_access_token_nor_the_other_way_round(
    registry: Registry,
) -> None:
    refresh = await sign_in_to_stay(registry)
    answer = await registry.client.get("/v2/", headers=bearer(refresh))
    assert answer.status_code == 401
    access = (await get(registry, "alice", SCOPE)).json()["token"]
    for bad in (access, "", "x", refresh[:-5], "none"):
        assert is_refused(await post(registry, grant_type="refresh_token", refresh_token=bad))
        assert is_refused(await registry.client.post("/auth/revoke", data={"token": bad}))


@pytest.mark.parametrize("grant", [{}, {"grant_type": ""}, {"grant_type": "authorization_code"}])
async def test_another_grant_is_unsupported(registry: Registry, grant: dict[str, str]) -> None:
    answer = await post(registry, **grant, username="alice")
    assert (answer.status_code, code(answer)) == (400, "UNSUPPORTED")


@pytest.mark.parametrize(
    ("content", "kind", "status"),
    [
        (b"{}", "application/json", 400),
        (b"grant_type=password", "", 400),
        (b"\xff", "application/x-www-form-urlencoded", 400),
        (b"&".join([b"a=b"] * 101), "application/x-www-form-urlencoded", 400),
        (b"a" * 65_537, "application/x-www-form-urlencoded", 400),
        (b"grant_type=password&username=%ff", "Application/X-WWW-Form-URLEncoded; x=y", 401),
        (b"", "application/x-www-form-urlencoded", 400),
    ],
)
async def test_a_form_that_cannot_be_read_is_refused(
    registry: Registry, content: bytes, kind: str, status: int
) -> None:
    headers = {"Content-Type": kind}
    answer = await registry.client.post("/auth/token", content=content, headers=headers)
    assert (answer.status_code, len(answer.json()["errors"])) == (status, 1)


async def test_a_form_that_does_not_come_to_an_end_is_408(registry: Registry) -> None:
    async def stream() -> AsyncIterator[bytes]:
        while True:
            yield b"a"
            await asyncio.sleep(0.01)

    registry.app.state.body_timeout = 0.1
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    answer = await registry.client.post("/auth/token", content=stream(), headers=headers)
    assert answer.status_code == 408


async def test_guesses_at_the_token_endpoint_are_told_to_slow_down(registry: Registry) -> None:
    form = {"grant_type": "password", "username": "alice", "password": "guess"}
    told = [(await post(registry, **form)).status_code for _ in range(7)]
    assert told == [401] * 5 + [429] * 2


# -- keys, and the whole flow -------------------------------------------------------------------


async def test_the_keys_are_public_and_show_both_while_one_takes_over(registry: Registry) -> None:
    old = await registry.sign_in("alice", SCOPE)
    registry.clock.now += 31 * 86400
    await registry.tokens.rotate()
    answer = await registry.client.get("/auth/jwks.json")
    assert len(answer.json()["keys"]) == 2
    assert not any("d" in key for key in answer.json()["keys"])
    assert (await registry.client.get("/v2/", headers=old)).status_code == 401
    new = await registry.sign_in("alice", SCOPE)
    assert (await registry.client.get("/v2/", headers=new)).status_code == 200


async def test_an_image_is_pushed_and_pulled_with_tokens_alone(registry: Registry) -> None:
    registry.client.headers.update(await registry.sign_in("alice", SCOPE))
    await push_image(registry.client, NAME, "1", APP)
    del registry.client.headers["Authorization"]
    signed_in = await registry.sign_in("bob", f"repository:{NAME}:pull")
    pulled = await registry.client.get(f"/v2/{NAME}/manifests/1", headers=signed_in)
    assert pulled.status_code == 200


# -- where nobody signs in ----------------------------------------------------------------------


@pytest.fixture
async def unguarded(storage: Storage) -> AsyncIterator[httpx.AsyncClient]:
    app = Application(storage, Guard(OpenIdentity()), Settings(), token.routes)
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        yield client


@pytest.mark.parametrize("form", [None, {"grant_type": "password", "access_type": "offline"}])
async def test_where_nobody_signs_in_a_token_is_an_empty_word(
    unguarded: httpx.AsyncClient, form: Mapping[str, Any] | None
) -> None:
    method = "GET" if form is None else "POST"
    answer = await unguarded.request(method, "/auth/token", data=form, headers=basic("x"))
    assert {answer.json()[name] for name in ("token", "access_token")} == {"none"}
    assert "refresh_token" not in answer.json()
    foreign = await unguarded.request(
        method, "/auth/token", data=form, headers={"Origin": "http://evil.example"}
    )
    assert (foreign.status_code, code(foreign)) == (403, "DENIED")


async def test_where_nobody_signs_in_there_are_no_keys_and_nothing_to_revoke(
    unguarded: httpx.AsyncClient,
) -> None:
    keys = await unguarded.get("/auth/jwks.json")
    revoked = await unguarded.post("/auth/revoke", data={"token": "x"})
    for answer in (keys, revoked):
        assert (answer.status_code, code(answer)) == (400, "UNSUPPORTED")
