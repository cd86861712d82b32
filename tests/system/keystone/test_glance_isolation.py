"""A shared repository on a real cloud: who is not let in is told nothing, who is gains no more."""

import asyncio
import itertools
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from registry.oci.digest import Digest
from support.asking import (
    APP,
    ENDPOINTS,
    IN_REPOSITORY,
    NAME,
    OTHER_ENDPOINTS,
    asked_for,
    is_refusal,
)
from support.directory import Directory, fresh
from support.imagecalls import NOBODYS, PATCH
from support.keystone import as_person, as_token
from support.openstack import OpenStack
from support.signing import BAD_TOKENS, Forger, basic
from support.street import ALL, OTHER, Street, street_of

MISSING = str(Digest.of(b"missing"))


@pytest.fixture
async def street(
    openstack: OpenStack, directory: Directory, tmp_path: Path
) -> AsyncIterator[Street]:
    async with street_of(openstack, directory, tmp_path) as street:
        yield street


async def test_whoever_is_not_let_in_is_told_nothing_of_what_exists(street: Street) -> None:
    """Its tag is shared with a third project, and another repository is not there at all."""
    await street.share("1", street.directory.project())
    ways = await street.ways(public=True)
    for (way, headers), (method, path, _) in itertools.product(ways.items(), IN_REPOSITORY):
        told = set()
        for name in (street.name, f"{street.east.name}/none"):
            for digest in (str(APP.digest), MISSING):
                there = path.replace(NAME, name).replace(str(APP.digest), digest)
                answer = await street.registry.client.request(method, there, headers=headers)
                told.add((answer.status_code, answer.text))
                if "Bearer" in way:
                    asked_for(answer)
                else:
                    assert is_refusal(answer, 403, "DENIED")
        assert len(told) == 1, (way, told)


async def test_whoever_is_let_in_by_a_tag_is_told_nothing_of_the_rest(street: Street) -> None:
    await street.share("1")
    blob, other = (str(Digest.of(each.layers[-1])) for each in (APP, OTHER))
    for way, headers in (await street.ways()).items():
        for kind, there, absent in (
            ("manifests", "2", "none"),
            ("manifests", str(OTHER.digest), MISSING),
            ("blobs", other, MISSING),
        ):
            said = []
            for each in (there, absent):
                url = f"/v2/{street.name}/{kind}/{each}"
                answer = await street.registry.client.get(url, headers=headers)
                said.append((answer.status_code, answer.text.replace(each, "")))
            assert said[0] == said[1], way
            assert said[0][0] == 404
        assert await street.pulls(headers, f"blobs/{blob}") == 200


async def test_whoever_is_let_in_changes_nothing(street: Street) -> None:
    await street.share("")
    ways = dict(await street.ways())
    scope = street.scope.replace(":pull", ":*")
    ways["Bearer"] = await street.registry.sign_in(as_person(street.bob), scope)
    for (way, headers), (method, path, _) in itertools.product(ways.items(), IN_REPOSITORY):
        there = path.replace(NAME, street.name)
        answer = await street.registry.client.request(method, there, headers=headers)
        if method in {"GET", "HEAD"} and "/uploads" not in path:
            assert answer.status_code == 200, (way, method, path)
        elif "Bearer" in way:
            assert asked_for(answer)["error"] == "insufficient_scope"
        else:
            assert is_refusal(answer, 403, "DENIED"), (way, method, path)
    assert await street.opened(as_person(street.alice)) == ALL


async def test_bad_tokens_open_nothing_that_is_shared(street: Street) -> None:
    await street.share("")
    access = [
        {
            "type": "repository",
            "name": street.name,
            "project": street.east.id,
            "actions": ["pull"],
            "opened": {"whole": True},
        }
    ]
    keys, now = street.registry.keys, street.registry.clock.time()
    forger = await Forger.of(keys, now, access)
    forger.claims["sub"] = street.bob.id
    roles = {street.west.id: ["member"]}
    forger.claims["principal"] = {"name": street.bob.name, "roles": roles, "admin": False}
    for kind, forge in BAD_TOKENS.items():
        bad = {b"Authorization": b"Bearer " + forge(forger).encode("latin-1", "replace")}
        for method, path, _ in ENDPOINTS:
            there = path.replace(NAME, street.name)
            answer = await street.registry.client.request(method, there, headers=bad)
            assert asked_for(answer)["error"] == "invalid_token", (kind, path)
    good = {"Authorization": f"Bearer {forger.sign()}"}
    assert await street.opened(good) == ALL


async def test_what_keystone_ended_opens_nothing_that_is_shared(street: Street) -> None:
    await street.share("")
    directory, bob, west = street.directory, street.bob, street.west
    made = directory.credential(bob, west, seconds=4)
    expired, revoked = directory.credential_token(made["id"]), directory.token(bob, west)
    directory.revoke(revoked)
    await asyncio.sleep(5)
    for token in (expired, revoked):
        for headers in (as_token(token), basic("token", token)):
            for path in ALL:
                answer = await street.registry.client.get(
                    f"/v2/{street.name}/{path}", headers=headers
                )
                assert asked_for(answer)["error"] == "invalid_token"
            answer = await street.registry.token(basic("token", token), street.scope)
            assert answer.status_code == 401
            for method, path in OTHER_ENDPOINTS:
                there = path.replace(NAME, street.name).replace(NOBODYS, await street.record("1"))
                answer = await street.registry.client.request(method, there, headers=headers)
                assert answer.status_code == 401, (method, path)


async def test_beside_the_spec_too_another_project_is_told_nothing_of_what_exists(
    street: Street,
) -> None:
    """Neither is it changed: alice still finds all, and no limit and no member."""
    east, one = street.east, await street.record("1")
    bodies = {"POST": {"member": street.west.id}, "PUT": {"bytes": 1}}
    step = [{"op": "replace", "path": "/visibility", "value": "public"}]
    for way, headers in (await street.ways()).items():
        for method, path in OTHER_ENDPOINTS:
            told = set()
            for name, project, record in (
                (street.name, east.id, one),
                (street.name, east.name, one),
                (f"{east.name}/none", "0" * 32, NOBODYS),
                (f"{fresh('none')}/app", fresh("none"), NOBODYS),
            ):
                there = path.replace(NAME, name).replace(NOBODYS, record).replace("shoes", project)
                answer = await street.registry.client.request(
                    method,
                    there,
                    headers=headers | (PATCH if method == "PATCH" else {}),
                    json=step if method == "PATCH" else bodies.get(method),
                )
                text = answer.text
                for each in (name.partition("/")[0], project):
                    text = text.replace(each, "<project>")
                told.add((answer.status_code, text))
            assert len(told) == 1, (way, method, path, told)
            ((status, text),) = told
            lists = "schemas" in path or path in {"/image/v2/images", "/registry/v1/quotas"}
            assert status in ({200, 401} if lists or path.endswith("v1/trash") else {401, 403, 404})
            for secret in (one, east.id, str(APP.digest)):
                assert secret not in text, (way, method, path)
    alice = as_person(street.alice)
    assert await street.opened(alice) == ALL
    shown = await street.registry.client.get(f"/image/v2/images/{one}", headers=alice)
    assert shown.json()["visibility"] == "private"
    url = f"/registry/v1/repositories/{street.name}/_quota"
    assert (await street.registry.client.get(url, headers=alice)).json()["set"] == {}
