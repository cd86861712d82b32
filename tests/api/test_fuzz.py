"""Any request at all: the answer is well formed, and what was kept is not touched.

TEST_FUZZ=20000 makes so many of them, and others in every run.
"""

import json
from collections.abc import Callable, Iterator
from email.utils import parsedate_to_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry.oci.descriptor import OCI_INDEX
from registry.oci.digest import Digest
from support.builders import image
from support.fuzz import APP, INDEX, NO_RIGHTS, Asked, fuzzing, requests
from support.holdings import faultless, unharmed
from support.server import Server, Settings, running_server
from support.wire import Answer, Wire, ask, error_code, push_image, put_manifest, request

KEPT = image("nobody", "asks", "for this")
"""An image in a repository that no request names."""


@pytest.fixture(scope="module")
def opened() -> Iterator[Server]:
    with running_server() as server:
        push_image(server.address, "library/kept", "1", KEPT)
        yield server


@pytest.fixture(scope="module")
def guarded() -> Iterator[Server]:
    with running_server(Settings(auth=True)) as server:
        yield server


def stock(server: Server) -> str:
    """Push what requests ask for, and begin an upload; answer its id."""
    push_image(server.address, "library/app", "1", APP)
    assert put_manifest(server.address, "library/app", "index", INDEX, OCI_INDEX).status == 201
    begun = ask(server.address, request("POST", "/v2/library/app/blobs/uploads/", body=b""))
    return begun.header("docker-upload-uuid")


def put_to(server: Server, asked: Asked, upload: str) -> Answer:
    """The answer to a request, held to what every answer must be."""
    with Wire(server.address) as wire:
        answer = wire.send(asked.spell(upload)).answer(body=asked.method != "HEAD")
        hold_well_formed(asked, answer)
        if asked.kind in OF_KIND and answer.status < 300:
            OF_KIND[asked.kind](asked, answer)
        return answer


def hold_well_formed(asked: Asked, answer: Answer) -> None:
    assert 200 <= answer.status < 500, answer
    names = [name for name, _ in answer.headers]
    assert len(set(names) - {"oci-tag"}) == len([name for name in names if name != "oci-tag"])
    if ("connection", "close") in answer.headers:  # it was no HTTP, or too much of it
        assert answer.status in {400, 431}
        return
    parsedate_to_datetime(answer.header("date"))
    assert answer.header("x-openstack-request-id").startswith("req-")
    if answer.status == 401:
        assert answer.header("www-authenticate").split(" ")[0] in {"Basic", "Bearer"}
    if answer.status == 405:
        assert asked.method not in answer.header("allow").split(", ")
    if answer.status == 429:
        assert int(answer.header("retry-after")) > 0
    if answer.status >= 400 and answer.body:
        hold_error(asked, answer)


def hold_error(asked: Asked, answer: Answer) -> None:
    if asked.path.startswith("/v2/"):
        assert answer.header("content-type") == "application/json"
        error_code(answer.body)
    elif asked.kind == "auth" and answer.status not in {404, 405}:
        error_code(answer.body)
    elif asked.kind == "image" and answer.header("content-type") == "application/json":
        assert json.loads(answer.body)["error"]["code"] == answer.status


def hold_session(answer: Answer) -> None:
    assert answer.header("location").startswith("/v2/")
    assert answer.header("docker-upload-uuid") in answer.header("location")
    first, last = answer.header("range").split("-")
    assert (first, last.isdecimal()) == ("0", True)


def hold_uploads(asked: Asked, answer: Answer) -> None:
    if answer.status == 202:
        hold_session(answer)
    else:
        assert answer.status == 201
        digest = answer.header("docker-content-digest")
        assert answer.header("location").endswith(f"/blobs/{digest}")
        assert asked.body is None or "mount" in dict(asked.query) or is_of(digest, asked.body)


def hold_upload(asked: Asked, answer: Answer) -> None:
    expected = {"GET": 204, "PATCH": 202, "PUT": 201, "DELETE": 204}[asked.method]
    assert answer.status == expected
    if asked.method in {"GET", "PATCH"}:
        hold_session(answer)


def hold_blob(asked: Asked, answer: Answer) -> None:
    if asked.method == "DELETE":
        assert answer.status == 202
        return
    digest = answer.header("docker-content-digest")
    assert asked.path.endswith(digest)
    assert answer.header("accept-ranges") == "bytes"
    if asked.method == "GET" and answer.status == 200:
        assert is_of(digest, answer.body)
    if answer.status == 206:
        assert answer.header("content-range").startswith("bytes ")


def hold_manifest(asked: Asked, answer: Answer) -> None:
    if asked.method == "DELETE":
        assert answer.status == 202
        return
    digest = answer.header("docker-content-digest")
    if asked.method == "PUT":
        assert answer.status == 201
        assert asked.body is not None
        assert is_of(digest, asked.body)
        assert answer.header("location").endswith(f"/manifests/{digest}")
    elif asked.method == "GET":
        assert is_of(digest, answer.body)
        assert answer.header("content-type").startswith("application/vnd.")


def hold_tags(asked: Asked, answer: Answer) -> None:
    if asked.method == "GET":
        tags = json.loads(answer.body)["tags"]
        assert tags == sorted(set(tags))


def hold_referrers(asked: Asked, answer: Answer) -> None:
    assert answer.header("content-type") == OCI_INDEX
    filtered = "artifactType" in dict(asked.query)
    names = [name for name, _ in answer.headers]
    assert ("oci-filters-applied" in names) == filtered


def hold_base(_: Asked, answer: Answer) -> None:
    assert answer.header("docker-distribution-api-version") == "registry/2.0"


OF_KIND: dict[str, Callable[[Asked, Answer], None]] = {
    "base": hold_base,
    "uploads": hold_uploads,
    "upload": hold_upload,
    "blob": hold_blob,
    "manifest": hold_manifest,
    "tags": hold_tags,
    "referrers": hold_referrers,
}


def is_of(digest: str, content: bytes) -> bool:
    return str(Digest.of(content, digest.partition(":")[0])) == digest


def test_any_request_is_answered_and_touches_nothing_else(opened: Server) -> None:
    upload = stock(opened)
    statuses = set()

    @fuzzing()
    @given(requests(st.none()))
    def fuzz(asked: Asked) -> None:
        statuses.add((asked.kind, put_to(opened, asked, upload).status // 100))

    with faultless(opened):
        fuzz()
        for reference in ("1", str(KEPT.digest)):
            target = f"/v2/library/kept/manifests/{reference}"
            assert ask(opened.address, request("GET", target)).body == KEPT.manifest
        for blob in KEPT.blobs:
            target = f"/v2/library/kept/blobs/{Digest.of(blob)}"
            assert ask(opened.address, request("GET", target)).body == blob
    for kind in OF_KIND:  # or it was no test of much
        assert {(kind, 2), (kind, 4)} <= statuses


def test_no_request_without_the_right_changes_anything(guarded: Server) -> None:
    statuses = set()

    @fuzzing()
    @given(requests(NO_RIGHTS))
    def fuzz(asked: Asked) -> None:
        answer = put_to(guarded, asked, "00000000-0000-4000-8000-000000000000")
        statuses.add(answer.status)
        reading = asked.method in {"GET", "HEAD"} or asked.kind == "auth"
        assert reading or answer.status >= 400

    with unharmed(guarded):
        fuzz()
    assert {200, 400, 401, 403, 404} <= statuses
