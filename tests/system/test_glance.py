"""Pushes to a registry in a cloud, and what people see of them in a real Glance."""

import contextlib
import json
import time
import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from registry.oci.descriptor import OCI_INDEX
from registry.oci.digest import Digest
from registry.oci.errors import ManifestUnknown
from registry.oci.names import RepositoryName, Tag
from registry.storage.ledger import SqlLedger
from registry.storage.ports.projection import ABSENCE
from support.builders import Image, image, index
from support.catalogue import Catalogue, SpoiltImageService, catalogue_over
from support.directory import WORD, Directory, Person, Place, directory_of
from support.glance import Json, Looker, images_of
from support.ledgers import Clock, find_by_key, put, tagged
from support.openstack import DOMAIN, OpenStack
from support.programs import run
from support.pushing import push_image, push_manifest
from support.server import Server, Settings, running_server
from support.swift import new_prefix

AMD = image("base", "", "app")
ARM = image("base", "arm", architecture="arm64")
SECONDS = 60.0


def glance_settings(cloud: OpenStack, *lines: str, **more: Any) -> Settings:
    extra = "\n".join(["[glance]", "enabled = true", *lines])
    return Settings(cloud=cloud, prefix=new_prefix(), extra=extra, **more)


@pytest.fixture(scope="module")
def server(openstack: OpenStack) -> Iterator[Server]:
    """A push there is answered once its records are in Glance."""
    with running_server(glance_settings(openstack, "wait = 30", workers=2)) as server:
        yield server


@pytest.fixture(scope="module")
def directory(openstack: OpenStack) -> Iterator[Directory]:
    with directory_of(openstack) as directory:
        yield directory


@pytest.fixture
def place(directory: Directory) -> Place:
    """A project of the test's own."""
    return directory.project()


@pytest.fixture
def member(directory: Directory, place: Place) -> Person:
    return directory.member(place)


@pytest.fixture
def looker(openstack: OpenStack) -> Iterator[Looker]:
    with contextlib.closing(Looker(openstack)) as looker:
        yield looker


@contextlib.asynccontextmanager
async def pushing(server: Server, member: Person) -> AsyncIterator[httpx.AsyncClient]:
    pair = (member.name, member.password)
    async with httpx.AsyncClient(base_url=server.url, auth=pair, timeout=90) as client:
        yield client


async def push_index(client: httpx.AsyncClient, name: str, tag: str, *images: Image) -> Digest:
    for each in images:
        await push_image(client, name, str(each.digest), each)
    content = index(*images)
    answer = await push_manifest(client, name, tag, content, OCI_INDEX)
    assert answer.status_code == 201, answer.text
    assert "warning" not in answer.headers
    return Digest.of(content)


def named(found: list[Json]) -> dict[str, Json]:
    return {each["name"]: each for each in found if each["name"]}


def chain(found: list[Json], top: Json) -> list[Json]:
    """The records under *top*, from the uppermost layer down."""
    known = {each["id"]: each for each in found}
    layers = []
    while parent := top.get("parent_id"):
        top = known[parent]
        layers.append(top)
    return layers


def hold_chain(layers: list[Json], pushed: Image) -> None:
    blobs = [str(Digest.of(layer)) for layer in reversed(pushed.layers)]
    assert [each["oci_digest"] for each in layers] == blobs
    assert [each["oci_diff_id"] for each in layers] == list(reversed(pushed.diff_ids))
    for each in layers:
        assert (each["oci_kind"], each["os_hidden"], each["protected"]) == ("layer", True, True)
        assert each["name"] in {"", None}


class TestRecords:
    async def test_an_image_is_there_with_its_layers(
        self, server: Server, place: Place, member: Person, looker: Looker
    ) -> None:
        async with pushing(server, member) as client:
            answer = await push_image(client, f"{place.name}/app/web", "1.4", AMD)
        assert "warning" not in answer.headers
        found = looker.list(owner=place.id)
        assert len(found) == 5
        for each in found:
            assert (each["owner"], each["status"], each["visibility"]) == (
                place.id, "active", "private",
            )  # fmt: skip
            assert (each["disk_format"], each["container_format"]) == ("docker", "docker")
            assert each["size"] == 0
        tag, whole = named(found)["app/web:1.4"], named(found)["app/web"]
        assert (tag["os_hidden"], tag["protected"]) == (False, False)
        assert (whole["os_hidden"], whole["protected"]) == (True, True)
        assert whole["oci_kind"] == "repository"
        assert {key: tag[key] for key in ("oci_kind", "oci_repository", "oci_tag")} == {
            "oci_kind": "tag", "oci_repository": "app/web", "oci_tag": "1.4",
        }  # fmt: skip
        assert tag["oci_digest"] == str(AMD.digest)
        hold_chain(chain(found, tag), AMD)

    async def test_an_index_is_there_with_its_platforms(
        self, server: Server, place: Place, member: Person, looker: Looker
    ) -> None:
        async with pushing(server, member) as client:
            digest = await push_index(client, f"{place.name}/app", "all", AMD, ARM)
        found = looker.list(owner=place.id)
        tag = named(found)["app:all"]
        assert (tag["oci_digest"], tag["oci_media_type"]) == (str(digest), OCI_INDEX)
        assert tag["oci_children"].split() == [str(AMD.digest), str(ARM.digest)]
        for pushed, platform in ((AMD, "linux/amd64"), (ARM, "linux/arm64")):
            part = named(found)[f"app@{pushed.digest}"]
            assert (part["oci_kind"], part["oci_platform"]) == ("manifest", platform)
            assert (part["os_hidden"], part["protected"]) == (True, True)
            hold_chain(chain(found, part), pushed)
        assert tag["parent_id"] == named(found)[f"app@{AMD.digest}"]["id"]
        bases = {chain(found, named(found)[f"app@{each.digest}"])[-1]["id"] for each in (AMD, ARM)}
        assert len(bases) == 1  # the same layer is one record

    async def test_a_tag_keeps_its_record_when_it_moves_and_ends_it_when_it_goes(
        self, server: Server, place: Place, member: Person, looker: Looker
    ) -> None:
        name = f"{place.name}/app"
        async with pushing(server, member) as client:
            await push_image(client, name, "1", AMD)
            before = named(looker.list(owner=place.id))["app:1"]
            await push_image(client, name, "1", ARM)
            found = looker.list(owner=place.id)
            after = named(found)["app:1"]
            assert after["id"] == before["id"]
            assert after["oci_digest"] == str(ARM.digest)
            hold_chain(chain(found, after), ARM)
            await push_image(client, name, "2", ARM)
            assert (await client.delete(f"/v2/{name}/manifests/1")).status_code == 202
            eventually(lambda: looker.show(after["id"]) is None)
            found = looker.list(owner=place.id)
            assert set(named(found)) == {"app", "app:2"}
            assert len(found) == 4  # and the two layers that app:2 has: AMD's went
            for digest, left in ((ARM.digest, {"app"}), (AMD.digest, set())):
                answer = await client.delete(f"/v2/{name}/manifests/{digest}")
                assert answer.status_code == 202
                eventually(lambda left=left: set(named(looker.list(owner=place.id))) == left)
            assert looker.list(owner=place.id) == []

    async def test_openstacks_own_client_shows_them_to_the_projects_people(
        self, openstack: OpenStack, server: Server, place: Place, member: Person
    ) -> None:
        async with pushing(server, member) as client:
            await push_image(client, f"{place.name}/app", "1", AMD)
        who = {
            "OS_AUTH_URL": openstack.identity_url, "OS_USERNAME": member.name,
            "OS_PASSWORD": WORD, "OS_PROJECT_NAME": place.name, "OS_USER_DOMAIN_ID": DOMAIN,
            "OS_PROJECT_DOMAIN_ID": DOMAIN, "OS_REGION_NAME": openstack.region,
            "OS_IDENTITY_API_VERSION": "3",
        }  # fmt: skip
        listed = run("openstack", "image", "list", "--private", "-f", "json", **who)
        assert listed.status == 0, listed
        (row,) = json.loads(listed.out)
        assert (row["Name"], row["Status"]) == ("app:1", "active")
        shown = run("openstack", "image", "show", row["ID"], "-f", "json", **who)
        assert json.loads(shown.out)["properties"]["oci_digest"] == str(AMD.digest)

    async def test_what_was_rewritten_and_lost_is_sent_again_by_hand(
        self, server: Server, place: Place, member: Person, looker: Looker
    ) -> None:
        async with pushing(server, member) as client:
            await push_image(client, f"{place.name}/app", "1", AMD)
        found = looker.list(owner=place.id)
        tag = named(found)["app:1"]
        base = chain(found, tag)[-1]
        assert looker.set(tag["id"], name="other", oci_tag="2").is_success
        assert looker.set(base["id"], protected=False).is_success
        assert looker.delete(base["id"]).is_success
        said = server.run("sync-images", "--all")
        assert "Glance has every record" in said
        again = looker.list(owner=place.id)
        assert named(again)["app:1"]["id"] == tag["id"]
        assert named(again)["app:1"]["oci_tag"] == "1"
        hold_chain(chain(again, tag), AMD)
        assert len(again) == len(found)


def eventually(is_so: Any, seconds: float = SECONDS) -> None:
    until = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < until, "it did not come to be"
        time.sleep(0.2)


def figures(server: Server) -> str:
    return httpx.get(f"{server.url}/metrics").text


async def test_glance_is_away_and_pushes_go_on_and_comes_back_and_has_everything(
    openstack: OpenStack, place: Place, member: Person, looker: Looker
) -> None:
    name = f"{place.name}/app"
    with running_server(glance_settings(openstack, "wait = 0.5")) as server:
        async with pushing(server, member) as client:
            await push_image(client, name, "old", ARM)
            eventually(lambda: "app:old" in named(looker.list(owner=place.id)))
            with openstack.stopped("glance"):
                answer = await push_image(client, name, "1", AMD)
                assert answer.headers["warning"].startswith('299 - "the image records are not in')
                assert (await client.delete(f"/v2/{name}/manifests/old")).status_code == 202
                pulled = await client.get(f"/v2/{name}/manifests/1")
                assert pulled.content == AMD.manifest
                gone = server.run("sync-images", status=1)
                assert gone == ""
            eventually(lambda: set(named(looker.list(owner=place.id))) == {"app", "app:1"})
            found = looker.list(owner=place.id)
            hold_chain(chain(found, named(found)["app:1"]), AMD)
        eventually(lambda: "berth_images_waiting 0.0" in figures(server))
        assert 'berth_images_total{outcome="sent"}' in figures(server)


class TestPeople:
    """What people do in Glance, seen by a registry whose clock is the test's."""

    @pytest.fixture
    async def catalogue(self, openstack: OpenStack, tmp_path: Path) -> AsyncIterator[Catalogue]:
        clock = Clock()
        clock.now = time.time()
        ledger = SqlLedger(f"sqlite:///{tmp_path}/ledger.db", clock=clock, projecting=True)
        await ledger.migrate()
        async with images_of(openstack) as images:
            catalogue = catalogue_over(ledger, SpoiltImageService(), clock, images)
            yield catalogue
            await catalogue.storage.flusher.close()
        await ledger.close()

    @pytest.fixture
    def user(self, openstack: OpenStack) -> Iterator[Looker]:
        """alice, a member of east."""
        with contextlib.closing(Looker(openstack, "alice")) as user:
            yield user

    @pytest.fixture
    def bob(self, openstack: OpenStack) -> Iterator[Looker]:
        """A member of west."""
        with contextlib.closing(Looker(openstack, "bob")) as bob:
            yield bob

    @pytest.fixture
    async def app(self, openstack: OpenStack, catalogue: Catalogue) -> RepositoryName:
        """A repository of east with the tags 1 and 2, sent."""
        app = RepositoryName(openstack.projects["east"], f"app-{uuid.uuid4().hex[:8]}")
        for tag in ("1", "2"):
            await catalogue.push(tag, "base", name=app)
        await catalogue.settle()
        return app

    async def test_a_tags_image_that_was_deleted_is_untagged_after_two_looks(
        self, catalogue: Catalogue, app: RepositoryName, user: Looker
    ) -> None:
        tag = await find_by_key(catalogue.ledger, app.project, f"tag:{app.path}:1")
        assert user.delete(tag.id).is_success
        whole = await find_by_key(catalogue.ledger, app.project, f"repository:{app.path}")
        assert user.delete(whole.id).status_code == httpx.codes.FORBIDDEN
        assert (await catalogue.sweep(1)).missing == 1
        assert (await catalogue.sweep(ABSENCE - 1)).untagged == 0
        assert (await catalogue.ledger.find_manifest(app, Tag.parse("1"))).content
        assert (await catalogue.sweep(1)).untagged == 1
        with pytest.raises(ManifestUnknown):
            await catalogue.ledger.find_manifest(app, Tag.parse("1"))
        assert (await catalogue.ledger.find_manifest(app, Tag.parse("2"))).content
        await catalogue.settle()
        assert (await catalogue.sweep(ABSENCE)).missing == 0

    async def test_a_tag_pushed_after_its_image_was_deleted_has_another(
        self, catalogue: Catalogue, app: RepositoryName, user: Looker
    ) -> None:
        key = f"tag:{app.path}:1"
        old = await find_by_key(catalogue.ledger, app.project, key)
        assert user.delete(old.id).is_success
        await catalogue.sweep(1)
        await catalogue.push("1", "base", "more", name=app, word="b")
        await catalogue.settle()
        assert (await catalogue.sweep(ABSENCE)).untagged == 0
        fresh = await find_by_key(catalogue.ledger, app.project, key)
        assert fresh.id != old.id
        shown = user.show(fresh.id)
        assert shown is not None
        assert shown["parent_id"] == fresh.parent_id

    async def test_who_sees_an_image_is_said_in_glance(
        self, openstack: OpenStack, catalogue: Catalogue, app: RepositoryName, user: Looker
    ) -> None:
        west = openstack.projects["west"]
        for key in (f"tag:{app.path}:1", f"repository:{app.path}"):
            record = (await find_by_key(catalogue.ledger, app.project, key)).id
            assert user.set(record, visibility="shared").is_success
            assert user.share(record, west).is_success
            assert (await catalogue.sweep(1)).shared == 1
            (member,) = await catalogue.ledger.list_members(record)
            assert (member.project, member.status) == (west, "pending")
            assert user.set(record, visibility="private").is_success
            await catalogue.ledger.outbox.mark([record])
            await catalogue.settle()  # a sender does not say otherwise
            shown = user.show(record)
            assert shown is not None
            assert shown["visibility"] == "private"
            assert (await catalogue.ledger.find_record(record)).visibility == "private"

    async def test_a_look_alike_of_another_tenant_gains_nothing(
        self,
        openstack: OpenStack,
        catalogue: Catalogue,
        app: RepositoryName,
        looker: Looker,
        bob: Looker,
    ) -> None:
        mine = await find_by_key(catalogue.ledger, app.project, f"tag:{app.path}:1")
        before = looker.show(mine.id)
        assert before is not None
        copied = {"note" if key.startswith("oci_") else key: before[key] for key in before}
        copy = {key: copied[key] for key in ("name", "parent_id", "note", "visibility")}
        made = bob.make(**copy)
        assert made.is_success, made.text
        assert bob.set(made.json()["id"], visibility="community").is_success
        assert bob.show(mine.id) is None
        assert bob.delete(mine.id).status_code == httpx.codes.NOT_FOUND
        await catalogue.ledger.outbox.mark_all()
        await catalogue.settle()
        report = await catalogue.sweep(1)
        assert (report.shared, report.restored, report.missing) == (0, 0, 0)
        after = looker.show(mine.id)
        assert after is not None
        assert {**after, "updated_at": ""} == {**before, "updated_at": ""}
        assert await catalogue.ledger.list_repositories(projects=[openstack.projects["west"]]) == []

    async def test_an_id_that_another_tenant_took_first_is_not_used(
        self, openstack: OpenStack, catalogue: Catalogue, user: Looker, bob: Looker
    ) -> None:
        app = RepositoryName(openstack.projects["east"], f"app-{uuid.uuid4().hex[:8]}")
        drafts = tagged(app, "1", "base")
        await catalogue.ledger.put_manifest(put(app, "boots", "1", drafts=drafts))
        old = await find_by_key(catalogue.ledger, app.project, f"tag:{app.path}:1")
        assert bob.make(id=old.id, name="mine").is_success
        await catalogue.settle()
        fresh = await find_by_key(catalogue.ledger, app.project, f"tag:{app.path}:1")
        shown = user.show(fresh.id)
        assert shown is not None
        assert (fresh.id != old.id, shown["status"]) == (True, "active")
        theirs = bob.show(old.id)
        assert theirs is not None
        assert (theirs["name"], theirs["owner"]) == ("mine", openstack.projects["west"])
        assert bob.delete(old.id).is_success
