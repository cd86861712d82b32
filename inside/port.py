"""Looks at ports in network namespaces, from outside them."""

import contextlib
import ctypes
import os
import socket
import threading
from pathlib import Path
from typing import Final

_NEWNET: Final = 0x40000000

_libc = ctypes.CDLL(None, use_errno=True)


def takes_connection(namespace: Path | None, address: str, port: int, seconds: float) -> bool:
    """Whether somebody takes a connection at *address* in a network namespace."""
    with contextlib.suppress(OSError), _connect(namespace, address, port, seconds):
        return True
    return False


def answers_get(namespace: Path | None, address: str, port: int, path: str, seconds: float) -> bool:
    """Whether GET is answered with 200 to 399."""
    host = f"[{address}]" if ":" in address else address
    request = f"GET {path} HTTP/1.0\r\nHost: {host}:{port}\r\nUser-Agent: berth\r\n\r\n"
    with (
        contextlib.suppress(OSError, ValueError, IndexError),
        _connect(namespace, address, port, seconds) as link,
    ):
        link.sendall(request.encode())
        line = link.recv(256).split(b"\r\n")[0]
        return line.startswith(b"HTTP/") and 200 <= int(line.split()[1]) < 400
    return False


def _connect(namespace: Path | None, address: str, port: int, seconds: float) -> socket.socket:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    link = _socket(namespace, family)
    try:
        link.settimeout(seconds)
        link.connect((address, port))
    except OSError:
        link.close()
        raise
    return link


def _socket(namespace: Path | None, family: socket.AddressFamily) -> socket.socket:
    """A socket that lives in *namespace*: a thread of its own enters it, makes one, and ends."""
    if namespace is None:
        return socket.socket(family, socket.SOCK_STREAM)
    made: list[socket.socket] = []
    failed: list[OSError] = []

    def work() -> None:
        try:
            handle = os.open(namespace, os.O_RDONLY | os.O_CLOEXEC)
            try:
                if _libc.setns(handle, _NEWNET):
                    number = ctypes.get_errno()
                    failed.append(OSError(number, os.strerror(number)))
                    return
            finally:
                os.close(handle)
            made.append(socket.socket(family, socket.SOCK_STREAM))
        except OSError as error:
            failed.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    if failed:
        raise failed[0]
    return made[0]
