"""Names, references, queries and ranges that mean harm, at a server that really runs."""

import contextlib
import json
import urllib.parse
from collections.abc import Iterator

import pytest

from registry.oci.digest import Digest
from support.builders import image
from support.holdings import unharmed
from support.hostile import DIGESTS, NAMES, NUMBERS, PATHS, RANGES, TAGS, TEXTS, UPLOADS, shown
from support.ledgers import own_schema
from support.server import Server, Settings, running_server
from support.wire import Answer, Wire, ask, push_image, request

NAME = "library/app"
APP = image("base", "top")
BLOB = APP.layers[0]
DIGEST = str(Digest.of(BLOB))
NEW = b"never stored"
NEW_DIGEST = str(Digest.of(NEW))
MANIFEST = b"Content-Type: application/vnd.oci.image.manifest.v1+json"

BOTH = pytest.mark.parametrize("server", ["sqlite", "postgresql"], indirect=True)
"""For words that come as far as the ledger."""


@pytest.fixture(scope="module")
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    with contextlib.ExitStack() as stack:
        ledger = ""
        if getattr(request, "param", "sqlite") == "postgresql":
            url = stack.enter_context(own_schema(request.getfixturevalue("postgres_url")))
            ledger = f"[ledger]\nurl = {json.dumps(url)}"
        server = stack.enter_context(running_server(Settings(extra=ledger)))
        push_image(server.address, NAME, "1", APP)
        yield server


@pytest.fixture
def address(server: Server) -> Iterator[str]:
    with unharmed(server):
        yield server.address


def spelt(text: str) -> str:
    """*text* as it can stand in a request's line."""
    return urllib.parse.quote(text, safe="/%:;=$*'()!@+~,")


def hold_refused(answer: Answer, *codes: str) -> None:
    assert 400 <= answer.status < 500, answer
    assert answer.code in codes, answer


@pytest.mark.parametrize("name", NAMES, ids=shown)
def test_a_name_that_is_none_finds_and_makes_nothing(address: str, name: str) -> None:
    base = f"/v2/{spelt(name)}"
    for method, path, body in (
        ("GET", "tags/list", None),
        ("GET", "manifests/1", None),
        ("PUT", "manifests/2", APP.manifest),
        ("DELETE", "manifests/1", None),
        ("GET", f"blobs/{DIGEST}", None),
        ("DELETE", f"blobs/{DIGEST}", None),
        ("GET", f"referrers/{APP.digest}", None),
        ("POST", "blobs/uploads/", b""),
        ("POST", f"blobs/uploads/?digest={NEW_DIGEST}", NEW),
        ("PUT", f"blobs/uploads/1?digest={NEW_DIGEST}", NEW),
    ):
        answer = ask(address, request(method, f"{base}/{path}", MANIFEST, body=body))
        hold_refused(answer, "NAME_INVALID", "NAME_UNKNOWN")
    mounting = f"/v2/{NAME}/blobs/uploads/?mount={DIGEST}&from={spelt(name)}"
    hold_refused(ask(address, request("POST", mounting, body=b"")), "NAME_INVALID")


def test_a_slash_is_a_slash_however_it_is_spelt(address: str) -> None:
    answer = ask(address, request("GET", "/v2/library%2Fapp/manifests/1"))
    assert (answer.status, answer.body) == (200, APP.manifest)


@pytest.mark.parametrize("tag", TAGS, ids=shown)
def test_a_tag_that_is_none_is_refused(address: str, tag: str) -> None:
    target = f"/v2/{NAME}/manifests/{spelt(tag)}"
    for method, body in (("GET", None), ("PUT", APP.manifest), ("DELETE", None)):
        hold_refused(ask(address, request(method, target, MANIFEST, body=body)), "NAME_INVALID")
    with_tag = f"/v2/{NAME}/manifests/{APP.digest}?tag={spelt(tag)}"
    hold_refused(
        ask(address, request("PUT", with_tag, MANIFEST, body=APP.manifest)), "NAME_INVALID"
    )


@pytest.mark.parametrize("digest", DIGESTS, ids=shown)
def test_a_digest_that_is_none_is_refused(address: str, digest: str) -> None:
    base = f"/v2/{NAME}"
    for method, target, body in (
        ("GET", f"manifests/{digest}", None),
        ("PUT", f"manifests/{digest}", APP.manifest),
        ("DELETE", f"manifests/{digest}", None),
        ("GET", f"blobs/{digest}", None),
        ("DELETE", f"blobs/{digest}", None),
        ("GET", f"referrers/{digest}", None),
        ("GET", f"referrers/{APP.digest}?last={digest}", None),
        ("POST", f"blobs/uploads/?digest={digest}", NEW),
        ("POST", f"blobs/uploads/?mount={digest}", b""),
        ("POST", f"blobs/uploads/?mount={digest}&from={NAME}", b""),
        ("PUT", f"blobs/uploads/1?digest={digest}", NEW),
    ):
        answer = ask(address, request(method, f"{base}/{target}", MANIFEST, body=body))
        hold_refused(answer, "DIGEST_INVALID")


@BOTH
@pytest.mark.parametrize("upload", UPLOADS, ids=shown)
def test_an_upload_that_is_none_is_unknown(address: str, upload: str) -> None:
    target = f"/v2/{NAME}/blobs/uploads/{spelt(upload)}"
    for method, query in (
        ("GET", ""),
        ("PATCH", ""),
        ("PUT", f"?digest={NEW_DIGEST}"),
        ("DELETE", ""),
    ):
        answer = ask(address, request(method, f"{target}{query}", body=NEW))
        hold_refused(answer, "BLOB_UPLOAD_UNKNOWN")


def test_a_digest_that_is_named_twice_must_be_one(address: str) -> None:
    for digests in ([NEW_DIGEST, DIGEST], [DIGEST, NEW_DIGEST], [NEW_DIGEST, ""]):
        query = "&".join(f"digest={digest}" for digest in digests)
        for method, upload in (("POST", ""), ("PUT", "1")):
            target = f"/v2/{NAME}/blobs/uploads/{upload}?{query}"
            hold_refused(ask(address, request(method, target, body=NEW)), "DIGEST_INVALID")


@BOTH
@pytest.mark.parametrize("number", NUMBERS, ids=shown)
def test_a_number_that_is_none_is_refused(address: str, number: str) -> None:
    for path in (f"/v2/{NAME}/tags/list", "/v2/_catalog"):
        for query in (f"n={spelt(number)}", f"n=1&n={spelt(number)}"):
            hold_refused(ask(address, request("GET", f"{path}?{query}")), "UNSUPPORTED")


@BOTH
@pytest.mark.parametrize("text", TEXTS, ids=shown)
def test_any_text_may_be_what_a_list_goes_on_after(address: str, text: str) -> None:
    lists = {
        f"/v2/{NAME}/tags/list?n=999999999&last={spelt(text)}": ("tags", ["1"]),
        f"/v2/_catalog?n=999999999&last={spelt(text)}": ("repositories", [NAME]),
        f"/v2/{NAME}/referrers/{APP.digest}?artifactType={spelt(text)}": ("manifests", []),
    }
    for target, (kind, everything) in lists.items():
        answer = ask(address, request("GET", target))
        assert answer.status == 200, answer
        found = json.loads(answer.body)[kind]
        assert found in ([], everything)
        assert all(value.isprintable() for _, value in answer.headers)


@pytest.mark.parametrize("path", ["", "?", "?&&&", "?=", "?n", "?a=b&a=c", "?%ff=%00", "?n=%"])
def test_odd_queries_are_no_error(address: str, path: str) -> None:
    answer = ask(address, request("GET", f"/v2/{path}"))
    assert (answer.status, answer.body) == (200, b"{}")


@pytest.mark.parametrize("value", RANGES, ids=shown)
def test_a_range_answers_a_part_or_the_whole_or_416(address: str, value: str) -> None:
    target = f"/v2/{NAME}/blobs/{DIGEST}"
    answer = ask(address, request("GET", target, b"Range: " + value.encode()))
    if answer.status == 416:
        hold_refused(answer, "SIZE_INVALID")
        assert answer.header("content-range") == f"bytes */{len(BLOB)}"
    elif answer.status == 206:
        part, size = answer.header("content-range").removeprefix("bytes ").split("/")
        first, last = map(int, part.split("-"))
        assert int(size) == len(BLOB)
        assert answer.body == BLOB[first : last + 1]
    else:
        assert (answer.status, answer.body) == (200, BLOB)


def test_a_chunk_with_an_impossible_range_appends_nothing(address: str) -> None:
    begun = ask(address, request("POST", f"/v2/{NAME}/blobs/uploads/", body=b""))
    target = begun.header("location")
    for value in (
        *("5-0", "0-", "-5", "0-4-9", "a-b", "", "bytes */5", "-1-3", "0-0", "0-99999"),
        *(
            f"0-{10**30}",
            f"{10**30}-{10**30 + 4}",
            "0-18446744073709551615",
            "\N{ARABIC-INDIC DIGIT ZERO}-\N{ARABIC-INDIC DIGIT FOUR}",
        ),
        *("1-5", "9223372036854775807-9223372036854775811"),
    ):
        for method in ("PATCH", "PUT"):
            header = b"Content-Range: " + value.encode()
            to = target if method == "PATCH" else f"{target}?digest={NEW_DIGEST}"
            answer = ask(address, request(method, to, header, body=b"hello"))
            assert answer.status in {400, 416}, (value, answer)
            hold_refused(answer, "BLOB_UPLOAD_INVALID")
    with Wire(address) as wire:
        assert wire.send(request("GET", target)).answer().header("range") == "0-0"
        assert wire.send(request("DELETE", target)).answer().status == 204
        assert wire.send(request("GET", target)).answer().status == 404


@pytest.mark.parametrize("path", PATHS, ids=shown)
def test_a_path_that_leads_nowhere_is_unknown(address: str, path: str) -> None:
    for method in ("GET", "PUT", "DELETE"):
        answer = ask(address, request(method, path, body=b""))
        assert answer.status in {400, 404, 405}, answer
        if path.startswith("/v2/"):
            hold_refused(answer, "NAME_UNKNOWN", "NAME_INVALID", "UNSUPPORTED")


@pytest.mark.parametrize("header", ["X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override"])
def test_a_method_cannot_be_put_on_over_another(address: str, header: str) -> None:
    target = f"/v2/{NAME}/manifests/1"
    for path in (target, f"{target}?_method=DELETE"):
        answer = ask(address, request("GET", path, f"{header}: DELETE".encode()))
        assert (answer.status, answer.body) == (200, APP.manifest)
    posted = ask(address, request("POST", target, f"{header}: DELETE".encode(), body=b""))
    hold_refused(posted, "UNSUPPORTED")
    assert posted.status == 405


@pytest.mark.parametrize(
    "method", ["TRACE", "OPTIONS", "PATCH", "PROPFIND", "LOCK", "SEARCH", "POST"]
)
def test_other_methods_are_not_allowed(address: str, method: str) -> None:
    for path in ("/v2/", "/v2/_catalog", f"/v2/{NAME}/tags/list", f"/v2/{NAME}/manifests/1"):
        answer = ask(address, request(method, path, b"X-Secret: of the request", body=b"echo?"))
        assert answer.status == 405
        hold_refused(answer, "UNSUPPORTED")
        assert "GET" in answer.header("allow")
        assert b"echo" not in answer.body


def test_no_name_is_no_way_around_signing_in() -> None:
    with running_server(Settings(auth=True)) as guarded, unharmed(guarded):
        for path in ("/v2//blobs/uploads/", "/v2//blobs/uploads", "/v2///blobs/uploads/"):
            for query in ("", f"?digest={NEW_DIGEST}", f"?mount={NEW_DIGEST}"):
                answer = ask(guarded.address, request("POST", f"{path}{query}", body=NEW))
                assert (answer.status, answer.code) == (400, "NAME_INVALID")
