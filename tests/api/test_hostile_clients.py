"""Clients that are slow, go away, read nothing or come in crowds: the others are served."""

import asyncio
import contextlib
import json
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator

import pytest
import uvicorn
from starlette.responses import PlainTextResponse

from lingering import bounded
from registry.oci.digest import Digest
from registry.v2api import protocol
from support.builders import image
from support.environment import wait_until
from support.holdings import memory, unharmed
from support.server import Server, Settings, running_server
from support.wire import Wire, ask, push_blob, push_image, request

NAME = "library/app"
APP = image("base")
TARGET = f"/v2/{NAME}/manifests/1"
UPLOADS = f"/v2/{NAME}/blobs/uploads/"
NEW = b"never stored" * 1000
POST = f"{UPLOADS}?digest={Digest.of(NEW)}"
CHUNKED = b"Transfer-Encoding: chunked"
PATIENCE = 2
"""Seconds that the server waits for a body's next byte."""
LARGE = bytes(64 << 20)


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    patience = {"BERTH_HTTP_BODY_TIMEOUT": str(PATIENCE)}
    with running_server(Settings(environment=patience)) as server:
        push_image(server.address, NAME, "1", APP)
        push_blob(server.address, NAME, LARGE)
        yield server


@pytest.fixture
def address(server: Server) -> Iterator[str]:
    with unharmed(server):
        yield server.address


@pytest.fixture
def upload(address: str) -> Iterator[str]:
    """A session's address; the session is cancelled in the end."""
    target = ask(address, request("POST", UPLOADS, body=b"")).header("location")
    yield target
    assert ask(address, request("DELETE", target)).status == 204


def hang_up(wire: Wire) -> None:
    """End the connection."""
    wire.socket.shutdown(socket.SHUT_RDWR)


def reset(wire: Wire) -> None:
    """Break the connection: the server is told by RST, not by FIN."""
    wire.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


GOING = pytest.mark.parametrize("go", [hang_up, reset])


def range_of(address: str, upload: str) -> str:
    return ask(address, request("GET", upload)).header("range")


def test_a_body_that_comes_byte_by_byte_holds_nobody_up(address: str, upload: str) -> None:
    targets = [("PATCH", upload), *[("POST", POST)] * 20, *[("PUT", TARGET)] * 20]
    with contextlib.ExitStack() as stack:
        slow = [
            stack.enter_context(Wire(address)).send(request(method, target, b"Content-Length: 6"))
            for method, target in targets
        ]
        for byte in (b"h", b"e", b"l", b"l", b"o"):
            for wire in slow:
                wire.send(byte)
            began = time.monotonic()
            assert ask(address, request("GET", TARGET)).body == APP.manifest
            assert ask(address, request("GET", UPLOADS + "1")).status == 404
            assert time.monotonic() - began < 1
            time.sleep(PATIENCE / 4)
        answers = [wire.send(b"!").answer() for wire in slow]
    assert answers[0].header("range") == "0-5"
    codes = [(answer.status, answer.code) for answer in answers[1:]]
    assert codes == [(400, "DIGEST_INVALID")] * 20 + [(400, "MANIFEST_INVALID")] * 20


def test_a_body_that_stops_is_given_up(address: str) -> None:
    length = b"Content-Length: 1000"
    begun = [
        (length, b""),
        (length, NEW[:500]),
        (CHUNKED, b"5\r\nhello\r\n"),
        (CHUNKED, b"5\r\nhel"),
    ]
    with contextlib.ExitStack() as stack:
        wires = [
            stack.enter_context(Wire(address)).send(request(method, target, header), begin)
            for method, target in (("POST", POST), ("PUT", TARGET))
            for header, begin in begun
        ]
        for wire in wires:
            answer = wire.answer()
            assert (answer.status, answer.code) == (408, "BLOB_UPLOAD_INVALID")


async def test_a_head_that_does_not_end_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounded, "HEAD_SECONDS", 0.3)
    http = protocol.BoundedHttpProtocol
    config = uvicorn.Config(
        PlainTextResponse("OK"), http=http, ws="none", lifespan="off", log_config=None
    )
    server = uvicorn.Server(config)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        serving = asyncio.create_task(server.serve([listener]))
        whole = request("GET", "/")
        for begin in (b"", b"GET / HT", b"GET / HTTP/1.1\r\nA:", whole + b"GET", whole * 2 + b"G"):
            reader, writer = await asyncio.open_connection(*listener.getsockname())
            writer.write(begin)
            answers = await reader.read()
            assert answers.count(b"HTTP/1.1 200") == begin.count(whole)
            assert answers.count(b"HTTP/1.1 408 Request Timeout") == 1
            writer.close()
            await writer.wait_closed()
        server.should_exit = True
        await serving


def test_of_a_chunk_that_stops_what_came_is_kept(address: str, upload: str) -> None:
    with Wire(address) as wire:
        head = request("PATCH", upload, b"Content-Length: 1000", b"Content-Range: 0-999")
        answer = wire.send(head, NEW[:600]).answer()
        assert (answer.status, answer.code) == (408, "BLOB_UPLOAD_INVALID")
    assert range_of(address, upload) == "0-599"
    more = request("PATCH", upload, b"Content-Range: 600-999", body=NEW[600:1000])
    assert ask(address, more).header("range") == "0-999"


@GOING
@pytest.mark.parametrize("coding", [b"Content-Length: 12000", CHUNKED])
def test_who_goes_away_leaves_nothing_half_stored(
    address: str, coding: bytes, go: Callable[[Wire], None]
) -> None:
    begin = b"fff\r\n" if coding == CHUNKED else b""
    for method, target in (("POST", POST), ("PUT", TARGET), ("POST", f"{POST}&n=2")):
        for size in (0, 1, 1000):
            with Wire(address) as wire:
                wire.send(request(method, target, coding), begin, NEW[:size])
                time.sleep(0.05)
                go(wire)


@GOING
def test_who_goes_away_in_a_chunk_finds_what_came(
    address: str, upload: str, go: Callable[[Wire], None]
) -> None:
    with Wire(address) as wire:
        wire.send(request("PATCH", upload, b"Content-Length: 12000"), NEW[:5000])
        time.sleep(0.2)
        go(wire)
    wait_until(lambda: range_of(address, upload) == "0-4999", "what came")
    more = request("PATCH", upload, b"Content-Range: 5000-11999", body=NEW[5000:])
    wait_until(lambda: ask(address, more).status == 202, "the end of the broken request")
    assert range_of(address, upload) == "0-11999"


@GOING
def test_for_who_goes_away_no_more_is_read(
    server: Server, address: str, go: Callable[[Wire], None]
) -> None:
    logged = server.log.stat().st_size
    with Wire(address) as wire:
        wire.send(request("GET", f"/v2/{NAME}/blobs/{Digest.of(LARGE)}"))
        wire.socket.recv(1000)
        go(wire)

    def lines() -> list[str]:
        text = server.log.read_text("utf-8")[logged:]
        return [line for line in text.splitlines() if "blobs/sha256" in line]

    wait_until(lambda: len(lines()) == 1, "the line of the access log")
    assert json.loads(lines()[0])["bytes"] < len(LARGE) // 2


def test_who_reads_nothing_fills_no_memory(server: Server, address: str) -> None:
    before = memory(server.process.pid)
    with contextlib.ExitStack() as stack:
        for _ in range(40):
            wire = stack.enter_context(Wire(address))
            wire.send(request("GET", f"/v2/{NAME}/blobs/{Digest.of(LARGE)}"))
        for _ in range(40):
            wire = stack.enter_context(Wire(address))
            wire.socket.settimeout(0.2)
            with contextlib.suppress(TimeoutError, ConnectionError):  # it may hang up on them
                wire.socket.sendall(request("GET", TARGET) * 20_000)
        assert ask(address, request("GET", "/v2/")).status == 200
        assert memory(server.process.pid) - before < 256 << 20


def test_a_crowd_that_says_nothing_keeps_nobody_out(address: str) -> None:
    half = (b"", b"GET /v2/ HT", request("POST", POST, b"Content-Length: 9"), b"\r\n")
    with contextlib.ExitStack() as stack:
        crowd = [stack.enter_context(Wire(address)) for _ in range(1500)]
        for number, wire in enumerate(crowd):
            wire.send(half[number % len(half)])
        began = time.monotonic()
        for target in ("/v2/", TARGET, f"/v2/{NAME}/tags/list"):
            assert ask(address, request("GET", target)).status == 200
        assert time.monotonic() - began < 5


def test_of_writers_side_by_side_one_is_taken(address: str, upload: str) -> None:
    """Each says that it begins at byte 0."""
    contents = [bytes([number]) * 200_000 for number in range(8)]
    answers = {}

    def write(content: bytes) -> None:
        head = request("PATCH", upload, b"Content-Range: 0-199999", b"Content-Length: 200000")
        with Wire(address) as wire:
            for start in range(0, len(content), 50_000):
                wire.send(head if start == 0 else b"", content[start : start + 50_000])
                time.sleep(0.02)
            answers[content] = wire.answer()

    threads = [threading.Thread(target=write, args=(content,)) for content in contents]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    (taken,) = [content for content, answer in answers.items() if answer.status == 202]
    refused = [answer for content, answer in answers.items() if content != taken]
    assert {answer.code for answer in refused} == {"BLOB_UPLOAD_INVALID"}
    assert {answer.status for answer in refused} <= {409, 416}
    wrong = contents[0] if taken != contents[0] else contents[1]
    answer = ask(address, request("PUT", f"{upload}?digest={Digest.of(wrong)}", body=b""))
    assert answer.code == "DIGEST_INVALID"
    assert f"the 200000 bytes uploaded are {Digest.of(taken)}" in answer.body.decode()
