"""Every endpoint against those who may not: nothing is done, and nothing is told of what exists."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass

import httpx
import pytest

from registry.oci.digest import Digest
from support.asking import APP, ENDPOINTS, IN_REPOSITORY, NAME, asked_for, is_refusal
from support.directory import Directory, Person, Place, fresh
from support.keystone import CloudRegistry, Headers, as_person, as_token
from support.signing import BAD_TOKENS, Forger, basic

MISSING = str(Digest.of(b"missing"))


@dataclass(frozen=True)
class Neighbours:
    """Two projects that share nothing; app has been pushed to the first."""

    registry: CloudRegistry
    east: Place
    west: Place
    alice: Person
    bob: Person

    async def ask(self, method: str, path: str, headers: object, name: str) -> httpx.Response:
        """Ask for *path* of ENDPOINTS in the repository *name*."""
        there = path.replace(NAME, name)
        return await self.registry.client.request(method, there, headers=headers)  # type: ignore[arg-type]

    async def forger(self) -> Forger:
        """Knows the registry's newest key, and all that a good token of alice's says."""
        access = [
            {
                "type": "repository",
                "name": f"{self.east.name}/app",
                "project": self.east.id,
                "actions": ["pull", "push", "delete"],
            },
            {"type": "registry", "name": "catalog", "actions": ["*"]},
        ]
        forger = await Forger.of(self.registry.keys, self.registry.clock.time(), access)
        roles = {self.east.id: ["member", "reader"]}
        forger.claims["sub"] = self.alice.id
        forger.claims["principal"] = {"name": self.alice.name, "roles": roles, "admin": False}
        return forger


@pytest.fixture
async def neighbours(
    registry: CloudRegistry, directory: Directory, alice: Person, east: Place, west: Place
) -> AsyncIterator[Neighbours]:
    await registry.push(as_person(alice), east)
    bob = directory.member(west, role="manager")
    yield Neighbours(registry, east, west, alice, bob)
    assert await registry.status(as_person(alice), east) == 200, "nothing was changed"


async def test_nobodys_token_is_taken_that_was_forged(neighbours: Neighbours) -> None:
    forger = await neighbours.forger()
    name = f"{neighbours.east.name}/app"
    for method, path, _ in ENDPOINTS:
        for kind, forge in BAD_TOKENS.items():
            bad = forge(forger).encode("latin-1", "replace")
            answer = await neighbours.ask(method, path, {b"Authorization": b"Bearer " + bad}, name)
            assert asked_for(answer)["error"] == "invalid_token", (kind, method, path)
    for kind, forge in BAD_TOKENS.items():
        if bad := forge(forger).encode("latin-1", "replace"):
            answer = await neighbours.ask(
                "GET", f"/v2/{NAME}/tags/list", {b"X-Auth-Token": bad}, name
            )
            assert asked_for(answer)["error"] == "invalid_token", kind
    good = {"Authorization": f"Bearer {forger.sign()}"}
    answer = await neighbours.ask("GET", f"/v2/{NAME}/tags/list", good, name)
    assert answer.status_code == 200


async def test_what_keystone_ended_opens_no_endpoint(
    neighbours: Neighbours, directory: Directory
) -> None:
    alice, east = neighbours.alice, neighbours.east
    made = directory.credential(alice, east, seconds=4)
    expired, revoked = directory.credential_token(made["id"]), directory.token(alice, east)
    directory.revoke(revoked)
    await asyncio.sleep(5)
    for method, path, _ in ENDPOINTS:
        for token in (expired, revoked):
            for headers in (as_token(token), basic("token", token)):
                answer = await neighbours.ask(method, path, headers, f"{east.name}/app")
                assert asked_for(answer)["error"] == "invalid_token"
        word = basic(f"ac+{made['id']}", "rabbit-hole-7")
        answer = await neighbours.ask(method, path, word, f"{east.name}/app")
        assert answer.status_code in {401, 429}  # it is as wrong as a guess


async def test_the_other_projects_credentials_tell_nothing_of_what_exists(
    neighbours: Neighbours, directory: Directory
) -> None:
    bob, east, west = neighbours.bob, neighbours.east, neighbours.west
    absent = fresh("project")
    names = {
        f"{east.name}/app": east.name,
        f"{east.name}/none": east.name,
        f"{east.id}/app": east.id,
        f"{absent}/app": absent,
        f"{'0' * 32}/app": "0" * 32,
    }
    scopes = [f"repository:{each}:*" for each in (*names, f"{west.name}/app")]
    shown: list[Headers] = [
        as_person(bob),
        as_person(bob, f"/{east.name}"),
        as_token(directory.token(bob, west)),
        as_token(directory.token(bob)),
        basic("token", directory.token(bob, west)),
        await neighbours.registry.sign_in(as_person(bob), *scopes),
        {},
    ]
    for method, path, kind in IN_REPOSITORY:
        for headers in shown:
            told = set()
            for name, project in names.items():
                for digest in (str(APP.digest), MISSING):
                    there = path.replace(str(APP.digest), digest)
                    answer = await neighbours.ask(method, there, headers, name)
                    if headers and "Bearer" not in str(headers):
                        assert is_refusal(answer, 403, "DENIED"), (kind, name)
                    else:
                        asked_for(answer)
                    text = answer.text.replace(project, "<project>")
                    told.add((answer.status_code, text))
            assert len(told) == 1, told


async def test_the_other_projects_token_is_good_for_its_own_alone(
    neighbours: Neighbours,
) -> None:
    registry, bob = neighbours.registry, neighbours.bob
    scope = f"repository:{neighbours.west.name}/app:*"
    signed_in = await registry.sign_in(as_person(bob), scope)
    await registry.push(signed_in, neighbours.west)
    for method, path, _ in IN_REPOSITORY:
        answer = await neighbours.ask(method, path, signed_in, f"{neighbours.east.name}/app")
        assert asked_for(answer)["error"] == "insufficient_scope"


async def test_an_upload_is_its_beginners_alone(neighbours: Neighbours) -> None:
    registry, east = neighbours.registry, neighbours.east
    begun = await registry.client.post(
        f"/v2/{east.name}/app/blobs/uploads/", headers=as_person(neighbours.alice)
    )
    location = begun.headers["location"]
    scope = f"repository:{neighbours.west.name}/app:*"
    bobs = await registry.sign_in(as_person(neighbours.bob), scope)
    elsewhere = location.replace(east.name, neighbours.west.name)
    for method in ("GET", "PATCH", "PUT", "DELETE"):
        url = f"{location}&digest={MISSING}"
        for headers in (bobs, as_person(neighbours.bob), {}):
            answer = await registry.client.request(method, url, headers=headers)
            assert answer.status_code in {401, 403}
        answer = await registry.client.request(
            method, f"{elsewhere}&digest={MISSING}", headers=as_person(neighbours.bob)
        )
        assert answer.status_code == 404
    answer = await registry.client.get(location, headers=as_person(neighbours.alice))
    assert answer.status_code == 204
