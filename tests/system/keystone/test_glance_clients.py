"""skopeo, docker and podman across two projects of a real cloud, where records are Glance's."""

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.clients import ClientFailed, Docker, Podman, Skopeo, running_docker
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


@pytest.fixture(params=["docker", "podman"])
def engine(request: pytest.FixtureRequest) -> Iterator[Docker | Podman]:
    with temporary_directory(request.param) as place:
        if request.param == "podman":
            yield Podman(place)
            return
        with running_docker(place) as docker:
            yield docker


def test_an_engine_pulls_and_mounts_what_is_shared_until_it_is_taken_back(
    server: Server,
    openstack: OpenStack,
    engine: Docker | Podman,
    directory: Directory,
    owner: Looker,
    alice: Person,
    east: Place,
    west: Place,
    small: Images,
    tmp_path: Path,
) -> None:
    here = f"{server.address}/{east.name}/app"
    pushing = client(server, alice, tmp_path / "alice")
    for tag in ("1", "2"):
        pushing.push(small.image, f"{here}:{tag}")
    bob = directory.member(west)
    engine.login(server.address, Account(name=bob.name, password=WORD))

    def pulled() -> set[str]:
        """The tags that come whole, as Glance is asked anew."""
        time.sleep(REMEMBER + 0.5)
        found = set()
        for tag in ("1", "2"):
            with contextlib.suppress(ClientFailed):
                assert engine.pull(f"{here}:{tag}") == small.image.stored()
                found.add(tag)
        return found

    assert pulled() == set()
    one, whole = record(owner, "app:1"), record(owner, "app")
    for shared, tags in ((one, {"1"}), (whole, {"1", "2"})):
        assert owner.set(shared, visibility="shared").is_success
        assert owner.share(shared, west.id).is_success
        assert pulled() == tags
    mine = f"{server.address}/{west.name}/mine:1"
    engine.run("tag", f"{here}:2", mine)
    plain = ["--tls-verify=false"] if isinstance(engine, Podman) else []
    engine.run("push", "--quiet", *plain, mine)
    for shared in (one, whole):
        assert owner.unshare(shared, west.id).is_success
    assert pulled() == set()
    assert engine.pull(mine) == small.image.stored()
    engine.run("logout", server.address)
    assert pulled() == set()
    with contextlib.closing(Looker(openstack, "admin")) as admin:
        assert admin.set(one, visibility="public").is_success
        assert pulled() == {"1"}
        assert admin.set(one, visibility="private").is_success
    assert pulled() == set()
