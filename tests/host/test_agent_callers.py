"""Many who ask an agent at once, and who go away before they are answered."""

import contextlib
import json
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.agents import shop
from support.daemons import Daemon, busybox_layer, daemon_of, running_daemon, shop_image
from support.environment import wait_until
from support.hostplaces import HostPlace
from support.sending import assert_answered_while_sending
from support.server import Server, running_server

MANY = 60
"""More than there are threads for answers."""


@pytest.fixture(scope="module")
def registry() -> Iterator[Server]:
    with running_server() as server:
        shop_image("1", busybox_layer()).push(server, "library/shop", "1")
        yield server


@pytest.fixture
def daemon(place: HostPlace, registry: Server) -> Iterator[Daemon]:
    found = daemon_of(place, registry)
    with running_daemon(found):
        quiet = {"command": {"cmd": "/bin/sleep", "args": ["100000"]}, "stop": {"grace_s": 0}}
        found.climg("set-create", "--wait", "-", stdin=json.dumps(shop(quiet, networks=[])))
        yield found
        found.climg("set-delete", "shop", "--yes", "--wait")


@contextlib.contextmanager
def asked(daemon: Daemon, request: str) -> Iterator[list[socket.socket]]:
    """MANY who ask the same thing."""
    with contextlib.ExitStack() as stack:
        links = []
        for _ in range(MANY):
            link = stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
            link.connect(str(daemon.socket))
            link.sendall(request.encode())
            links.append(link)
        yield links


def seconds_for_a_list(daemon: Daemon) -> float:
    began = time.monotonic()
    daemon.climg("set-list")
    return time.monotonic() - began


def test_who_follows_quiet_output_holds_nobody_up_there_or_gone(daemon: Daemon) -> None:
    request = "GET /sets/shop/logs?follow=1 HTTP/1.1\r\nHost: agent\r\n\r\n"
    with asked(daemon, request) as links:
        for link in links:
            link.settimeout(30)
            assert b" 200 " in link.recv(4096)
        assert seconds_for_a_list(daemon) < 10
        daemon.climg("set-exec", "shop", "--", "/bin/sh", "-c", "echo heard > /proc/1/fd/1")
        assert b"heard" in links[-1].recv(4096)
    assert seconds_for_a_list(daemon) < 10


def test_who_runs_long_programs_holds_nobody_up(daemon: Daemon) -> None:
    body = json.dumps({"cmd": "/bin/sleep", "args": ["25"]})
    head = f"POST /sets/shop/exec HTTP/1.1\r\nHost: agent\r\nContent-Length: {len(body)}\r\n\r\n"
    began = time.monotonic()
    with asked(daemon, head + body) as links:
        wait_until(lambda: count_of(daemon, "sleep 25") > 40, "many programs", 60)
        left = 25 - (time.monotonic() - began)
        assert seconds_for_a_list(daemon) < max(left, 5)
        for link in links:
            link.settimeout(60)
            assert b"exit-code: 0" in link.recv(4096)


def test_who_is_refused_in_the_middle_of_a_body_may_send_it_and_reads_why(daemon: Daemon) -> None:
    for request, status in (("PUT /cache", 405), ("POST /sets/none/start", 404)):
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
            client.connect(str(daemon.socket))
            assert_answered_while_sending(client, request, status)


def test_bodies_and_heads_without_an_end_take_no_memory_and_leave_no_traceback(
    daemon: Daemon,
) -> None:
    pid = next(pid for pid, each in daemon.place.processes().items() if "berth agent" in each)
    piece = b"a" * (1 << 20)
    chunked = b"POST /sets HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
    values = b"[" + b"{}," * 1_390_000 + b"0]"
    document = b"POST /sets HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % len(values)
    before = peak(pid)
    for head, each, status in (
        (chunked, b"100000\r\n" + piece + b"\r\n", b" 413 "),
        (b"GET /sets HTTP/1.1\r\nHost: a\r\nX: ", piece, b" 431 "),
    ):
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
            client.connect(str(daemon.socket))
            client.sendall(head)
            with contextlib.suppress(OSError):
                for _ in range(300):
                    client.sendall(each)
            assert status in client.recv(4096)
    with asked(daemon, (document + values).decode()) as links:
        for link in links:
            link.settimeout(60)
            assert link.recv(4096).split()[1] in {b"400", b"503"}
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        client.connect(str(daemon.socket))
        client.sendall(chunked)
    assert peak(pid) - before < 200 << 10
    assert "Traceback" not in daemon.tail()


def test_numbers_and_keys_beyond_any_are_refused(daemon: Daemon) -> None:
    number = "9" * 5000
    for request, status in (
        (f"PUT /sets/shop HTTP/1.1\r\nIf-Match: {number}", 409),
        (f"GET /sets/shop/logs?tail={number} HTTP/1.1", 422),
        (f"GET /sets/shop/logs?tail={'9' * 18} HTTP/1.1", 200),
        (f"POST /sets HTTP/1.1\r\nIdempotency-Key: {'k' * 256}", 422),
    ):
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
            client.connect(str(daemon.socket))
            client.sendall(f"{request}\r\nHost: a\r\nContent-Length: 2\r\n\r\n{{}}".encode())
            assert client.recv(4096).split()[1] == str(status).encode(), request[:60]
    assert "Traceback" not in daemon.tail()


def peak(pid: int) -> int:
    """KiB of memory that a process had at most."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(each.split()[1]) for each in lines if each.startswith("VmHWM"))


def count_of(daemon: Daemon, words: str) -> int:
    return sum(each == f"/bin/{words}" for each in daemon.place.processes().values())
