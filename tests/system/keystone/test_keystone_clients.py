"""skopeo and docker sign in with what a real Keystone knows, and push and pull."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from support.clients import ClientFailed, Docker, Skopeo, running_docker
from support.directory import WORD, Directory, Person, Place
from support.environment import temporary_directory
from support.images import Images
from support.openstack import OpenStack
from support.server import Account, Server, Settings, running_server, service_variables


@pytest.fixture(scope="module")
def server(openstack: OpenStack, directory: Directory) -> Iterator[Server]:
    del directory  # by it the service user may look up names
    environment = {
        "BERTH_AUTH_KIND": "keystone",
        "OS_CLIENT_CONFIG_FILE": "/dev/null",
        **service_variables(openstack),
    }
    with running_server(Settings(workers=2, environment=environment)) as server:
        yield server


@pytest.fixture(scope="module")
def docker() -> Iterator[Docker]:
    with temporary_directory("docker") as place, running_docker(place) as docker:
        yield docker


def accounts(directory: Directory, person: Person, project: Place) -> dict[str, Account]:
    """Every way in which *person* may sign in."""
    made = directory.credential(person, project)
    return {
        "user": Account(name=person.name, password=WORD),
        "user and project": Account(name=f"{person.name}/{project.name}", password=WORD),
        "application credential": Account(name=f"ac+{made['id']}", password=WORD),
        "its name": Account(name=f"ac+{made['name']}@{person.name}", password=WORD),
        "token": Account(name="token", password=directory.token(person, project)),
    }


def test_skopeo_signs_in_by_every_kind_of_credential(
    server: Server,
    directory: Directory,
    alice: Person,
    east: Place,
    west: Place,
    small: Images,
    tmp_path: Path,
) -> None:
    for number, account in enumerate(accounts(directory, alice, east).values()):
        home = tmp_path / str(number)
        home.mkdir()
        skopeo = Skopeo(home)
        skopeo.login(server.address, account)
        reference = f"{server.address}/{east.name}/app{number}:1"
        skopeo.push(small.image, reference)
        skopeo.pull(reference, home / "by-name")
        small.image.hold_same(home / "by-name")
        skopeo.pull(reference.replace(east.name, east.id), home / "by-id")
        small.image.hold_same(home / "by-id")
        with pytest.raises(ClientFailed):
            skopeo.push(small.image, f"{server.address}/{west.name}/app:1")
        with pytest.raises(ClientFailed):
            skopeo.login(server.address, Account(name=account.name, password="wrong"))  # noqa: S106


@pytest.mark.parametrize("kind", ["user", "application credential"])
def test_docker_signs_in_pushes_and_pulls_and_not_across_projects(
    server: Server,
    directory: Directory,
    docker: Docker,
    alice: Person,
    east: Place,
    west: Place,
    small: Images,
    kind: str,
) -> None:
    reference = f"{server.address}/{east.name}/app:1"
    docker.login(server.address, accounts(directory, alice, east)[kind])
    docker.push(small.image, reference)
    assert docker.pull(reference) == small.image.stored()
    bob = directory.member(west)
    docker.login(server.address, Account(name=bob.name, password=WORD))
    with pytest.raises(ClientFailed):
        docker.pull(reference)
    docker.push(small.image, f"{server.address}/{west.name}/app:1")
