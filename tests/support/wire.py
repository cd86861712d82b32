"""HTTP by hand: requests that no client would send, over a socket, and the answers to them."""

import contextlib
import json
import socket
from dataclasses import dataclass
from typing import BinaryIO, Self

from registry.oci.descriptor import OCI_MANIFEST
from registry.oci.digest import Digest
from support.builders import Image

HOST = b"Host: 127.0.0.1\r\n"
ERRORS = frozenset(
    (
        "BLOB_UNKNOWN",
        "BLOB_UPLOAD_INVALID",
        "BLOB_UPLOAD_UNKNOWN",
        "DIGEST_INVALID",
        "MANIFEST_BLOB_UNKNOWN",
        "MANIFEST_INVALID",
        "MANIFEST_UNKNOWN",
        "NAME_INVALID",
        "NAME_UNKNOWN",
        "SIZE_INVALID",
        "UNAUTHORIZED",
        "DENIED",
        "UNSUPPORTED",
        "TOOMANYREQUESTS",
    )
)
"""The distribution-spec's table of error codes."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What the server said to one request."""

    status: int
    headers: tuple[tuple[str, str], ...]
    """Names in lower case."""
    body: bytes

    def header(self, name: str) -> str:
        """The one header of *name*."""
        (value,) = [value for each, value in self.headers if each == name]
        return value

    @property
    def code(self) -> str:
        """The code of a refusal, whose form the specification fixes."""
        assert self.header("content-type") == "application/json", self
        return error_code(self.body)


def error_code(body: bytes) -> str:
    """The one code of an error's *body*."""
    (error,) = json.loads(body)["errors"]
    assert set(error) == {"code", "message", "detail"}, error
    assert error["code"] in ERRORS, error
    return str(error["code"])


class Wire:
    """One connection to a server."""

    def __init__(self, address: str, seconds: float = 20) -> None:
        host, _, port = address.partition(":")
        self.socket = socket.create_connection((host, int(port)), seconds)
        self._answers: BinaryIO = self.socket.makefile("rb")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._answers.close()
        self.socket.close()

    def send(self, *pieces: bytes) -> Self:
        """Send all; that the server hung up meanwhile is no error, for it may have answered."""
        with contextlib.suppress(ConnectionError):
            for piece in pieces:
                self.socket.sendall(piece)
        return self

    def read(self, *, body: bool = True) -> Answer | None:
        """The next answer, or None where the server closed the connection without one."""
        with contextlib.suppress(ConnectionResetError):
            line = self._answers.readline()
            while line.startswith(b"HTTP/1.1 100 "):
                assert self._answers.readline() == b"\r\n"
                line = self._answers.readline()
            if line:
                return self._read(line, body=body)
        return None

    def answer(self, *, body: bool = True) -> Answer:
        """The next answer, which must come; *body* False: HEAD was asked."""
        answer = self.read(body=body)
        assert answer is not None, "the server hung up without a word"
        return answer

    def _read(self, line: bytes, *, body: bool) -> Answer:
        version, status, _ = line.decode("ascii").split(" ", 2)
        assert version == "HTTP/1.1", line
        headers = []
        while (line := self._answers.readline()) != b"\r\n":
            name, colon, value = line.decode("latin-1").partition(":")
            assert colon, line
            headers.append((name.lower(), value.strip()))
        lengths = [int(value) for name, value in headers if name == "content-length"]
        if status == "204" or not body:
            lengths = [0]
        (length,) = lengths
        content = self._answers.read(length)
        assert len(content) == length, "the answer was cut short"
        return Answer(int(status), tuple(headers), content)


def ask(address: str, *pieces: bytes) -> Answer:
    """One request on a connection of its own."""
    with Wire(address) as wire:
        return wire.send(*pieces).answer()


def request(
    method: str, target: str | bytes, *headers: bytes, body: bytes | None = None, host: bytes = HOST
) -> bytes:
    """The bytes of a request; Content-Length goes by itself if there is a *body*."""
    if isinstance(target, str):
        target = target.encode()
    lines = [b"%b %b HTTP/1.1\r\n" % (method.encode(), target), host]
    lines += [header + b"\r\n" for header in headers]
    if body is not None:
        lines.append(b"Content-Length: %d\r\n" % len(body))
    return b"".join([*lines, b"\r\n", body or b""])


def push_blob(address: str, name: str, content: bytes) -> str:
    """Push in one request; answer the digest."""
    digest = str(Digest.of(content))
    target = f"/v2/{name}/blobs/uploads/?digest={digest}"
    assert ask(address, request("POST", target, body=content)).status == 201
    return digest


def put_manifest(
    address: str, name: str, reference: str, content: bytes, media_type: str = OCI_MANIFEST
) -> Answer:
    """The answer to the PUT of a manifest."""
    target = f"/v2/{name}/manifests/{reference}"
    kind = b"Content-Type: " + media_type.encode()
    return ask(address, request("PUT", target, kind, body=content))


def push_image(address: str, name: str, tag: str, image: Image) -> None:
    """Push blobs and manifest."""
    for blob in image.blobs:
        push_blob(address, name, blob)
    assert put_manifest(address, name, tag, image.manifest).status == 201


def chunked(*chunks: bytes, trailers: bytes = b"") -> bytes:
    """*chunks* in HTTP's chunked coding, to its end; *trailers* are whole lines."""
    coded = [b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks]
    return b"".join([*coded, b"0\r\n", trailers, b"\r\n"])
