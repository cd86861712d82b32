"""Each kind of credential that a Keystone knows, at the registry."""

import pytest

from registry.auth.ports import EVERYWHERE, NOWHERE
from support.directory import WORD, Directory, Person, Place, fresh
from support.keystone import ALL, CloudRegistry, as_person, as_token, open_cloud_registry
from support.openstack import OpenStack
from support.pushing import code
from support.signing import basic


async def test_docker_signs_in_asks_for_a_token_pushes_and_pulls(
    registry: CloudRegistry, alice: Person, east: Place
) -> None:
    challenged = await registry.client.get("/v2/")
    assert challenged.status_code == 401
    assert (await registry.token(as_person(alice), offline=True)).status_code == 200
    signed_in = await registry.sign_in(as_person(alice), f"repository:{east.name}/app:pull,push")
    await registry.push(signed_in, east)
    assert await registry.status(signed_in, east) == 200
    assert await registry.status(signed_in, east.id) == 200


@pytest.mark.parametrize("suffix", ["", "@Default", "/{project}", "@Default/{id}", "/elsewhere"])
async def test_a_user_name_may_say_its_domain_and_a_project(
    registry: CloudRegistry, alice: Person, east: Place, suffix: str
) -> None:
    name = suffix.format(project=east.name, id=east.id)
    assert await registry.granted(as_person(alice, name), east) == {east.name: ALL}


async def test_a_user_may_be_called_by_an_address_or_have_a_slash(
    registry: CloudRegistry, directory: Directory, east: Place
) -> None:
    for name, typed in ((f"{fresh('x')}@example.com", ""), (f"{fresh('x')}/y", "/")):
        person = directory.person(name)
        directory.grant(person, "reader", east)
        assert await registry.granted(as_person(person, typed), east) == {east.name: ["pull"]}


async def test_users_of_another_domain_sign_in_if_it_is_configured(
    openstack: OpenStack, registry: CloudRegistry, directory: Directory, east: Place
) -> None:
    domain = directory.domain()
    erin = directory.person(domain=domain.id)
    directory.grant(erin, "member", east)
    headers = as_person(erin, f"@{domain.name}")
    assert (await registry.token(headers)).status_code == 401
    domains = {"corp": domain.id}
    async with open_cloud_registry(openstack, domains=domains) as other:
        assert await other.granted(as_person(erin, "@corp"), east) == {east.name: ALL}
        assert (await other.token(as_person(erin))).status_code == 401


@pytest.mark.parametrize("form", ["ac+{id}", "ac+{name}@{user}", "ac+{name}@{user}@Default"])
async def test_an_application_credential_signs_in(
    registry: CloudRegistry, directory: Directory, alice: Person, east: Place, form: str
) -> None:
    made = directory.credential(alice, east)
    user = form.format(**made, user=alice.name)
    assert await registry.granted(basic(user, WORD), east) == {east.name: ALL}
    for wrong in (basic(user, "wrong"), basic(f"{user}x", WORD), basic("ac+", WORD)):
        assert (await registry.token(wrong)).status_code == 401


async def test_an_application_credential_is_its_users_and_no_more_than_its_roles(
    registry: CloudRegistry, directory: Directory, alice: Person, east: Place, west: Place
) -> None:
    directory.grant(alice, "member", west)
    made = directory.credential(alice, east, roles=[{"name": "reader"}])
    headers = basic(f"ac+{made['id']}", WORD)
    assert await registry.granted(headers, east, west) == {east.name: ["pull"]}
    by_password = await registry.identity.authenticate(alice.name, WORD, NOWHERE)
    by_credential = await registry.identity.authenticate(f"ac+{made['id']}", WORD, EVERYWHERE)
    assert by_password.subject == by_credential.subject == alice.id
    assert by_credential.roles == {east.id: {"reader"}}


async def test_an_application_credential_with_access_rules_is_refused(
    registry: CloudRegistry, directory: Directory, alice: Person, east: Place
) -> None:
    rules = [{"path": "/v2.0/networks", "method": "GET", "service": "network"}]
    made = directory.credential(alice, east, access_rules=rules)
    assert (await registry.token(basic(f"ac+{made['id']}", WORD))).status_code == 401
    token = directory.credential_token(made["id"])
    assert await registry.status(as_token(token), east) == 401


async def test_who_needs_a_second_factor_signs_in_by_an_application_credential(
    registry: CloudRegistry, directory: Directory, alice: Person, east: Place
) -> None:
    made = directory.credential(alice, east)
    methods = [["password", "token"], ["application_credential"]]
    options = {"multi_factor_auth_enabled": True, "multi_factor_auth_rules": methods}
    directory.change("user", alice.id, options=options)
    assert (await registry.token(as_person(alice))).status_code == 401
    headers = basic(f"ac+{made['id']}", WORD)
    assert await registry.granted(headers, east) == {east.name: ALL}


async def test_a_token_of_keystones_is_a_password_and_a_header(
    registry: CloudRegistry, directory: Directory, alice: Person, east: Place, west: Place
) -> None:
    directory.grant(alice, "member", west)
    scoped, free = directory.token(alice, east), directory.token(alice)
    assert await registry.granted(basic("token", scoped), east, west) == {east.name: ALL}
    both = {east.name: ALL, west.name: ALL}
    assert await registry.granted(basic("token", free), east, west) == both
    for token in (scoped, free):
        for headers in (as_token(token), basic("token", token)):
            assert await registry.status(headers, east) == 404
    assert await registry.status(as_token(scoped), west) == 403
    assert await registry.status(as_token(free), west) == 404
    await registry.push(as_token(scoped), east)
    assert await registry.status(as_token(free), east) == 200


async def test_a_token_of_the_registrys_is_taken_in_either_header(
    registry: CloudRegistry, alice: Person, east: Place
) -> None:
    signed_in = await registry.sign_in(as_person(alice), f"repository:{east.name}/app:pull")
    word = signed_in["Authorization"].removeprefix("Bearer ")
    assert await registry.status(as_token(word), east) == 404
    assert await registry.status(as_token(f"{word}x"), east) == 401


async def test_plain_basic_is_taken_on_every_path(
    registry: CloudRegistry, alice: Person, east: Place, west: Place
) -> None:
    headers = as_person(alice)
    assert (await registry.client.get("/v2/", headers=headers)).status_code == 200
    await registry.push(headers, east)
    assert await registry.status(headers, east) == 200
    assert await registry.status(headers, west) == 403


@pytest.mark.parametrize(
    ("user", "word"),
    [
        ("{alice}", "wrong"),
        ("{alice}", WORD + " "),
        ("{alice}@Nowhere", WORD),
        ("@Default", WORD),
        ("/east", WORD),
        ("stranger", WORD),
        ("ac+", WORD),
        ("ac+@{alice}", WORD),
        ("ac+none@", WORD),
        ("ac+none@{alice}", WORD),
        ("ac+00000000000000000000000000000000", WORD),
        ("token", "gAAAAABnonsense"),
        ("token", "a b"),
        ("é" * 300, WORD),
        ("a\0b", WORD),
    ],
)
async def test_whatever_is_wrong_gets_the_same_401(
    registry: CloudRegistry, alice: Person, user: str, word: str
) -> None:
    reference = await registry.token(basic("nobody-at-all", "wrong"))
    answer = await registry.token(basic(user.format(alice=alice.name), word))
    assert (answer.status_code, answer.content) == (401, reference.content)
    assert answer.headers["www-authenticate"] == 'Basic realm="berth"'


async def test_guesses_are_slowed_down_however_the_user_is_spelt(
    registry: CloudRegistry, alice: Person
) -> None:
    spellings = ["", "@Default", "/a", "/b", "@Default/c"]
    for suffix in spellings:
        assert (await registry.token(basic(alice.name + suffix, "guess"))).status_code == 401
    slow = await registry.token(basic(alice.name.upper(), "guess"))
    assert (slow.status_code, code(slow)) == (429, "TOOMANYREQUESTS")
    assert int(slow.headers["retry-after"]) > 0
    registry.clock.ahead += 60
    assert (await registry.token(as_person(alice))).status_code == 200
