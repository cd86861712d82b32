"""Clients who hear an answer while they are sending a body yet."""

import select
import socket

SIZE = 4 << 20
"""More than lies in the buffers of two sockets that nobody reads."""


def assert_answered_while_sending(client: socket.socket, request: str, status: int) -> None:
    """Send a request's beginning, and when it is answered the rest, as most clients do.

    They can send all of it, and read the answer then and the connection's end.
    """
    client.settimeout(30)
    head = f"{request} HTTP/1.1\r\nHost: agent\r\nConnection: close\r\nContent-Length: {SIZE}"
    client.sendall(f"{head}\r\n\r\n".encode() + bytes(1000))
    readable, _, _ = select.select([client], [], [], 20)
    assert readable, "no answer came"
    client.sendall(bytes(SIZE - 1000))
    answer = client.makefile("rb").read()
    assert answer.startswith(b"HTTP/1.1 %d " % status), answer
