"""Real clients on a registry whose people are a real Keystone's, and whose bytes lie in Swift."""

import uuid
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from support.clients import ClientFailed, Podman, Skopeo, running_docker
from support.crawl import crawl
from support.images import Images
from support.openstack import OpenStack
from support.roundtrip import reading
from support.server import Account, Server, Settings, running_server
from support.swift import new_prefix

EAST, WEST = "east", "west"


def person(cloud: OpenStack, name: str) -> Account:
    user = cloud.users[name]
    return Account(name=user.name, password=user.password)


def new_repository() -> str:
    return f"{EAST}/test-{uuid.uuid4().hex[:12]}"


@pytest.fixture(scope="module")
def server(openstack: OpenStack) -> Iterator[Server]:
    settings = Settings(cloud=openstack, prefix=new_prefix(), workers=2)
    with running_server(settings) as started:
        yield started


def test_docker_signs_in_with_a_password_and_with_an_application_credential(
    openstack: OpenStack, server: Server, real: Images, place: Path
) -> None:
    credential = openstack.credential
    accounts = (
        person(openstack, "alice"),
        Account(name=f"ac+{credential.id}", password=credential.secret),
        Account(name=f"ac+{credential.name}@{credential.user}", password=credential.secret),
    )
    with running_docker(place) as docker:
        for account in accounts:
            repository = new_repository()
            docker.login(server.address, account)
            docker.push(real.image, f"{server.address}/{repository}:1")
            assert docker.pull(f"{server.address}/{repository}:1") == real.image.stored()
        with pytest.raises(ClientFailed):
            docker.login(server.address, Account(name="alice", password=credential.secret))


def test_podman_pushes_and_pulls(
    openstack: OpenStack, server: Server, small: Images, place: Path
) -> None:
    podman = Podman(place)
    repository = new_repository()
    podman.login(server.address, person(openstack, "alice"))
    podman.push(small.image, f"{server.address}/{repository}:1")
    assert podman.pull(f"{server.address}/{repository}:1") == small.image.stored()


def test_an_index_comes_back_byte_for_byte(
    openstack: OpenStack, server: Server, real: Images, tmp_path: Path
) -> None:
    skopeo = Skopeo(tmp_path)
    repository = new_repository()
    reference = f"{server.address}/{repository}:1"
    skopeo.login(server.address, person(openstack, "alice"))
    skopeo.push(real.index, reference)
    skopeo.login(server.address, person(openstack, "carol"))
    skopeo.pull(reference, tmp_path / "pulled")
    real.index.hold_same(tmp_path / "pulled")
    with pytest.raises(ClientFailed):
        skopeo.push(real.index, f"{server.address}/{repository}:2")
    with reading(server) as reader:
        reader.hold_same(real.index, repository)


def test_another_project_sees_nothing(
    openstack: OpenStack, server: Server, small: Images, tmp_path: Path
) -> None:
    skopeo = Skopeo(tmp_path)
    repository = new_repository()
    reference = f"{server.address}/{repository}:1"
    skopeo.login(server.address, person(openstack, "alice"))
    skopeo.push(small.image, reference)
    skopeo.login(server.address, person(openstack, "bob"))
    with pytest.raises(ClientFailed):
        skopeo.pull(reference, tmp_path / "pulled")
    with pytest.raises(ClientFailed):
        skopeo.push(small.image, reference)
    skopeo.push(small.image, f"{server.address}/{repository.replace(EAST, WEST)}:1")


def test_the_ledger_is_lost_and_made_again_out_of_swift(
    openstack: OpenStack, real: Images, tmp_path: Path
) -> None:
    settings = Settings(cloud=openstack, prefix=new_prefix())
    alice = person(openstack, "alice")
    with running_server(settings) as server:
        skopeo = Skopeo(tmp_path)
        skopeo.login(server.address, alice)
        for tag in ("1", "2", "gone"):
            skopeo.push(real.index, f"{server.address}/{EAST}/app:{tag}")
        with httpx.Client(base_url=server.url, auth=alice.pair, timeout=60) as http:
            assert http.delete(f"/v2/{EAST}/app/manifests/gone").status_code == 202
            before = crawl(http)
            assert len(before) > 20
            server.stop()
            for path in server.data.glob("ledger.db*"):
                path.unlink()
            server.restart()
            lost = http.get(f"/v2/{EAST}/app/manifests/1")
            assert lost.status_code == httpx.codes.SERVICE_UNAVAILABLE
            server.run("rebuild")
            server.stop()
            server.restart()
            assert crawl(http) == before
