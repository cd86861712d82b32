"""skopeo and docker across two projects of a real cloud, at a server whose records are Glance's."""

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.clients import ClientFailed, Skopeo, running_docker
from support.directory import WORD, Directory, Person, Place
from support.environment import temporary_directory
from support.glance import Looker
from support.images import Images
from support.openstack import OpenStack
from support.server import Account, Server, Settings, running_server
from support.swift import new_prefix

REMEMBER = 2
GLANCE = f"""
[glance]
enabled = true
wait = 30
remember = {REMEMBER}
"""
"""A push is answered once its records are in Glance, whose word is soon asked for again."""


@pytest.fixture(scope="module")
def server(openstack: OpenStack, directory: Directory) -> Iterator[Server]:
    del directory  # by it the service user may look up names
    settings = Settings(cloud=openstack, prefix=new_prefix(), extra=GLANCE, workers=2)
    with running_server(settings) as server:
        yield server


@pytest.fixture
def bob(directory: Directory, west: Place) -> Person:
    return directory.member(west, role="reader")


@pytest.fixture
def owner(
    openstack: OpenStack, directory: Directory, alice: Person, east: Place
) -> Iterator[Looker]:
    """alice at Glance."""
    looker = Looker(openstack, token=directory.token(alice, east))
    with contextlib.closing(looker):
        yield looker


def client(server: Server, person: Person | None, place: Path) -> Skopeo:
    """skopeo, signed in as *person*."""
    place.mkdir()
    skopeo = Skopeo(place)
    if person is not None:
        skopeo.login(server.address, Account(name=person.name, password=WORD))
    return skopeo


def record(owner: Looker, name: str) -> str:
    (found,) = [each["id"] for each in owner.list() if each["name"] == name]
    return str(found)


class Puller:
    """Somebody who pulls by skopeo, to a new place each time."""

    def __init__(self, server: Server, person: Person | None, place: Path) -> None:
        self._skopeo = client(server, person, place)
        self._server = server
        self._place = place
        self._count = 0

    def pulls(self, name: str) -> bool:
        """Whether he gets it, as Glance is asked anew."""
        time.sleep(REMEMBER + 0.5)
        self._count += 1
        try:
            self._skopeo.pull(f"{self._server.address}/{name}", self._place / str(self._count))
        except ClientFailed as failure:
            text = str(failure)
            assert any(word in text for word in ("denied", "unauthorized", "unknown")), text
            return False
        return True


def test_skopeo_pulls_what_is_shared_until_it_is_taken_back(
    server: Server,
    openstack: OpenStack,
    owner: Looker,
    alice: Person,
    bob: Person,
    east: Place,
    west: Place,
    small: Images,
    tmp_path: Path,
) -> None:
    one, two = f"{east.name}/app:1", f"{east.id}/app:all"
    pushing = client(server, alice, tmp_path / "alice")
    pushing.push(small.image, f"{server.address}/{one}")
    pushing.push(small.index, f"{server.address}/{two}")
    his = Puller(server, bob, tmp_path / "bob")
    nobodys = Puller(server, None, tmp_path / "nobody")
    assert not his.pulls(one)
    tag, whole = record(owner, "app:1"), record(owner, "app")
    assert owner.set(tag, visibility="shared").is_success
    assert owner.share(tag, west.id).is_success
    assert his.pulls(one)
    assert not his.pulls(two)
    assert owner.set(whole, visibility="shared").is_success
    assert owner.share(whole, west.id).is_success
    assert his.pulls(two)
    assert not nobodys.pulls(two)
    assert owner.unshare(whole, west.id).is_success
    assert not his.pulls(two)
    with contextlib.closing(Looker(openstack, "admin")) as admin:
        assert admin.set(tag, visibility="public").is_success
        assert nobodys.pulls(one)
        assert not nobodys.pulls(two)
        assert admin.set(tag, visibility="private").is_success
    assert not nobodys.pulls(one)
    assert not his.pulls(one)
    small.image.hold_same(tmp_path / "bob" / "2")


def test_docker_pulls_and_mounts_what_is_shared(
    server: Server,
    directory: Directory,
    owner: Looker,
    alice: Person,
    east: Place,
    west: Place,
    small: Images,
    tmp_path: Path,
) -> None:
    reference = f"{server.address}/{east.name}/app:1"
    client(server, alice, tmp_path / "alice").push(small.image, reference)
    bob = directory.member(west)
    whole = record(owner, "app")
    assert owner.set(whole, visibility="shared").is_success
    assert owner.share(whole, west.id).is_success
    with temporary_directory("docker") as place, running_docker(place) as docker:
        docker.login(server.address, Account(name=bob.name, password=WORD))
        assert docker.pull(reference) == small.image.stored()
        mine = f"{server.address}/{west.name}/mine:1"
        docker.run("tag", reference, mine)
        docker.run("push", "--quiet", mine)
        assert owner.unshare(whole, west.id).is_success
        time.sleep(REMEMBER + 0.5)
        with pytest.raises(ClientFailed):
            docker.pull(reference)
        assert docker.pull(mine) == small.image.stored()
