"""A byte that flips in a directory or in a real Swift: berth fsck finds it, and a push heals it."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from registry.storage.swift.names import Names
from support.clients import ClientFailed, Skopeo
from support.images import small_images
from support.openstack import OpenStack
from support.server import Server, Settings, running_server
from support.swift import new_prefix

GC = "[gc]\nevery_minutes = 0\n"
Flip = Callable[[str], None]
"""Flips a byte in the middle of the object of that name."""


@pytest.fixture(params=["directory", "swift"])
def place(request: pytest.FixtureRequest) -> Iterator[tuple[Server, str, Flip]]:
    """A server, a repository in it, and what spoils an object behind its back."""
    if request.param == "directory":
        with running_server(Settings(extra=GC)) as server:
            yield server, "library/app", lambda name: flip_file(server, name)
        return
    cloud: OpenStack = request.getfixturevalue("openstack")
    settings = Settings(cloud=cloud, prefix=new_prefix(), extra=GC)
    with running_server(settings) as server:
        yield server, "east/app", lambda name: flip_object(cloud, settings.prefix, name)


def flip_file(server: Server, name: str) -> None:
    algorithm, encoded, own = name.split("/")
    path = server.data / "blobs" / algorithm / encoded[:2] / encoded / own
    content = flipped(path.read_bytes())
    path.chmod(0o600)
    path.write_bytes(content)


def flip_object(cloud: OpenStack, prefix: str, name: str) -> None:
    place = Names(prefix).object(name)
    url = f"{cloud.account_url('service')}{place.path}"
    with httpx.Client(headers={"X-Auth-Token": cloud.token("registry")}, timeout=60) as swift:
        content = swift.get(url)
        assert content.status_code == httpx.codes.OK, content.text
        assert swift.put(url, content=flipped(content.content)).status_code == httpx.codes.CREATED


def flipped(content: bytes) -> bytes:
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]


def test_a_flipped_byte_is_found_pulls_are_refused_and_the_next_push_heals(
    place: tuple[Server, str, Flip], tmp_path: Path
) -> None:
    server, repository, flip = place
    layout = small_images().image
    skopeo = Skopeo(tmp_path)
    if server.account is not None:
        skopeo.login(server.address, server.account)
    reference = f"{server.address}/{repository}:1"
    skopeo.push(layout, reference)
    digest = layout.read(layout.digest)["layers"][0]["digest"]
    assert json.loads(server.run("fsck", "--json"))["bad"] == []
    flip(object_of(server, digest))
    with pytest.raises(ClientFailed):
        skopeo.pull(reference, tmp_path / "spoilt")
    told = server.run("fsck", status=1)
    assert f"bad: {digest}, object " in told
    assert f" 1 ({layout.digest}) needs {digest}" in told
    with pytest.raises(ClientFailed, match="404"):
        skopeo.pull(reference, tmp_path / "refused")
    assert "its bytes were found to be others" in server.run("gc", "--explain", digest)
    skopeo.push(layout, reference)
    skopeo.pull(reference, tmp_path / "healed")
    layout.hold_same(tmp_path / "healed")
    assert json.loads(server.run("fsck", "--json"))["broken"] == []
    assert json.loads(server.run("gc", "--json"))["objects"] == 1, "the spoilt one"


def object_of(server: Server, digest: str) -> str:
    """The name of the object that holds *digest*, as the collector tells it."""
    line, *_ = server.run("gc", "--explain", digest).splitlines()
    return line.rpartition(" ")[2]
