"""Roles of a real Keystone: what they give, and in how many projects."""

import pytest

from registry.auth.keystone.roles import PROJECTS, REMEMBERED_SECONDS
from registry.auth.ports import EVERYWHERE
from support.asking import BLOB
from support.directory import WORD, Directory, Person, Place, fresh
from support.keystone import ALL, CloudRegistry, as_person, as_token
from support.openstack import DOMAIN
from support.pushing import code
from support.signing import basic


@pytest.mark.parametrize(
    ("role", "expected"), [("reader", ["pull"]), ("member", ALL), ("manager", ALL), ("admin", ALL)]
)
async def test_a_role_gives_its_actions(
    registry: CloudRegistry, directory: Directory, east: Place, role: str, expected: list[str]
) -> None:
    person = directory.member(east, role=role)
    assert await registry.granted(as_person(person), east) == {east.name: expected}


async def test_implied_roles_count_and_unknown_ones_mean_nothing(
    registry: CloudRegistry, directory: Directory, east: Place, west: Place
) -> None:
    developer, guest = directory.role(implies="member"), directory.role()
    person = directory.member(east, role=developer)
    directory.grant(person, guest, west)
    assert await registry.granted(as_person(person), east, west) == {east.name: ALL}
    principal = await registry.identity.authenticate(person.name, WORD)
    assert principal.roles == {east.id: {"member", "reader"}, west.id: set()}


async def test_an_administrator_crosses_projects(
    registry: CloudRegistry, directory: Directory, alice: Person, east: Place, west: Place
) -> None:
    await registry.push(as_person(alice), east)
    root = directory.member(directory.project(), role="admin")
    system = directory.person()
    directory.grant_system(system, "admin")
    tokens = [directory.token(system, system={"all": True}), directory.token(system)]
    for headers in (as_person(root), as_person(system), *map(as_token, tokens)):
        assert await registry.status(headers, east) == 200
        assert await registry.status(headers, east.id) == 200
    for headers in (as_person(root), as_person(system), basic("token", tokens[0])):
        assert await registry.granted(headers, east, west.id) == {east.name: ALL, west.id: ALL}
        signed_in = await registry.sign_in(headers, f"repository:{east.name}/app:pull")
        assert await registry.status(signed_in, east) == 200


async def test_an_administrator_is_told_that_a_project_is_not_there(
    registry: CloudRegistry, directory: Directory, alice: Person
) -> None:
    root = directory.member(directory.project(), role="admin")
    for name in (fresh("none"), "0" * 32, alice.id):
        answer = await registry.client.get(f"/v2/{name}/app/tags/list", headers=as_person(root))
        assert (answer.status_code, code(answer)) == (404, "NAME_UNKNOWN")
        answer = await registry.client.post(
            f"/v2/{name}/app/blobs/uploads/", headers=as_person(root)
        )
        assert (answer.status_code, code(answer)) == (404, "NAME_UNKNOWN")
        assert await registry.granted(as_person(root), name) == {}


async def test_administrators_of_less_than_the_cloud_cross_nothing(
    registry: CloudRegistry, directory: Directory, alice: Person, east: Place
) -> None:
    await registry.push(as_person(alice), east)
    reader, owner = directory.person(), directory.person()
    directory.grant_system(reader, "reader")
    directory.grant_domain(owner.id, "admin", DOMAIN)
    limited = directory.member(east, role="admin")
    made = directory.credential(limited, east, roles=[{"name": "reader"}])
    tokens = [
        directory.token(reader, system={"all": True}),
        directory.token(owner, domain={"id": DOMAIN}),
    ]
    for headers in (as_person(reader), as_person(owner), *map(as_token, tokens)):
        assert await registry.status(headers, east) == 403
        assert await registry.granted(headers, east) == {} if "Authorization" in headers else True
    assert await registry.granted(basic(f"ac+{made['id']}", WORD), east) == {east.name: ["pull"]}


async def test_the_catalogue_shows_the_projects_of_the_caller(
    registry: CloudRegistry, directory: Directory, alice: Person, east: Place, west: Place
) -> None:
    bob = directory.member(west)
    await registry.push(as_person(alice), east)
    await registry.push(as_person(bob), west)
    client = registry.client
    for person, place in ((alice, east), (bob, west)):
        by_token = await registry.sign_in(as_person(person), "registry:catalog:*")
        for headers in (as_person(person), by_token, as_token(directory.token(person))):
            answer = await client.get("/v2/_catalog", headers=headers)
            assert answer.json() == {"repositories": [f"{place.id}/app"]}
    directory.grant(alice, "reader", west)
    registry.clock.ahead += REMEMBERED_SECONDS
    both = await client.get("/v2/_catalog", headers=as_person(alice))
    assert len(both.json()["repositories"]) == 2
    one = await client.get("/v2/_catalog", headers=as_person(alice, f"/{west.name}"))
    assert one.json() == {"repositories": [f"{west.id}/app"]}


async def test_a_blob_is_mounted_from_another_project_of_the_caller(
    registry: CloudRegistry, directory: Directory, alice: Person, east: Place, west: Place
) -> None:
    await registry.push(as_person(alice), east)
    bob = directory.member(west)
    url = f"/v2/{west.name}/app/blobs/uploads/?mount={BLOB}&from={east.name}/app"
    scopes = [f"repository:{west.name}/app:pull,push", f"repository:{east.name}/app:pull"]
    for headers in (as_person(bob), await registry.sign_in(as_person(bob), *scopes)):
        assert (await registry.client.post(url, headers=headers)).status_code == 202
    directory.grant(bob, "reader", east)
    registry.clock.ahead += REMEMBERED_SECONDS
    for headers in (as_person(bob), await registry.sign_in(as_person(bob), *scopes)):
        assert (await registry.client.post(url, headers=headers)).status_code == 201


async def test_roles_are_looked_up_in_twenty_projects_at_most(
    registry: CloudRegistry, directory: Directory
) -> None:
    person = directory.member(*(directory.project() for _ in range(PROJECTS + 3)))
    everywhere = await registry.identity.authenticate(person.name, WORD, EVERYWHERE)
    assert len(everywhere.roles) == PROJECTS
    scopes = [f"repository:p{number}/app:pull" for number in range(PROJECTS + 1)]
    answer = await registry.token(as_person(person), *scopes)
    assert (answer.status_code, code(answer)) == (429, "TOOMANYREQUESTS")
