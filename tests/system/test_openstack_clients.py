"""OpenStack's own clients at our Image API: openstack, glance, and openstacksdk under them."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import openstack
import pytest
from openstack.image.v2._proxy import Proxy

from support.clients import Skopeo
from support.images import Images
from support.programs import Ended, run
from support.roundtrip import reading
from support.server import ALICE, CAROL, Server, Settings, running_server

Json = dict[str, Any]


@pytest.fixture(scope="module")
def images(small: Images, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """library/app:1, an image; library/app:all, an index with it."""
    with running_server(Settings()) as server:
        skopeo = Skopeo(tmp_path_factory.mktemp("skopeo"))
        skopeo.push(small.image, f"{server.address}/library/app:1")
        skopeo.push(small.index, f"{server.address}/library/app:all")
        yield server


@pytest.fixture
def fresh(images: Server, small: Images, tmp_path: Path) -> Iterator[Json]:
    """The record of tools/fresh:1, which a test may change."""
    Skopeo(tmp_path).push(small.image, f"{images.address}/tools/fresh:1")
    (record,) = records(images, name="eq:fresh:1")
    yield record
    httpx.delete(f"{images.url}/image/v2/images/{record['id']}")


def records(server: Server, **query: str) -> list[Json]:
    """What the Image API says itself, in one page."""
    answer = httpx.get(f"{server.url}/image/v2/images", params={"limit": "1000", **query})
    found: list[Json] = answer.raise_for_status().json()["images"]
    return found


def show(server: Server, record: Json) -> Json:
    answer = httpx.get(f"{server.url}/image/v2/images/{record['id']}")
    shown: Json = answer.raise_for_status().json()
    return shown


def ids(found: list[Json]) -> set[str]:
    return {each["id"] for each in found}


def hold_refused(ended: Ended, words: str) -> None:
    assert ended.status == 1, ended
    assert words in ended.err
    assert "Traceback" not in ended.err


class TestOpenstack:
    """`openstack image`, as OS_AUTH_TYPE=none and OS_ENDPOINT send it."""

    def openstack(self, server: Server, *arguments: str) -> Ended:
        endpoint = f"{server.url}/image"
        return run("openstack", "image", *arguments, OS_AUTH_TYPE="none", OS_ENDPOINT=endpoint)

    def said(self, server: Server, *arguments: str) -> Any:
        """What it answers in JSON where it goes well."""
        ended = self.openstack(server, *arguments, "-f", "json")
        assert ended.status == 0, ended
        return json.loads(ended.out)

    def test_it_lists_what_there_is_page_by_page(self, images: Server) -> None:
        whole = records(images)
        listed = self.said(images, "list", "--long", "--page-size", "2")
        shown = {each["ID"]: each for each in listed}
        assert len(listed) == len(shown) == len(whole)
        for record in whole:
            row = shown[record["id"]]
            assert (row["Name"], row["Size"]) == (record["name"], record["size"])
            assert (row["Project"], row["Visibility"]) == ("library", "private")
            assert (row["Disk Format"], row["Status"]) == ("docker", "active")
            assert row["Protected"] == record["protected"]

    def test_it_filters_and_sorts(self, images: Server) -> None:
        tags = self.said(images, "list", "--property", "oci_kind=tag", "--sort", "name:desc")
        assert [each["Name"] for each in tags] == ["app:all", "app:1"]
        named = self.said(images, "list", "--name", "app:all", "--private")
        assert [each["ID"] for each in named] == [tags[0]["ID"]]
        hidden = self.said(images, "list", "--hidden", "--name", "app")
        assert [each["ID"] for each in hidden] == [
            each["id"] for each in records(images, os_hidden="true", oci_kind="repository")
        ]

    def test_it_shows_by_name_and_by_id(self, images: Server, small: Images) -> None:
        shown = self.said(images, "show", "app:all")
        assert shown == self.said(images, "show", shown["id"])
        assert shown["properties"]["oci_digest"] == small.index.digest
        children = small.index.read(small.index.digest)["manifests"]
        assert shown["properties"]["oci_children"].split() == [each["digest"] for each in children]
        assert shown["properties"]["parent_id"] in ids(records(images, os_hidden="true"))

    def test_it_says_who_sees_an_image_and_nothing_else(self, images: Server, fresh: Json) -> None:
        for word in ("public", "private"):
            assert self.openstack(images, "set", f"--{word}", fresh["id"]).status == 0
            assert show(images, fresh)["visibility"] == word
        before = show(images, fresh)
        renamed = self.openstack(images, "set", "--name", "x", fresh["id"])
        hold_refused(renamed, "only /visibility can be changed")
        created = self.openstack(images, "create", "x")
        hold_refused(created, "they are made by pushing")
        assert show(images, fresh) == before

    def test_it_removes_a_tag_and_no_layer(self, images: Server, fresh: Json) -> None:
        hold_refused(self.openstack(images, "delete", fresh["parent_id"]), "protected")
        assert self.openstack(images, "delete", fresh["id"]).status == 0
        with reading(images) as reader:
            assert reader.manifest("tools/fresh", "1").status_code == 404
        assert records(images, owner="tools") == []

    def test_it_signs_in(self, guarded: Server, small: Images, tmp_path: Path) -> None:
        skopeo = Skopeo(tmp_path)
        skopeo.login(guarded.address, ALICE)
        skopeo.push(small.image, f"{guarded.address}/conformance/signed:1")
        for account, password, status in (
            (ALICE, ALICE.password, 0),
            (CAROL, CAROL.password, 0),
            (ALICE, "not-this-one", 1),
        ):
            listed = run(
                *("openstack", "image", "list", "--name", "signed:1", "-f", "value"),
                OS_AUTH_TYPE="http_basic",
                OS_ENDPOINT=f"{guarded.url}/image/v2",  # it finds no versions by itself then
                OS_USERNAME=account.name,
                OS_PASSWORD=password,
            )
            assert (listed.status, "signed:1 active" in listed.out) == (status, status == 0), listed


class TestGlance:
    """python-glanceclient's command, sent to an address with any token."""

    def glance(self, server: Server, *arguments: str) -> Ended:
        address = ("--os-image-url", f"{server.url}/image", "--os-auth-token", "none")
        return run("glance", *address, *arguments)

    def rows(self, server: Server, *arguments: str) -> list[list[str]]:
        """The cells of the table that it prints where it goes well."""
        ended = self.glance(server, *arguments)
        assert ended.status == 0, ended
        rows = [line for line in ended.lines if line.startswith("| ")]
        return [[cell.strip() for cell in row.split("|")[1:-1]] for row in rows[1:]]

    def test_it_lists_page_by_page_and_filters(self, images: Server) -> None:
        listed = self.rows(images, "image-list", "--page-size", "2")
        assert {row[0] for row in listed} == ids(records(images))
        kinds = ("--property-filter", "oci_kind=tag", "--sort", "name:asc")
        tags = self.rows(images, "image-list", *kinds)
        assert [row[1] for row in tags] == ["app:1", "app:all"]
        hidden = self.rows(images, "image-list", "--hidden", "true")
        assert {row[0] for row in hidden} == ids(records(images, os_hidden="true"))

    def test_it_shows_and_changes_who_sees_an_image(self, images: Server, fresh: Json) -> None:
        shown = dict(self.rows(images, "image-show", fresh["id"]))
        assert (shown["name"], shown["oci_digest"]) == (fresh["name"], fresh["oci_digest"])
        updated = self.rows(images, "image-update", "--visibility", "shared", fresh["id"])
        assert ["visibility", "shared"] in updated
        for command, status in (("member-create", "pending"), ("member-list", "pending")):
            image = ["--image-id", fresh["id"]] if command == "member-list" else [fresh["id"]]
            project = [] if command == "member-list" else ["library"]
            assert self.rows(images, command, *image, *project) == [
                [fresh["id"], "library", status]
            ]
        accepted = self.rows(images, "member-update", fresh["id"], "library", "accepted")
        assert accepted == [[fresh["id"], "library", "accepted"]]
        assert self.glance(images, "member-delete", fresh["id"], "library").status == 0
        renamed = self.glance(images, "image-update", "--name", "x", fresh["id"])
        hold_refused(renamed, "only /visibility can be changed")

    def test_it_removes_a_tag_and_no_layer(self, images: Server, fresh: Json) -> None:
        hold_refused(self.glance(images, "image-delete", fresh["parent_id"]), "not permitted")
        assert self.glance(images, "image-delete", fresh["id"]).status == 0
        assert records(images, owner="tools") == []
        hold_refused(self.glance(images, "image-delete", fresh["id"]), "No image with an ID")


# It warns of what it does itself.
@pytest.mark.filterwarnings("ignore::PendingDeprecationWarning")
class TestSdk:
    """openstacksdk: the command needs Keystone to find projects, the library does not."""

    @pytest.fixture
    def api(self, images: Server) -> Iterator[Proxy]:
        endpoint = f"{images.url}/image"
        with openstack.connect(
            load_yaml_config=False,
            load_envvars=False,
            auth_type="none",
            auth={"endpoint": endpoint},
        ) as connection:
            assert isinstance(connection.image, Proxy)
            yield connection.image

    def test_it_shares_an_image(self, api: Proxy, images: Server, fresh: Json) -> None:
        assert api.get_image(fresh["id"]).name == "fresh:1"
        api.update_image(fresh["id"], visibility="shared")
        assert api.add_member(fresh["id"], member_id="library").status == "pending"
        assert api.update_member("library", fresh["id"], status="accepted").status == "accepted"
        assert [each.member_id for each in api.members(fresh["id"])] == ["library"]
        api.remove_member("library", image=fresh["id"])
        assert list(api.members(fresh["id"])) == []
        assert show(images, fresh)["visibility"] == "shared"

    def test_it_reads_every_page(self, api: Proxy, images: Server) -> None:
        found = [image.id for image in api.images(limit=3, sort="name:asc,id:asc")]
        assert found == [each["id"] for each in records(images, sort="name:asc,id:asc")]
