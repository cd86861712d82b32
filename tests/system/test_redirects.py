"""Pulls that are sent on to Swift by TempURLs, and a Swift that signs none."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from registry.oci.digest import Digest
from support.clients import Skopeo
from support.images import Images
from support.openstack import OpenStack
from support.server import Account, Server, Settings, running_server
from support.swift import new_prefix, service_session

CONTENT = bytes(range(256)) * 64
DIGEST = Digest.of(CONTENT)
BLOB = f"/v2/east/app/blobs/{DIGEST}"
VARIABLE = {"BERTH_STORAGE_REDIRECT": "true"}


def account(server: Server) -> Account:
    found = server.account
    assert found is not None
    return found


@pytest.fixture(scope="module")
def server(openstack: OpenStack) -> Iterator[Server]:
    settings = Settings(cloud=openstack, prefix=new_prefix(), environment=VARIABLE)
    with running_server(settings) as started:
        yield started


@pytest.fixture
def http(server: Server) -> Iterator[httpx.Client]:
    pair = account(server).pair
    with httpx.Client(base_url=server.url, auth=pair, timeout=60) as client:
        yield client


def test_a_pull_goes_on_to_swift(openstack: OpenStack, server: Server, http: httpx.Client) -> None:
    pushed = http.post(f"/v2/east/app/blobs/uploads/?digest={DIGEST}", content=CONTENT)
    assert pushed.status_code == httpx.codes.CREATED, pushed.text
    sent = http.get(BLOB)
    assert (sent.status_code, sent.content) == (httpx.codes.TEMPORARY_REDIRECT, b"")
    assert sent.headers["cache-control"] == "no-store"
    location = sent.headers["location"]
    assert location.startswith(openstack.account_url("service"))
    assert httpx.get(location).content == CONTENT, "by nobody in particular"
    part = httpx.get(location, headers={"Range": "bytes=100-299"})
    assert (part.status_code, part.content) == (206, CONTENT[100:300])
    for spoilt in (location.replace("expires=1", "expires=2"), location.replace("sig=", "sig=0")):
        assert httpx.get(spoilt).status_code == httpx.codes.UNAUTHORIZED
    assert httpx.delete(location).status_code == httpx.codes.UNAUTHORIZED
    head = http.head(BLOB)
    assert (head.status_code, head.headers["docker-content-digest"]) == (200, str(DIGEST))
    assert httpx.get(f"{server.url}{BLOB}").status_code == httpx.codes.UNAUTHORIZED
    assert "temp_url_sig" not in server.log.read_text("utf-8")


def test_a_client_follows(server: Server, small: Images, tmp_path: Path) -> None:
    skopeo = Skopeo(tmp_path)
    skopeo.login(server.address, account(server))
    skopeo.push(small.index, f"{server.address}/east/app:1")
    skopeo.pull(f"{server.address}/east/app:1", tmp_path / "pulled")
    small.index.hold_same(tmp_path / "pulled")
    assert '"status":307' in server.log.read_text("utf-8")


def test_without_a_key_a_server_does_not_start_and_one_that_runs_sends_blobs_itself(
    openstack: OpenStack, server: Server
) -> None:
    pair = account(server).pair
    session = service_session(openstack)
    url = openstack.account_url("service")
    name = "X-Account-Meta-Temp-URL-Key"
    session.post(url, headers={name.replace("X-", "X-Remove-", 1): "x"})
    try:
        server.stop()
        with pytest.raises(AssertionError, match=r"storage\.redirect needs a Temp-URL-Key"):
            server.restart()
        session.post(url, headers={name: openstack.temp_url_key})
        server.restart()
        session.post(url, headers={name.replace("X-", "X-Remove-", 1): "x"})
        answer = httpx.get(f"{server.url}{BLOB}", auth=pair, timeout=60)
        assert (answer.status_code, answer.content) == (httpx.codes.OK, CONTENT)
    finally:
        session.post(url, headers={name: openstack.temp_url_key})
