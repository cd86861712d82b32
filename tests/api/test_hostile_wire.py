"""Requests that are cut, framed or spelt so that two readers could read them in two ways."""

import contextlib
from collections.abc import Iterator

import pytest

from registry.oci.digest import Digest
from support.builders import image
from support.holdings import memory, unharmed
from support.server import Server, running_server
from support.wire import HOST, Wire, ask, chunked, push_image, request

NAME = "library/app"
APP = image("base")
TARGET = f"/v2/{NAME}/manifests/1"
UPLOADS = f"/v2/{NAME}/blobs/uploads/"
NEW = b"never stored"
POST = f"{UPLOADS}?digest={Digest.of(NEW)}"
CHUNKED = b"Transfer-Encoding: chunked"
SMUGGLED = request("DELETE", TARGET)
"""What a server would carry out that ends the request before it too early."""


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with running_server() as server:
        push_image(server.address, NAME, "1", APP)
        yield server


@pytest.fixture
def address(server: Server) -> Iterator[str]:
    with unharmed(server):
        yield server.address


FRAMES: dict[str, tuple[bytes, ...]] = {
    "a length and chunks": (b"Content-Length: 5", CHUNKED),
    "chunks and a length": (CHUNKED, b"Content-Length: 5"),
    "two lengths": (b"Content-Length: 5", b"Content-Length: 6"),
    "one length twice": (b"Content-Length: 5", b"Content-Length: 5"),
    "a list of lengths": (b"Content-Length: 5, 5",),
    "a negative length": (b"Content-Length: -5",),
    "a length with a sign": (b"Content-Length: +5",),
    "a length in hex": (b"Content-Length: 0x5",),
    "a length in words": (b"Content-Length: five",),
    "a length with a point": (b"Content-Length: 5.0",),
    "no length": (b"Content-Length: ",),
    "a length of 31 digits": (b"Content-Length: 1" + b"0" * 30,),
    "a length that wraps": (b"Content-Length: 18446744073709551621",),
    "a space before the colon": (b"Transfer-Encoding : chunked",),
    "a vertical tab": (b"Transfer-Encoding: \x0bchunked",),
    "no known coding": (b"Transfer-Encoding: xchunked",),
    "no coding at all": (b"Transfer-Encoding: identity",),
    "chunks that are not the last coding": (b"Transfer-Encoding: chunked, identity",),
    "chunks twice": (CHUNKED, CHUNKED),
    "chunks and another coding": (CHUNKED, b"Transfer-Encoding: identity"),
    "a line that goes on": (b"Transfer-Encoding:", b" chunked"),
    "no name": (b": 5",),
    "no colon": (b"Content-Length 5",),
    "a bare line feed": (b"A: b\nTransfer-Encoding: chunked",),
    "a bare carriage return": (b"A: b\rTransfer-Encoding: chunked",),
    "a NUL": (b"A: b\0c",),
    "a NUL in a name": (b"A\0: b",),
    "two hosts": (b"Host: 127.0.0.1",),
    "another host": (b"Host: registry.example",),
}


@pytest.mark.parametrize("headers", FRAMES.values(), ids=FRAMES)
@pytest.mark.parametrize("target", [POST, TARGET], ids=["an upload", "a manifest"])
def test_a_request_of_unclear_length_is_the_last_of_its_connection(
    address: str, headers: tuple[bytes, ...], target: str
) -> None:
    head = request("POST" if target == POST else "PUT", target, *headers)
    with Wire(address) as wire:
        answer = wire.send(head, b"0\r\n\r\n", SMUGGLED).answer()
        assert (answer.status, answer.header("connection")) == (400, "close")
        assert wire.read() is None


@pytest.mark.parametrize(
    "chunks",
    [
        b"x\r\n",
        b"-1\r\nhello\r\n",
        b"0x5\r\nhello\r\n",
        b"5 \r\nhello\r\n",
        b"ffffffffffffffffff\r\nhello\r\n",
        b"5\nhello\n0\n\n",
        b"5\r\nhello0\r\n\r\n",
        b"3\r\nhello\r\n0\r\n\r\n",
        b"5\r\nhello\r\n\r\n",
        b"5;\nhello\r\n0\r\n\r\n",
        b"5\r\nhello\r\n0\r\nA\r\n\r\n",
        b"5\r\nhello\r\n0\r\n: x\r\n\r\n",
    ],
)
def test_chunks_that_are_none_store_nothing(address: str, chunks: bytes) -> None:
    for method, target in (("POST", POST), ("PUT", TARGET)):
        with Wire(address) as wire:
            head = request(method, target, CHUNKED)
            answer = wire.send(head, chunks, SMUGGLED).answer()
            assert (answer.status, answer.header("connection")) == (400, "close")
            assert wire.read() is None


@pytest.mark.parametrize("coding", [b"gzip, chunked", b"identity, chunked"])
def test_a_coding_beside_chunks_is_refused(address: str, coding: bytes) -> None:
    for method, target in (("POST", POST), ("PUT", TARGET)):
        head = request(method, target, b"Transfer-Encoding: " + coding)
        answer = ask(address, head, chunked(NEW))
        assert (answer.status, answer.code) == (400, "UNSUPPORTED")


def test_a_length_that_no_disk_has_is_refused(address: str) -> None:
    length = b"Content-Length: 18446744073709551615"
    for method, target, expected in (
        ("POST", POST, (400, "SIZE_INVALID")),
        ("PUT", TARGET, (400, "SIZE_INVALID")),
        ("PATCH", f"{UPLOADS}1", (404, "BLOB_UPLOAD_UNKNOWN")),
    ):
        answer = ask(address, request(method, target, length), NEW)
        assert (answer.status, answer.code) == expected


def test_what_a_refused_request_leaves_unread_is_no_request(address: str) -> None:
    body = SMUGGLED * 3
    for refused in ("/v2/Library/manifests/1", "/v2/nowhere", f"/v2/{NAME}/tags/list"):
        with Wire(address) as wire:
            wire.send(request("PUT", refused, body=body), request("GET", "/v2/"))
            assert wire.answer().status in {400, 404, 405}
            assert wire.answer().body == b"{}"


def test_a_trailer_is_no_header(address: str) -> None:
    body = b'{"schemaVersion": 2}'
    trailers = b"Content-Type: application/vnd.oci.image.index.v1+json\r\nX-Forwarded-For: a\r\n"
    head = request("PUT", TARGET, CHUNKED)
    answer = ask(address, head, chunked(body, trailers=trailers))
    assert (answer.status, answer.code) == (400, "MANIFEST_INVALID")
    assert b"neither in Content-Type" in answer.body
    without = request("PUT", TARGET, CHUNKED, host=b"")
    answer = ask(address, without, chunked(body, trailers=HOST))
    assert (answer.status, answer.header("connection")) == (400, "close")


ENDLESS = {
    "a header": (b"GET /v2/ HTTP/1.1\r\nA: ", b"a" * 1024),
    "headers": (b"GET /v2/ HTTP/1.1\r\n", b"a: b\r\n" * 200),
    "a path": (b"GET /v2/", b"a" * 1024),
    "a query": (b"GET /v2/?", b"a=b&" * 256),
    "a method": (b"", b"A" * 1024),
    "a trailer": (request("PUT", TARGET, CHUNKED) + b"2\r\n{}\r\n0\r\na: ", b"a" * 1024),
    "trailers": (request("PUT", TARGET, CHUNKED) + b"2\r\n{}\r\n0\r\n", b"a: b\r\n" * 200),
    "an extension": (request("PUT", TARGET, CHUNKED) + b"2;", b"a" * 1024),
    "a chunk's size": (request("PUT", TARGET, CHUNKED), b"0" * 1024),
}


@pytest.mark.parametrize(("begin", "more"), ENDLESS.values(), ids=ENDLESS)
def test_what_is_no_body_must_end(server: Server, address: str, begin: bytes, more: bytes) -> None:
    before = memory(server.process.pid)
    with Wire(address) as wire:
        wire.socket.sendall(begin)
        sent = 0
        with contextlib.suppress(ConnectionError):
            while sent < 64 << 20:
                wire.socket.sendall(more)
                sent += len(more)
        assert sent < 64 << 20, "it was taken for ever"
        answer = wire.read()
        assert answer is None or answer.status in {400, 414, 431}
    assert memory(server.process.pid) - before < 32 << 20


@pytest.mark.parametrize(
    "host",
    [
        b"",
        b"registry.example",
        b"registry.example, 127.0.0.1",
        b"127.0.0.1.registry.example",
        b"127.0.0.1@registry.example",
        b"127.0.0.1/../registry.example",
        b"[::1",
        b"[::ffff:10.0.0.1]",
        b"0.0.0.0",
        b"10.0.0.1:5000",
        b"2130706433",
        b"localhost.registry.example",
        b"localhost:5000:5000",
        b"127.0.0.1:5000/",
        b"\xff\xfe",
        b'"<script>"',
        b"a" * 60_000,
    ],
)
def test_a_name_of_another_machine_is_refused(address: str, host: bytes) -> None:
    """Where nobody signs in: a web page's name may have been made to lead here."""
    for method, target in (
        ("GET", "/v2/"),
        ("POST", POST),
        ("DELETE", TARGET),
        ("GET", "/auth/token"),
    ):
        answer = ask(address, request(method, target, body=NEW, host=b"Host: %b\r\n" % host))
        assert (answer.status, answer.code) == (403, "DENIED")
        assert len(answer.body) < 1000


def test_a_request_without_a_host_is_refused(address: str) -> None:
    for line in (b"GET /v2/ HTTP/1.1\r\n\r\n", b"GET http://127.0.0.1/v2/ HTTP/1.1\r\n\r\n"):
        assert ask(address, line).status == 400
    assert ask(address, b"GET /v2/ HTTP/1.0\r\n\r\n").code == "DENIED"


@pytest.mark.parametrize(
    "noise",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(100),
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"GET /v2/ HTTP/9.9\r\n\r\n",
        b"GET /v2/ HTTP/1.1 HTTP/1.1\r\n\r\n",
        b"get /v2/ HTTP/1.1\r\n\r\n",
        b"GET /v2/\0 HTTP/1.1\r\n\r\n",
        b"GET /v2/\xc3\xa9 HTTP/1.1\r\n\r\n",
        b"GET v2/ HTTP/1.1\r\n\r\n",
        b"CONNECT registry.example:443 HTTP/1.1\r\nHost: a\r\n\r\n",
        b"\r\n" * 10 + b"{}\r\n\r\n",
        bytes(range(256)) * 4,
    ],
)
def test_what_is_no_http_is_hung_up_on(address: str, noise: bytes) -> None:
    with Wire(address) as wire:
        answer = wire.send(noise).answer()
        assert (answer.status, answer.header("connection")) == (400, "close")
        assert wire.read() is None


def test_some_requests_in_one_go_are_answered_in_their_order(address: str) -> None:
    targets = [TARGET, "/v2/", f"/v2/{NAME}/tags/list", "/v2/nowhere"] * 15
    with Wire(address) as wire:
        wire.send(b"".join(request("GET", target) for target in targets))
        answers = [wire.answer() for _ in targets]
    assert [answer.status for answer in answers] == [200, 200, 200, 404] * 15
    assert {answer.body for answer in answers[::4]} == {APP.manifest}


@pytest.mark.parametrize("body", [None, b"{}"])
def test_endless_requests_in_one_go_are_hung_up_on(address: str, body: bytes | None) -> None:
    with Wire(address) as wire:
        wire.send(request("PUT" if body else "GET", TARGET, body=body) * 100_000)
        assert len(list(iter(wire.read, None))) < 1000
