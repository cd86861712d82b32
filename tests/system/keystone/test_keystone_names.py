"""Names of projects, which stand for ids: twins, disguises, renames."""

import asyncio
import os
from pathlib import Path

import pytest
from openstack.exceptions import ConfigException

from registry.auth.keystone.client import Keystone
from registry.auth.keystone.projects import REMEMBERED_SECONDS as NAME_SECONDS
from registry.auth.keystone.projects import KeystoneProjectNames
from registry.auth.keystone.roles import REMEMBERED_SECONDS
from registry.auth.keystone.service import as_service
from registry.oci.errors import NameUnknown
from support.directory import Directory, Person, Place, fresh
from support.keystone import TOKEN_SECONDS, CloudRegistry, as_person, as_token, open_cloud_registry
from support.openstack import DOMAIN, OpenStack


async def test_a_name_in_two_domains_is_the_one_domains(
    registry: CloudRegistry, directory: Directory, alice: Person, east: Place
) -> None:
    domain = directory.domain()
    twin = directory.project(east.name, domain.id)
    other = directory.member(twin)
    await registry.push(as_person(alice), east)
    for headers in (as_person(other), as_token(directory.token(other, twin))):
        assert await registry.status(headers, east.name) == 403
        await registry.push(headers, twin.id)
        assert await registry.status(headers, twin.id) == 200
        assert await registry.status(headers, east.id) == 403
    assert await registry.status(as_person(alice), twin.id) == 403
    assert await registry.projects.find_project(east.name) == east.id
    answer = await registry.client.get("/v2/_catalog", headers=as_person(other))
    assert answer.json() == {"repositories": [f"{twin.id}/app"]}


async def test_a_name_like_anothers_id_stands_for_that_other(
    registry: CloudRegistry, directory: Directory, alice: Person, east: Place
) -> None:
    await registry.push(as_person(alice), east)
    disguised = directory.project(east.id)
    mallory = directory.member(disguised, role="manager")
    for headers in (
        as_person(mallory),
        as_person(mallory, f"/{disguised.id}"),
        as_token(directory.token(mallory, disguised)),
        as_token(directory.token(mallory)),
    ):
        assert await registry.status(headers, east.id) == 403
        assert await registry.status(headers, east.name) == 403
        assert await registry.status(headers, disguised.id) == 404
    assert await registry.granted(as_person(mallory), east.id) == {}
    assert await registry.projects.find_project(east.id) == east.id
    catalogue = await registry.client.get("/v2/_catalog", headers=as_person(mallory))
    assert catalogue.json() == {"repositories": []}


async def test_a_rename_keeps_the_content_and_takes_effect_in_a_minute(
    registry: CloudRegistry, directory: Directory, alice: Person, east: Place
) -> None:
    await registry.push(as_person(alice), east)
    old = await registry.sign_in(as_person(alice), f"repository:{east.name}/app:pull")
    assert await registry.projects.find_project(east.name) == east.id
    renamed = fresh("renamed")
    directory.change("project", east.id, name=renamed)
    taker = directory.project(east.name)
    bob = directory.member(taker)
    registry.clock.ahead += max(NAME_SECONDS, REMEMBERED_SECONDS)
    assert await registry.projects.find_project(east.name) == taker.id
    assert await registry.status(as_person(alice), renamed) == 200
    assert await registry.status(as_person(alice), east.id) == 200
    assert await registry.status(as_person(alice), east.name) == 403
    assert await registry.status(as_person(bob), east.name) == 404
    assert await registry.status(old, east.name) == 200, "a token knows what its name stood for"
    registry.clock.ahead += TOKEN_SECONDS - REMEMBERED_SECONDS
    assert await registry.status(old, east.name) == 401


async def test_a_name_is_taken_as_it_is_spelt(
    registry: CloudRegistry, directory: Directory
) -> None:
    capital = directory.project(fresh("Shouting"))
    loud = directory.member(capital)
    assert await registry.status(as_person(loud), capital.name.lower()) == 403
    assert await registry.status(as_person(loud), capital.id) == 404
    for name in (capital.name.lower(), fresh("none"), DOMAIN):
        with pytest.raises(NameUnknown):
            await registry.projects.find_project(name)


async def test_without_a_right_to_look_up_names_those_of_the_caller_still_hold(
    openstack: OpenStack,
    directory: Directory,
    alice: Person,
    east: Place,
    caplog: pytest.LogCaptureFixture,
) -> None:
    path = f"/domains/{DOMAIN}/users/{openstack.users['registry'].id}/roles"
    directory.ask("DELETE", f"{path}/{directory.role_id('reader')}")
    try:
        async with open_cloud_registry(openstack) as registry:
            await registry.push(as_person(alice), east)
            assert await registry.status(as_person(directory.person()), east) == 403
            assert "give it the role reader in the domain" in caplog.text
    finally:
        directory.ask("PUT", f"{path}/{directory.role_id('reader')}")


async def test_the_service_user_signs_in_by_the_environment_and_again_when_he_must(
    openstack: OpenStack,
    directory: Directory,
    east: Place,
    west: Place,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    user = openstack.users["registry"]
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("OS_")]:
        monkeypatch.delenv(name)
    for name, value in {
        "AUTH_URL": openstack.identity_url,
        "USERNAME": user.name,
        "PASSWORD": user.password,
        "PROJECT_NAME": user.project,
        "USER_DOMAIN_ID": DOMAIN,
        "PROJECT_DOMAIN_ID": DOMAIN,
        "CLIENT_CONFIG_FILE": str(tmp_path / "none"),
    }.items():
        monkeypatch.setenv(f"OS_{name}", value)
    service = as_service()
    assert (service.auth_url, service.verify) == (openstack.identity_url, True)
    keystone = Keystone(service.auth_url, verify=service.verify)
    projects = KeystoneProjectNames(keystone, service.auth, domain=DOMAIN)
    assert await projects.find_project(east.name) == east.id
    assert projects._token is not None
    directory.revoke(projects._token.text)
    directory.revoke(await keystone.issue_token(service.auth))
    await asyncio.sleep(1)  # until then Keystone's own other calls may not have heard of it
    assert await projects.find_project(west.name) == west.id
    await keystone.close()


async def test_a_service_user_who_does_not_sign_in_is_refused_at_the_start(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in [name for name in os.environ if name.startswith("OS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("OS_CLIENT_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("OS_AUTH_TYPE", "none")
    monkeypatch.setenv("OS_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(ConfigException, match="must sign in"):
        as_service()
