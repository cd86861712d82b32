"""Two servers on one PostgreSQL, one Keystone and one Swift are one registry."""

import os
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urljoin

import httpx
import jwt
import pytest
from sqlalchemy import create_engine, text

from registry.oci.descriptor import OCI_MANIFEST
from registry.oci.digest import Digest
from support.builders import image
from support.clients import Skopeo
from support.environment import wait_until
from support.images import Images
from support.ledgers import is_leased
from support.openstack import OpenStack
from support.postgres import running_postgres
from support.replicas import Replicas, running_replicas
from support.server import Server, Settings
from support.swift import new_prefix

APP = "east/app"
IMAGE = image("base", "top")


@pytest.fixture(scope="module")
def ledger() -> Iterator[str]:
    with running_postgres() as url:
        yield url


@pytest.fixture(scope="module")
def replicas(openstack: OpenStack, ledger: str) -> Iterator[Replicas]:
    settings = Settings(cloud=openstack, prefix=new_prefix(), ledger=ledger)
    with running_replicas(settings) as started:
        yield started


@pytest.fixture
def clients(replicas: Replicas) -> Iterator[tuple[httpx.Client, httpx.Client]]:
    """Of one server each."""
    account = replicas.account
    assert account is not None
    one, other = (
        httpx.Client(base_url=server.url, auth=account.pair, timeout=60)
        for server in replicas.servers
    )
    with one, other:
        yield one, other


def push(http: httpx.Client, tag: str) -> None:
    for content in IMAGE.blobs:
        query = f"digest={Digest.of(content)}"
        must(http.post(f"/v2/{APP}/blobs/uploads/?{query}", content=content))
    headers = {"Content-Type": OCI_MANIFEST}
    must(http.put(f"/v2/{APP}/manifests/{tag}", content=IMAGE.manifest, headers=headers))


def must(answer: httpx.Response) -> httpx.Response:
    assert answer.is_success, answer.text
    return answer


def change(ledger: str, statement: str) -> None:
    """What time would do."""
    engine = create_engine(ledger)
    with engine.begin() as connection:
        connection.execute(text(statement))
    engine.dispose()


def bytes_read(server: Server) -> int:
    """Bytes that its process read so far: from clients, disk and Swift (proc_pid_io(5))."""
    lines = Path(f"/proc/{server.process.pid}/io").read_text("utf-8").splitlines()
    return int(dict(line.split(": ") for line in lines)["rchar"])


def closed(http: httpx.Client, location: str, content: bytes) -> httpx.Response:
    url = httpx.URL(location).copy_merge_params({"digest": str(Digest.of(content))})
    return must(http.put(url))


def test_a_client_that_is_sent_to_and_fro_pushes_and_pulls(
    replicas: Replicas, small: Images, tmp_path: Path
) -> None:
    skopeo = Skopeo(tmp_path)
    account = replicas.account
    assert account is not None
    skopeo.login(replicas.address, account)
    skopeo.push(small.index, f"{replicas.address}/{APP}:both")
    skopeo.pull(f"{replicas.address}/{APP}:both", tmp_path / "pulled")
    small.index.hold_same(tmp_path / "pulled")
    counts = [replicas.alternator.sent.count(server.address) for server in replicas.servers]
    assert min(counts) > 5, counts


def test_chunks_that_alternate_are_hashed_once(
    replicas: Replicas, clients: tuple[httpx.Client, httpx.Client]
) -> None:
    size, count = 256 * 1024, 32
    content = os.urandom(size * count)
    before = sum(map(bytes_read, replicas.servers))
    location = must(clients[0].post(f"/v2/{APP}/blobs/uploads/")).headers["Location"]
    for number in range(count):
        chunk = content[number * size : (number + 1) * size]
        span = f"{number * size}-{(number + 1) * size - 1}"
        answer = clients[number % 2].patch(location, content=chunk, headers={"Content-Range": span})
        assert must(answer).headers["Range"] == f"0-{(number + 1) * size - 1}"
        location = answer.headers["Location"]
        if number == count // 2:
            again = clients[1].patch(location, content=chunk, headers={"Content-Range": span})
            assert again.status_code == httpx.codes.REQUESTED_RANGE_NOT_SATISFIABLE
    closed(clients[0], location, content)
    ratio = (sum(map(bytes_read, replicas.servers)) - before) / len(content)
    # Once from the client, once to hash them, once to lay small segments together: and not for
    # each chunk all those before it, which would be half of *count* times.
    assert 1 < ratio < 4, ratio
    for http in clients:
        assert http.get(f"/v2/{APP}/blobs/{Digest.of(content)}").content == content


def test_what_one_deletes_the_other_does_not_have(
    clients: tuple[httpx.Client, httpx.Client],
) -> None:
    one, other = clients
    blob = f"/v2/{APP}/blobs/{Digest.of(IMAGE.layers[0])}"
    manifest = f"/v2/{APP}/manifests/{IMAGE.digest}"
    for deleting, asking in [(one, other), (other, one)] * 2:
        push(asking, "gone")
        for path in (f"/v2/{APP}/manifests/gone", manifest, blob):
            assert asking.get(path).status_code == httpx.codes.OK  # whatever is remembered, is
            assert deleting.get(path).status_code == httpx.codes.OK
            assert deleting.delete(path).status_code == httpx.codes.ACCEPTED
            assert asking.get(path).status_code == httpx.codes.NOT_FOUND
            assert asking.head(path).status_code == httpx.codes.NOT_FOUND
            assert asking.delete(path).status_code == httpx.codes.NOT_FOUND
        assert "gone" not in asking.get(f"/v2/{APP}/tags/list").json()["tags"]


def test_tokens_of_one_are_good_at_the_other_also_after_a_rotation(
    replicas: Replicas, clients: tuple[httpx.Client, httpx.Client], ledger: str
) -> None:
    push(clients[0], "kept")
    scope = {"scope": f"repository:{APP}:pull,push"}

    def token(of: int) -> str:
        found: str = must(clients[of].get("/auth/token", params=scope)).json()["token"]
        return found

    def hold_good(signed: str) -> None:
        for server in replicas.servers:
            headers = {"Authorization": f"Bearer {signed}"}
            answer = httpx.get(f"{server.url}/v2/{APP}/manifests/kept", headers=headers, timeout=60)
            assert answer.status_code == httpx.codes.OK, answer.text

    early = [token(0), token(1)]
    for signed in early:
        hold_good(signed)
    location = must(clients[0].post(f"/v2/{APP}/blobs/uploads/")).headers["Location"]
    change(ledger, "UPDATE signing_key SET created_at = created_at - 31 * 86400")
    replicas.servers[0].stop()
    replicas.servers[0].restart()  # a server looks hourly, and when it starts
    late = [token(0), token(1)]
    kids = [jwt.get_unverified_header(signed)["kid"] for signed in (*early, late[0])]
    assert kids[0] == kids[1] != kids[2]
    for signed in (*early, *late):
        hold_good(signed)
    location = must(clients[0].patch(location, content=b"after")).headers["Location"]
    closed(clients[1], location, b"after")


def test_a_replica_is_killed_in_mid_upload_and_the_other_goes_on(
    replicas: Replicas, clients: tuple[httpx.Client, httpx.Client], ledger: str
) -> None:
    first, second = os.urandom(1 << 20), os.urandom(1 << 20)
    doomed, heir = replicas.servers
    location = must(clients[0].post(f"/v2/{APP}/blobs/uploads/")).headers["Location"]
    location = must(clients[0].patch(location, content=first)).headers["Location"]
    sent, dead = threading.Event(), threading.Event()

    def body() -> Iterator[bytes]:
        yield second
        sent.set()
        assert dead.wait(60)

    with ThreadPoolExecutor(1) as pool:
        broken = pool.submit(httpx.patch, urljoin(doomed.url, location), content=body(),
                             auth=clients[0].auth, timeout=60)  # fmt: skip
        assert sent.wait(30)
        # Sent is not yet begun: on a busy machine the other might be the first to write.
        wait_until(lambda: is_leased(ledger), "the first writer")
        path = httpx.URL(location).raw_path.decode()
        chunk = {"Content-Range": f"{len(first)}-{len(first) + len(second) - 1}"}

        def is_busy() -> bool:
            answer = clients[1].patch(path, content=second, headers=chunk)
            assert answer.status_code in {202, 409}, answer.text
            return answer.status_code == httpx.codes.CONFLICT

        assert is_busy(), "one writer at a time, whichever server he is at"
        doomed.kill()
        dead.set()
        with pytest.raises(httpx.TransportError):
            broken.result(60)
    assert must(clients[1].get(path)).headers["Range"] == f"0-{len(first) - 1}"
    change(ledger, "UPDATE upload SET lease_until = lease_until - 60")
    wait_until(lambda: not is_busy(), "the lease's end")
    doomed.restart()
    content = first + second
    assert must(clients[0].get(path)).headers["Range"] == f"0-{len(content) - 1}"
    closed(clients[0], path, content)
    for http in clients:
        assert http.get(f"/v2/{APP}/blobs/{Digest.of(content)}").content == content
    assert heir.process.status is None
    assert "Traceback" not in replicas.logs()
