"""Who is refused while still sending reads why, and is not kept for ever."""

import asyncio
import contextlib
import select
import socket
import ssl
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import uvicorn
from starlette.responses import PlainTextResponse

from lingering import transport
from registry.v2api import protocol
from support.certificates import make_certificate
from support.holdings import unharmed
from support.server import Server, Settings, running_server
from support.wire import Wire, chunked, request

NO_DIGEST = "/v2/library/app/blobs/uploads/?digest=none"
CLOSE = b"Connection: close"
SIZE = 4 << 20
"""More than lies in the buffers of two sockets that nobody reads."""


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with running_server() as server:
        yield server


@pytest.fixture
def address(server: Server) -> Iterator[str]:
    with unharmed(server):
        yield server.address


def wait_answered(wire: Wire) -> None:
    readable, _, _ = select.select([wire.socket], [], [], 20)
    assert readable, "no answer came"


@pytest.mark.parametrize("coding", [b"Content-Length: %d" % SIZE, b"Transfer-Encoding: chunked"])
def test_who_is_refused_in_the_middle_of_a_body_may_send_it_and_reads_why(
    address: str, coding: bytes
) -> None:
    body = bytes(SIZE)
    if coding.startswith(b"T"):
        body = chunked(*[bytes(1 << 20)] * 4)
    with Wire(address) as wire:
        wire.socket.sendall(request("POST", NO_DIGEST, CLOSE, coding) + body[:1000])
        wait_answered(wire)
        wire.socket.sendall(body[1000:])
        answer = wire.answer()
        assert (answer.status, answer.code) == (400, "DIGEST_INVALID")
        assert answer.header("connection") == "close"
        assert wire.read() is None


def test_so_it_is_behind_tls(tmp_path: Path) -> None:
    certificate = make_certificate(tmp_path)
    keys = {"tls_certificate": str(certificate.chain), "tls_key": str(certificate.key)}
    trusting = ssl.create_default_context(cafile=certificate.chain)
    with (
        running_server(Settings(http=keys)) as server,
        Wire(server.address) as wire,
        trusting.wrap_socket(wire.socket, server_hostname="127.0.0.1") as secure,
    ):
        length = b"Content-Length: %d" % SIZE
        secure.sendall(request("POST", NO_DIGEST, CLOSE, length) + bytes(1000))
        answer = secure.recv(10_000)
        assert answer.startswith(b"HTTP/1.1 400 ")
        secure.sendall(bytes(SIZE - 1000))
        while more := secure.recv(10_000):
            answer += more
        assert b"DIGEST_INVALID" in answer


def test_who_sends_no_http_reads_so(address: str) -> None:
    with Wire(address) as wire:
        wire.socket.sendall(b"\x16\x03\x01\x00\xde\x01\x00\x00\xda\x03\x03")
        wait_answered(wire)
        for _ in range(100):
            wire.socket.sendall(bytes(1000))
        assert wire.socket.recv(100).startswith(b"HTTP/1.1 400 ")


def test_a_request_behind_the_last_answer_is_not_carried_out(address: str) -> None:
    with Wire(address) as wire:
        wire.socket.sendall(request("POST", NO_DIGEST, CLOSE, b"Content-Length: 10"))
        wait_answered(wire)
        wire.send(bytes(10) + request("POST", "/v2/library/app/blobs/uploads/", body=b""))
        assert wire.answer().code == "DIGEST_INVALID"
        assert wire.read() is None


@contextlib.asynccontextmanager
async def refusing() -> AsyncIterator[int]:
    """The port of a server that reads no body."""
    config = uvicorn.Config(
        PlainTextResponse("no", 403),
        http=protocol.BoundedHttpProtocol,
        port=0,
        ws="none",
        lifespan="off",
        log_config=None,
    )
    server = uvicorn.Server(config)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        serving = asyncio.create_task(server.serve([listener]))
        yield listener.getsockname()[1]
        server.should_exit = True
        await serving


@pytest.fixture
def quiet(monkeypatch: pytest.MonkeyPatch) -> float:
    seconds = 0.2
    monkeypatch.setattr(transport, "QUIET_SECONDS", seconds)
    return seconds


async def send_on(writer: asyncio.StreamWriter, pause: float, times: int) -> None:
    for _ in range(times):
        writer.write(b"more")
        await writer.drain()
        await asyncio.sleep(pause)


async def test_who_stops_in_the_middle_is_hung_up_on(quiet: float) -> None:
    async with refusing() as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(request("POST", "/", CLOSE, b"Content-Length: 1000"))
        assert (await reader.read()).startswith(b"HTTP/1.1 403 ")
        await asyncio.sleep(3 * quiet)
        with pytest.raises(ConnectionError):
            await send_on(writer, quiet, 3)
        writer.close()


async def test_who_sends_for_ever_is_hung_up_on(quiet: float) -> None:
    async with refusing() as port:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(request("POST", "/", CLOSE, b"Content-Length: 1000000"))
        began = time.monotonic()
        with pytest.raises(ConnectionError):
            await send_on(writer, quiet / 4, 400)
        assert time.monotonic() - began > transport.ROUNDS * quiet / 2
        writer.close()
