"""climg at a real Glance: containers' images and VM images in one list, shown, shared, deleted."""

import itertools
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass

import httpx
import pytest

from registry.viewing.cloud import FRESH
from support.asking import APP
from support.builders import Image
from support.climgcalls import Row, read_table, told
from support.directory import WORD, Directory, Person, Place
from support.keystone import as_person
from support.openstack import DOMAIN, OpenStack
from support.programs import Ended, run
from support.street import OTHER, Street, street_of

QCOW2 = b"QFI\xfb" + bytes([0, 0, 0, 2]) + bytes(512 * 1024 - 8)
"""A disk of no bytes yet, with a header such as qemu-img writes."""
CIRROS = "cirros-0.3.2-x86_64-disk.img"


@dataclass(frozen=True)
class User:
    """Somebody who runs climg with OS_ variables, as an operator's RC file sets them."""

    openstack: OpenStack
    person: Person
    project: Place

    def run(self, *arguments: str) -> Ended:
        return run(
            "climg",
            *arguments,
            OS_AUTH_URL=self.openstack.identity_url,
            OS_USERNAME=self.person.name,
            OS_PASSWORD=WORD,
            OS_PROJECT_NAME=self.project.name,
            OS_USER_DOMAIN_ID=DOMAIN,
            OS_PROJECT_DOMAIN_ID=DOMAIN,
            OS_REGION_NAME=self.openstack.region,
            OS_IDENTITY_API_VERSION="3",
        )

    def said(self, *arguments: str) -> list[str]:
        ended = self.run(*arguments)
        assert (ended.status, ended.err) == (0, ""), ended
        return ended.lines

    def rows(self, *arguments: str) -> list[Row]:
        return read_table(self.said("image-list", *arguments))

    def refused(self, status: int, *arguments: str) -> str:
        return told(self.run(*arguments), status)


@pytest.fixture(scope="module")
async def street(
    openstack: OpenStack, directory: Directory, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Street]:
    """alice's images in east, with a VM image beside them."""
    async with street_of(openstack, directory, tmp_path_factory.mktemp("climg")) as street:
        make_disk(street)
        yield street


def make_disk(street: Street) -> None:
    """Upload a VM image as alice."""
    token = street.directory.token(street.alice, street.east)
    headers = {"X-Auth-Token": token}
    url = f"{street.openstack.image_url}/v2/images"
    document = {"name": CIRROS, "disk_format": "qcow2", "container_format": "bare"}
    made = httpx.post(url, json=document, headers=headers).raise_for_status().json()
    kind = {"Content-Type": "application/octet-stream"}
    sent = httpx.put(f"{url}/{made['id']}/file", content=QCOW2, headers=headers | kind, timeout=60)
    assert sent.status_code == 204, sent.text


@pytest.fixture
def alice(street: Street) -> User:
    return User(street.openstack, street.alice, street.east)


@pytest.fixture
def bob(street: Street) -> User:
    return User(street.openstack, street.bob, street.west)


async def test_containers_and_disks_stand_in_one_list(alice: User, street: Street) -> None:
    mine = ("--project", alice.project.name)  # the cloud is shared, and others publish theirs
    disk, both, other, one = alice.rows(*mine)
    shown = [(row["Name"], row["Disk_format"], row["Size"]) for row in (disk, both, other, one)]
    index = street.owner.show(both["ID"])
    assert index is not None
    assert shown == [
        (CIRROS, "qcow2", str(len(QCOW2))),
        ("app:both", "docker", index["oci_size"]),
        ("app:2", "docker", str(size_of(OTHER))),
        ("app:1", "docker", str(size_of(APP))),
    ]
    for row in (disk, both, other, one):
        constant = ("Is_public", "Min_disk", "Min_ram", "Status", "Preference")
        assert [row[name] for name in constant] == ["False", "0", "0", "active", "0"]
    assert disk["Parent_id"] == ""
    every = [row["ID"] for row in alice.rows()]
    assert [each for each in every if each in {row["ID"] for row in (disk, both, other, one)}] == [
        row["ID"] for row in (disk, both, other, one)
    ]


async def test_the_history_of_an_image_is_its_chain_of_parents(alice: User) -> None:
    rows = alice.rows("--history", "--name", "app:2")
    assert [(row["Name"], row["Size"]) for row in rows] == [
        ("app:2", str(size_of(OTHER))),
        ("", "10240"),  # it changes nothing
        ("", str(len(OTHER.layers[0]))),
    ]
    for row, below in itertools.pairwise(rows):
        assert row["Parent_id"] == below["ID"]
    assert rows[-1]["Parent_id"] == ""
    every = alice.rows("--history")
    assert len(every) == len({row["ID"] for row in every})
    assert {row["ID"] for row in rows} <= {row["ID"] for row in every}
    assert [row["Name"] for row in every if row["Disk_format"] == "qcow2"] == [CIRROS]


async def test_an_image_is_shown_by_its_name_alone_and_by_its_projects(alice: User) -> None:
    by_id, by_name, alone = (
        json.loads("\n".join(alice.said("image-show", "--json", name)))
        for name in (
            f"{alice.project.id}/app:1",
            f"{alice.project.name}/app:1",
            "app:1",
        )
    )
    assert by_id == by_name == alone
    assert alone["properties"]["oci_digest"] == str(APP.digest)
    assert alone["size"] == size_of(APP)
    assert alone["project"] == alice.project.id
    absent = alice.refused(1, "image-show", "nowhere/app:1")
    assert absent.startswith("there is no image nowhere/app:1")


async def test_a_tree_shows_an_index_with_its_platforms(alice: User) -> None:
    lines = alice.said("image-tree", "app:both")
    assert "index of 2" in lines[0]
    assert [line.split()[1] for line in lines if "sha256:" in line] == [
        "linux/amd64",
        "linux/arm64",
    ]
    assert sum("add base" in line for line in lines) == 2


async def test_shared_by_its_name_alone_it_is_pulled_until_it_is_no_more(
    alice: User, bob: User, street: Street
) -> None:
    name = f"{alice.project.id}/app:2"
    assert alice.said("image-share", "app:2", bob.project.id) == [
        f"shared {name} with {bob.project.id}"
    ]
    street.registry.clock.ahead += FRESH
    assert await street.pulls(as_person(street.bob), "manifests/2") == 200
    assert await street.pulls(as_person(street.bob), "manifests/1") == 404
    shown = alice.said("image-show", "app:2")
    assert f"shared_with {bob.project.id} (pending)" in [" ".join(line.split()) for line in shown]
    assert not bob.rows()  # it is in his lists once he accepted it
    assert alice.said("image-share", "--remove", "app:2", bob.project.id)
    street.registry.clock.ahead += FRESH
    assert await street.pulls(as_person(street.bob), "manifests/2") == 403


async def test_a_whole_repository_is_shared(alice: User, bob: User, street: Street) -> None:
    assert alice.said("image-share", "app", bob.project.id)
    street.registry.clock.ahead += FRESH
    assert await street.pulls(as_person(street.bob), "tags/list") == 200
    assert alice.said("image-publish", "--private", "app")
    street.registry.clock.ahead += FRESH
    assert await street.pulls(as_person(street.bob), "tags/list") == 403


async def test_a_project_by_its_name_is_looked_up_or_asked_for_by_its_id(
    alice: User, bob: User, street: Street
) -> None:
    """Glance takes any text for a project's id: what is no project must not be shared with."""
    words = alice.refused(1, "image-share", "app:1", bob.project.name)
    assert f"there is no project {bob.project.name}, or you may not look it up" in words
    one = await street.record("1")
    shown = street.owner.show(one)
    assert shown is not None
    assert shown["visibility"] == "private"
    street.directory.grant(street.alice, "reader", street.west)
    said = alice.said("image-share", "app:1", bob.project.name)
    assert said == [f"shared {alice.project.id}/app:1 with {bob.project.name}"]
    assert street.owner.unshare(one, bob.project.id).status_code == 204


async def test_published_as_far_as_glance_lets_one(alice: User, street: Street) -> None:
    words = alice.refused(1, "image-publish", "app:1")
    assert "You are not authorized to complete publicize_image action" in words
    assert words.endswith("ask who may give you the right")
    assert alice.said("image-publish", "--community", "app:1") == [
        f"{alice.project.id}/app:1 is community"
    ]
    street.registry.clock.ahead += FRESH
    assert await street.pulls(as_person(street.bob), "manifests/1") == 200
    assert alice.said("image-publish", "--private", "app:1")
    both = alice.refused(2, "image-publish", "--private", "--community", "app:1")
    assert "leave one of them out" in both


async def test_deleting_a_tags_record_untags_it_and_layers_are_protected(
    alice: User, bob: User, street: Street
) -> None:
    layer = alice.rows("--history", "--name", "app:1")[1]["ID"]
    assert "protected" in alice.refused(1, "image-delete", "--yes", layer)
    tag = await street.record("both")
    assert bob.refused(1, "image-delete", "--yes", tag).startswith("not found")
    (said,) = alice.said("image-delete", "--yes", "app:both")
    assert said.startswith(f"deleted {alice.project.id}/app:both; the registry removes the tag")
    assert "app:both" not in [row["Name"] for row in alice.rows()]


def size_of(image: Image) -> int:
    """Bytes of a manifest and all that it names, as people are told them."""
    return len(image.manifest) + sum(map(len, image.blobs))
