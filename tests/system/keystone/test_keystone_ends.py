"""What a real Keystone takes back: users, passwords, roles, projects, tokens, credentials."""

import asyncio
import time

import jwt
import pytest

from registry.auth.keystone.roles import REFUSED_SECONDS, REMEMBERED_SECONDS
from registry.auth.ports import NOWHERE, Reach
from registry.oci.digest import Digest
from support.directory import ENDS, WORD, Directory, Person, Place, fresh
from support.keystone import (
    ALL,
    TOKEN_SECONDS,
    CloudRegistry,
    access_of,
    as_person,
    as_token,
)
from support.signing import basic


@pytest.mark.parametrize("end", ENDS)
async def test_what_keystone_took_back_ends_within_the_stated_time(
    registry: CloudRegistry, directory: Directory, alice: Person, east: Place, end: str
) -> None:
    made = directory.credential(alice, east)
    shown = {
        "password": as_person(alice),
        "application credential": basic(f"ac+{made['id']}", WORD),
        "scoped token": as_token(directory.token(alice, east)),
        "token": as_token(directory.token(alice)),
    }
    for headers in shown.values():
        assert await registry.status(headers, east) == 404
    signed_in = await registry.sign_in(shown["password"], f"repository:{east.name}/app:pull")
    ENDS[end](directory, alice, east)
    registry.clock.ahead += REMEMBERED_SECONDS
    for kind, headers in shown.items():
        if kind == "application credential" and end == "the password is another":
            continue  # it is there so that a password can be changed
        assert await registry.status(headers, east) in {401, 403}, kind
        catalogue = await registry.client.get("/v2/_catalog", headers=headers)
        assert catalogue.status_code == 401 or catalogue.json() == {"repositories": []}, kind
    assert await registry.status(signed_in, east) == 404, "a signed token goes on until it ends"
    registry.clock.ahead += TOKEN_SECONDS - REMEMBERED_SECONDS
    assert await registry.status(signed_in, east) == 401


async def test_a_revoked_token_ends_within_the_stated_time(
    registry: CloudRegistry, directory: Directory, alice: Person, east: Place
) -> None:
    token = directory.token(alice, east)
    assert await registry.status(as_token(token), east) == 404
    directory.revoke(token)
    fresh_eyes = registry.identity.verify(token, Reach(frozenset({east.name})), anew=True)
    registry.clock.ahead += REMEMBERED_SECONDS - 1
    assert await registry.status(as_token(token), east) == 404, "what is remembered holds so long"
    registry.clock.ahead += 1
    assert await registry.status(as_token(token), east) == 401
    assert (await registry.token(basic("token", token))).status_code == 401
    with pytest.raises(Exception, match="wrong user name"):
        await fresh_eyes


async def test_a_revoked_token_ends_as_soon_as_keystone_must_be_asked_again(
    registry: CloudRegistry, directory: Directory, alice: Person, east: Place, west: Place
) -> None:
    token = directory.token(alice)
    assert await registry.status(as_token(token), east) == 404
    directory.revoke(token)
    await asyncio.sleep(1)  # until then Keystone's own other calls may not have heard of it
    assert await registry.status(as_token(token), west) == 401
    assert await registry.status(as_token(token), east) == 401


async def test_a_password_goes_on_when_only_its_token_was_revoked(
    registry: CloudRegistry, directory: Directory, alice: Person, east: Place
) -> None:
    principal = await registry.identity.authenticate(alice.name, WORD, NOWHERE)
    assert principal.proof is not None
    directory.revoke(principal.proof)
    assert await registry.granted(as_person(alice), east) == {east.name: ALL}


async def test_a_deleted_application_credential_ends_within_the_stated_time(
    registry: CloudRegistry, directory: Directory, alice: Person, east: Place
) -> None:
    made = directory.credential(alice, east)
    headers = basic(f"ac+{made['id']}", WORD)
    assert await registry.status(headers, east) == 404
    directory.drop_credential(alice, made["id"])
    registry.clock.ahead += REMEMBERED_SECONDS
    assert await registry.status(headers, east) == 401


async def test_nothing_outlives_the_keystone_token_that_it_came_from(
    registry: CloudRegistry, directory: Directory, alice: Person, east: Place
) -> None:
    made = directory.credential(alice, east, seconds=9)
    headers = basic(f"ac+{made['id']}", WORD)
    token = directory.credential_token(made["id"])
    answer = await registry.token(headers, f"repository:{east.name}/app:pull")
    assert 0 < answer.json()["expires_in"] <= 9
    signed_in = {"Authorization": f"Bearer {answer.json()['token']}"}
    for each in (headers, as_token(token), signed_in):
        assert await registry.status(each, east) == 404
    await asyncio.sleep(10)
    for each in (headers, as_token(token), signed_in):
        assert await registry.status(each, east) == 401


async def test_a_push_outlives_its_token_and_a_rename_of_its_project(
    registry: CloudRegistry, directory: Directory, alice: Person, east: Place
) -> None:
    scope = f"repository:{east.name}/app:pull,push"
    signed_in = await registry.sign_in(as_person(alice), scope)
    url = f"/v2/{east.name}/app/blobs/uploads/"
    location = (await registry.client.post(url, headers=signed_in)).headers["location"]
    directory.change("project", east.id, name=fresh("renamed"))
    registry.clock.ahead += 3 * TOKEN_SECONDS
    assert (await registry.client.post(url, headers=signed_in)).status_code == 401
    answer = await registry.client.patch(location, content=b"late", headers=signed_in)
    assert answer.status_code == 202
    closing = f"{answer.headers['location']}&digest={Digest.of(b'late')}"
    assert (await registry.client.put(closing, headers=signed_in)).status_code == 201


async def test_a_role_given_counts_after_some_seconds(
    registry: CloudRegistry, directory: Directory, alice: Person, west: Place
) -> None:
    headers = as_person(alice)
    assert await registry.granted(headers, west) == {}
    directory.grant(alice, "reader", west)
    registry.clock.ahead += REFUSED_SECONDS
    assert await registry.granted(headers, west) == {west.name: ["pull"]}


async def test_docker_gets_no_offline_token_which_would_end_within_the_hour(
    registry: CloudRegistry, alice: Person
) -> None:
    answer = await registry.token(as_person(alice), offline=True)
    assert "refresh_token" not in answer.json()


async def test_a_refresh_token_is_a_keystone_token_that_only_the_server_reads(
    registry: CloudRegistry, directory: Directory, alice: Person, east: Place, west: Place
) -> None:
    refresh = await registry.refresh_token(alice.name)
    claims = jwt.decode(refresh, options={"verify_signature": False})
    assert claims["exp"] <= time.time() + 3600
    assert "gAAAA" not in str(claims)
    answer = await registry.refresh(refresh, east, west)
    assert access_of(answer) == {east.name: ["pull", "push"]}
    assert answer.json()["refresh_token"] == refresh
    directory.grant(alice, "reader", west)
    answer = await registry.refresh(refresh, east, west)
    assert access_of(answer) == {east.name: ["pull", "push"], west.name: ["pull"]}
    assert await registry.status({"Authorization": f"Bearer {refresh}"}, east) == 401
    done = await registry.client.post("/auth/revoke", data={"token": refresh})
    assert done.status_code == 200
    assert (await registry.refresh(refresh, east)).status_code == 401


@pytest.mark.parametrize("end", ENDS)
async def test_each_use_of_a_refresh_token_asks_keystone_anew(
    registry: CloudRegistry, directory: Directory, alice: Person, east: Place, end: str
) -> None:
    refresh = await registry.refresh_token(alice.name)
    assert access_of(await registry.refresh(refresh, east))
    ENDS[end](directory, alice, east)
    answer = await registry.refresh(refresh, east)
    assert answer.status_code == 401 or access_of(answer) == {}


async def test_a_refresh_token_ends_with_its_keystone_token(
    registry: CloudRegistry, directory: Directory, alice: Person, east: Place
) -> None:
    made = directory.credential(alice, east, seconds=8)
    refresh = await registry.refresh_token(f"ac+{made['id']}")
    assert access_of(await registry.refresh(refresh, east)) == {east.name: ["pull", "push"]}
    await asyncio.sleep(9)
    assert (await registry.refresh(refresh, east)).status_code == 401
