"""What a person at docker or podman reads where there is no room, and where a tag was deleted."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from support.clients import ClientFailed, Docker, Podman, running_docker
from support.environment import temporary_directory
from support.images import Images
from support.server import ALICE, Server, Settings, running_server

ADMIN = '[auth.projects.ops]\nalice = "admin"\n'


@contextmanager
def podman(place: Path) -> Iterator[Podman]:
    yield Podman(place)


@pytest.fixture(params=[running_docker, podman], ids=["docker", "podman"])
def client(request: pytest.FixtureRequest, server: Server) -> Iterator[Docker | Podman]:
    with temporary_directory("client") as place, request.param(place) as client:
        client.login(server.address, ALICE)
        yield client


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with running_server(Settings(auth=True, extra=ADMIN)) as server:
        yield server


@pytest.fixture
def name(server: Server, request: pytest.FixtureRequest) -> Iterator[str]:
    """A repository of the test's own, which ends with it."""
    name = f"library/{request.node.callspec.id}"
    yield name
    ask(server, "DELETE", f"/registry/v1/repositories/{name}")


def ask(server: Server, method: str, path: str, **named: object) -> httpx.Response:
    answer = httpx.request(method, f"{server.url}{path}", auth=ALICE.pair, timeout=60, json=named)
    assert answer.is_success, answer.text
    return answer


def refusal(client: Docker | Podman, push: tuple[Images, str]) -> str:
    with pytest.raises(ClientFailed) as refused:
        client.push(push[0].image, push[1])
    return str(refused.value)


def test_who_pushes_too_much_reads_which_limit_and_how_much_is_needed(
    client: Docker | Podman, server: Server, small: Images, name: str
) -> None:
    quota = f"/registry/v1/repositories/{name}/_quota"
    reference = f"{server.address}/{name}:1"
    ask(server, "PUT", quota, bytes=100)
    told = refusal(client, (small, reference))
    assert f"quota exceeded: repository {name} has " in told
    assert "of 100 bytes; " in told
    assert "more are needed" in told
    assert "Traceback" not in told
    ask(server, "PUT", quota, bytes=None, tags=1)
    client.push(small.image, reference)
    told = refusal(client, (small, f"{server.address}/{name}:2"))
    assert f"quota exceeded: repository {name} has 1 of 1 tags; 1 more are needed" in told
    ask(server, "PUT", quota, bytes=None, tags=None)
    client.push(small.image, f"{server.address}/{name}:2")


def test_who_pulls_a_deleted_tag_reads_so_until_it_is_taken_back(
    client: Docker | Podman, server: Server, small: Images, name: str
) -> None:
    reference = f"{server.address}/{name}:1"
    client.push(small.image, reference)
    stored = client.pull(reference)
    ask(server, "DELETE", f"/v2/{name}/manifests/1")
    with pytest.raises(ClientFailed) as refused:
        client.pull(reference)
    assert "manifest unknown" in str(refused.value)
    ask(server, "POST", f"/registry/v1/repositories/{name}/_undelete?reference=1")
    assert client.pull(reference) == stored
