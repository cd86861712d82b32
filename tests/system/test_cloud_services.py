"""What the services of scripts/cloud answer: the rights and abilities that Berth rests on."""

import hashlib
import hmac
import time
import uuid
from collections.abc import Iterator
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from support.openstack import OpenStack, signed_in


@pytest.fixture(scope="module")
def http() -> Iterator[httpx.Client]:
    with httpx.Client(timeout=60) as client:
        yield client


def as_user(openstack: OpenStack, user: str) -> dict[str, str]:
    return {"X-Auth-Token": openstack.token(user)}


class TestKeystone:
    @pytest.mark.parametrize(
        ("user", "project", "role"),
        [
            ("alice", "east", "member"),
            ("carol", "east", "reader"),
            ("dora", "east", "manager"),
            ("bob", "west", "member"),
            ("registry", "service", "berth_registry"),
            ("admin", "admin", "admin"),
        ],
    )
    def test_each_user_gets_a_token_with_his_role(
        self, openstack: OpenStack, user: str, project: str, role: str
    ) -> None:
        response = openstack.sign_in(user)
        signed_in(response)
        token = response.json()["token"]
        assert token["project"]["id"] == openstack.projects[project]
        roles = {one["name"] for one in token["roles"]}
        assert role in roles
        assert roles >= openstack.users[user].roles
        if role == "reader":
            assert roles == {"reader"}

    def test_an_application_credential_is_bound_to_its_project(self, openstack: OpenStack) -> None:
        response = openstack.sign_in_by_credential()
        signed_in(response)
        token = response.json()["token"]
        assert token["user"]["name"] == "alice"
        assert token["project"]["id"] == openstack.projects["east"]

    def test_the_catalogue_has_the_container_registry(self, openstack: OpenStack) -> None:
        catalogue = openstack.sign_in("alice").json()["token"]["catalog"]
        found = {service["type"]: service for service in catalogue}
        assert set(found) == {"identity", "image", "object-store", "container-registry"}
        assert {
            (endpoint["interface"], endpoint["url"], endpoint["region"])
            for endpoint in found["container-registry"]["endpoints"]
        } == {(name, openstack.registry_url, openstack.region) for name in ("public", "internal")}

    def test_the_service_user_is_nobody_to_keystone_and_to_other_accounts(
        self, openstack: OpenStack, http: httpx.Client
    ) -> None:
        headers = as_user(openstack, "registry")
        for url in (f"{openstack.identity_url}/users", openstack.account_url("east")):
            assert http.get(url, headers=headers).status_code == HTTPStatus.FORBIDDEN

    def test_the_service_user_may_validate_a_token(
        self, openstack: OpenStack, http: httpx.Client
    ) -> None:
        headers = as_user(openstack, "registry") | {"X-Subject-Token": openstack.token("bob")}
        answer = http.get(f"{openstack.identity_url}/auth/tokens", headers=headers)
        assert answer.json()["token"]["user"]["name"] == "bob"


class TestGlance:
    def record(self, openstack: OpenStack, **more: str) -> dict[str, Any]:
        """Answer what the service user would send for a record of the project east."""
        return {
            "id": str(uuid.uuid4()),
            "name": "app/web:1",
            "owner": openstack.projects["east"],
            "visibility": "private",
            "disk_format": "docker",
            "container_format": "docker",
            "oci_kind": "tag",
        } | more

    def create(
        self, openstack: OpenStack, http: httpx.Client, user: str, record: dict[str, Any]
    ) -> httpx.Response:
        url = f"{openstack.image_url}/v2/images"
        return http.post(url, json=record, headers=as_user(openstack, user))

    def test_the_service_user_makes_an_active_record_for_another_project(
        self, openstack: OpenStack, http: httpx.Client
    ) -> None:
        record = self.record(openstack)
        made = self.create(openstack, http, "registry", record)
        assert made.status_code == HTTPStatus.CREATED, made.text
        url = f"{openstack.image_url}/v2/images/{record['id']}"
        headers = as_user(openstack, "registry") | {"Content-Type": "application/octet-stream"}
        answer = http.put(f"{url}/file", headers=headers, content=b"")
        assert answer.status_code == HTTPStatus.NO_CONTENT, answer.text
        seen = http.get(url, headers=as_user(openstack, "carol")).json()
        assert seen["status"] == "active"
        assert {name: seen[name] for name in record} == record
        hidden = http.get(url, headers=as_user(openstack, "bob"))
        assert hidden.status_code == HTTPStatus.NOT_FOUND

    def test_a_member_cannot_make_a_record_for_another_project(
        self, openstack: OpenStack, http: httpx.Client
    ) -> None:
        record = self.record(openstack)
        del record["oci_kind"]
        assert self.create(openstack, http, "bob", record).status_code == HTTPStatus.FORBIDDEN
        record["owner"] = openstack.projects["west"]
        assert self.create(openstack, http, "bob", record).status_code == HTTPStatus.CREATED

    def test_only_the_service_user_writes_properties_of_ours(
        self, openstack: OpenStack, http: httpx.Client
    ) -> None:
        record = self.record(openstack)
        own = self.create(openstack, http, "alice", record)
        assert own.status_code == HTTPStatus.FORBIDDEN
        assert self.create(openstack, http, "registry", record).is_success
        for operation, path in (("add", "oci_digest"), ("replace", "oci_kind"), ("add", "note")):
            answer = http.patch(
                f"{openstack.image_url}/v2/images/{record['id']}",
                json=[{"op": operation, "path": f"/{path}", "value": "false"}],
                headers=as_user(openstack, "alice")
                | {"Content-Type": "application/openstack-images-v2.1-json-patch"},
            )
            assert answer.is_success == (path == "note"), answer.text

    def test_an_operator_may_not_have_prepared_glance(
        self, openstack: OpenStack, http: httpx.Client
    ) -> None:
        with openstack.without("docker", "protection", "policy"):
            record = self.record(openstack)
            refused = self.create(openstack, http, "registry", record)
            assert refused.status_code == HTTPStatus.BAD_REQUEST
            record["disk_format"] = "raw"
            refused = self.create(openstack, http, "registry", record)
            assert refused.status_code == HTTPStatus.FORBIDDEN
            assert self.create(openstack, http, "alice", record).is_success
        assert self.create(openstack, http, "registry", self.record(openstack)).is_success

    def test_bytes_can_go_to_swift(self, openstack: OpenStack, http: httpx.Client) -> None:
        record = self.record(openstack, disk_format="raw", container_format="bare")
        assert self.create(openstack, http, "registry", record).is_success
        url = f"{openstack.image_url}/v2/images/{record['id']}"
        headers = as_user(openstack, "registry") | {
            "Content-Type": "application/octet-stream",
            "X-Image-Meta-Store": "swift",
        }
        answer = http.put(f"{url}/file", headers=headers, content=b"bytes")
        assert answer.status_code == HTTPStatus.NO_CONTENT, answer.text
        content = http.get(f"{url}/file", headers=as_user(openstack, "alice"))
        assert content.content == b"bytes"
        objects = f"{openstack.account_url('service')}/glance"
        listed = http.get(objects, headers=as_user(openstack, "registry"))
        assert record["id"] in listed.text


class TestSwift:
    @pytest.fixture
    def container(self, openstack: OpenStack, http: httpx.Client) -> str:
        """The address of a new container of the service user's."""
        url = f"{openstack.account_url('service')}/{uuid.uuid4().hex}"
        made = http.put(url, headers=as_user(openstack, "registry"))
        assert made.status_code == HTTPStatus.CREATED
        return url

    def put(self, openstack: OpenStack, http: httpx.Client, url: str, content: bytes) -> None:
        answer = http.put(url, headers=as_user(openstack, "registry"), content=content)
        assert answer.status_code == HTTPStatus.CREATED, answer.text
        assert answer.headers["ETag"] == hashlib.md5(content).hexdigest()  # noqa: S324 - Swift's

    def test_an_object_is_its_owners(
        self, openstack: OpenStack, http: httpx.Client, container: str
    ) -> None:
        self.put(openstack, http, f"{container}/sha256/one", b"content")
        answer = http.get(f"{container}/sha256/one", headers=as_user(openstack, "registry"))
        assert answer.content == b"content"
        for user in ("alice", "bob"):
            refused = http.get(f"{container}/sha256/one", headers=as_user(openstack, user))
            assert refused.status_code == HTTPStatus.FORBIDDEN
        assert http.get(f"{container}/sha256/one").status_code == HTTPStatus.UNAUTHORIZED

    def test_a_reader_reads_what_is_in_his_project(
        self, openstack: OpenStack, http: httpx.Client
    ) -> None:
        url = f"{openstack.account_url('east')}/{uuid.uuid4().hex}"
        assert http.put(url, headers=as_user(openstack, "alice")).is_success
        assert http.get(url, headers=as_user(openstack, "carol")).is_success
        refused = http.put(f"{url}/1", headers=as_user(openstack, "carol"), content=b"1")
        assert refused.status_code == HTTPStatus.FORBIDDEN

    def test_a_large_object_is_made_of_segments_and_deleted_with_them(
        self, openstack: OpenStack, http: httpx.Client, container: str
    ) -> None:
        pieces = [bytes([number]) * (1 << 20) for number in range(3)]
        for number, piece in enumerate(pieces):
            self.put(openstack, http, f"{container}/segments/{number}", piece)
        name = container.rpartition("/")[2]
        manifest = [
            {
                "path": f"/{name}/segments/{number}",
                "etag": hashlib.md5(piece).hexdigest(),  # noqa: S324 - Swift's
                "size_bytes": len(piece),
            }
            for number, piece in enumerate(pieces)
        ]
        headers = as_user(openstack, "registry")
        url = f"{container}/whole"
        made = http.put(f"{url}?multipart-manifest=put", json=manifest, headers=headers)
        assert made.status_code == HTTPStatus.CREATED, made.text
        assert http.get(url, headers=headers).content == b"".join(pieces)
        edge = http.get(url, headers=headers | {"Range": "bytes=1048574-1048577"})
        assert edge.content == b"\0\0\1\1"
        gone = http.delete(
            f"{url}?multipart-manifest=delete", headers=headers | {"Accept": "application/json"}
        )
        assert gone.json()["Number Deleted"] == len(pieces) + 1, gone.text
        assert http.get(container, headers=headers).text == ""

    def test_a_temporary_url_needs_no_token_and_must_be_signed(
        self, openstack: OpenStack, http: httpx.Client, container: str
    ) -> None:
        url = f"{container}/one"
        self.put(openstack, http, url, b"content")
        expires = int(time.time()) + 60
        text = f"GET\n{expires}\n{urlsplit(url).path}"
        key = openstack.temp_url_key.encode()
        signature = hmac.new(key, text.encode(), hashlib.sha256).hexdigest()
        query = {"temp_url_sig": signature, "temp_url_expires": str(expires)}
        assert http.get(url, params=query).content == b"content"
        query["temp_url_sig"] = signature[::-1]
        assert http.get(url, params=query).status_code == HTTPStatus.UNAUTHORIZED

    def test_only_the_clouds_administrator_sets_an_accounts_quota(
        self, openstack: OpenStack, http: httpx.Client
    ) -> None:
        url = openstack.account_url("west")
        quota = {"X-Account-Meta-Quota-Bytes": "4"}
        refused = http.post(url, headers=as_user(openstack, "bob") | quota)
        assert refused.status_code == HTTPStatus.FORBIDDEN
        headers = as_user(openstack, "admin")
        try:
            assert http.post(url, headers=headers | quota).is_success
            container = f"{url}/{uuid.uuid4().hex}"
            bob = as_user(openstack, "bob")
            assert http.put(container, headers=bob).is_success
            full = http.put(f"{container}/1", headers=bob, content=b"12345")
            assert full.status_code == HTTPStatus.REQUEST_ENTITY_TOO_LARGE
        finally:
            assert http.post(url, headers=headers | {"X-Account-Meta-Quota-Bytes": ""}).is_success
