"""Manifests, indexes and configs that mean harm: refused, or kept byte for byte and no burden."""

import base64
import json
import time
from collections.abc import Iterator
from typing import Any

import pytest

from registry.oci.descriptor import OCI_CONFIG, OCI_INDEX, OCI_MANIFEST
from registry.oci.digest import Digest
from support.builders import LAYER, descriptor, image
from support.holdings import faultless, hold_kept, unharmed
from support.hostile import VALUES, kind, places, replaced, value_at
from support.server import Server, running_server
from support.wire import Wire, ask, chunked, push_image, put_manifest, request

NAME = "library/app"
APP = image("base", "top")
TARGET = f"/v2/{NAME}/manifests/new"
LIMIT = 4 << 20
KIND = b"Content-Type: " + OCI_MANIFEST.encode()

WHOLE = APP.manifest.decode()
BOMBS: dict[str, bytes] = {
    "nothing": b"",
    "null": b"null",
    "a number": b"2",
    "a text": b'"schemaVersion"',
    "a list": b"[]",
    "no JSON": b"schemaVersion: 2",
    "open lists": b"[" * LIMIT,
    "lists": b"[" * (LIMIT // 2) + b"]" * (LIMIT // 2),
    "objects": b'{"a":' * (LIMIT // 8),
    "lists in a member": b'{"schemaVersion":2,"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "almost too deep": b'{"schemaVersion":2,"a":' + b"[" * 900 + b'"\\u0041"' + b"]" * 900 + b"}",
    "a long number": b"9" * LIMIT,
    "a long number in a member": WHOLE.replace("2", "9" * 100_000, 1).encode(),
    "a long fraction": b"0." + b"9" * (LIMIT - 2),
    "a large exponent": WHOLE.replace('"schemaVersion": 2', '"schemaVersion": 2e99999').encode(),
    "two point zero": WHOLE.replace('"schemaVersion": 2', '"schemaVersion": 2.0').encode(),
    "NaN": WHOLE.replace("{", '{"a": NaN, ', 1).encode(),
    "Infinity": WHOLE.replace("{", '{"a": -Infinity, ', 1).encode(),
    "a member twice": WHOLE.replace("{", '{"layers": [], ', 1).encode(),
    "a member twice, spelt otherwise": WHOLE.replace("{", '{"\\u006cayers": [], ', 1).encode(),
    "a digest twice": WHOLE.replace('"digest"', '"digest": "x", "digest"', 1).encode(),
    "a byte order mark": b"\xef\xbb\xbf" + APP.manifest,
    "UTF-16": WHOLE.encode("utf-16"),
    "UTF-32": WHOLE.encode("utf-32-be"),
    "Latin-1": WHOLE.replace("{", '{"a": "\xe9", ', 1).encode("latin-1"),
    "half a character": WHOLE.encode() + b"\xc3",
    "an overlong slash": WHOLE.replace("{", '{"a": "?", ', 1).encode().replace(b"?", b"\xc0\xaf"),
    "half a pair": WHOLE.replace("{", '{"a": "\\ud800", ', 1).encode(),
    "half a pair in bytes": WHOLE.replace("{", '{"a": "?", ', 1)
    .encode()
    .replace(b"?", b"\xed\xa0\x80"),
    "a NUL behind it": APP.manifest + b"\0",
    "more behind it": APP.manifest + APP.manifest,
    "a comment": b"/* */" + APP.manifest,
    "a comma too many": WHOLE[:-1].encode() + b",}",
    "single quotes": WHOLE.replace('"', "'").encode(),
    "a line feed in a text": WHOLE.replace("{", '{"a": "\n", ', 1).encode(),
}


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with running_server() as server:
        push_image(server.address, NAME, "1", APP)
        yield server


@pytest.fixture
def address(server: Server) -> Iterator[str]:
    with unharmed(server):
        yield server.address


@pytest.fixture
def kept(server: Server) -> Iterator[str]:
    """The address of a server that may keep what it is given."""
    with faultless(server):
        yield server.address


@pytest.mark.parametrize("content", BOMBS.values(), ids=BOMBS)
def test_a_document_that_is_none_is_refused_at_once(address: str, content: bytes) -> None:
    assert len(content) <= LIMIT
    began = time.monotonic()
    for reference in ("new", str(Digest.of(content))):
        for media_type in (OCI_MANIFEST, OCI_INDEX):
            answer = put_manifest(address, NAME, reference, content, media_type)
            assert (answer.status, answer.code) == (400, "MANIFEST_INVALID")
            assert len(answer.body) < 1000
    assert time.monotonic() - began < 10


def test_a_manifest_beyond_the_limit_is_refused_before_it_came(address: str) -> None:
    for expect in (b"Expect: 100-continue", b"Accept: */*"):
        head = request("PUT", TARGET, KIND, expect, b"Content-Length: %d" % (LIMIT + 1))
        with Wire(address) as wire:
            wire.socket.sendall(head)
            assert wire.socket.recv(1 << 16).startswith(b"HTTP/1.1 413 ")
    endless = request("PUT", TARGET, KIND, b"Transfer-Encoding: chunked")
    with Wire(address) as wire:
        wire.send(endless, *[b"100000\r\n%b\r\n" % bytes(1 << 20)] * 5)
        answer = wire.answer()
        assert (answer.status, answer.code) == (413, "MANIFEST_INVALID")
    filled = APP.manifest.ljust(LIMIT)
    by_digest = f"/v2/{NAME}/manifests/{APP.digest}"
    for body, status in ((filled, 400), (filled + b" ", 413)):
        assert ask(address, request("PUT", by_digest, KIND, body=body)).status == status
        head = request("PUT", by_digest, KIND, b"Transfer-Encoding: chunked")
        assert ask(address, head, chunked(body)).status == status


# -- wrong types --------------------------------------------------------------------------------

SUBJECT = {
    **descriptor(OCI_MANIFEST, APP.manifest),
    "artifactType": "a/b",
    "annotations": {"a": ""},
}
FULL_MANIFEST: dict[str, Any] = {
    **json.loads(APP.manifest),
    "artifactType": "application/vnd.example+type",
    "config": {
        **descriptor(OCI_CONFIG, APP.config),
        "data": base64.b64encode(APP.config).decode(),
        "annotations": {"a": "b"},
    },
    "layers": [
        descriptor(LAYER, APP.layers[0]),
        {**descriptor(LAYER, b"elsewhere"), "urls": ["https://registry.example/1"]},
    ],
    "subject": SUBJECT,
    "annotations": {"org.opencontainers.image.title": "app"},
}
FULL_INDEX: dict[str, Any] = {
    "schemaVersion": 2,
    "mediaType": OCI_INDEX,
    "artifactType": "application/vnd.example+type",
    "manifests": [
        {
            **descriptor(OCI_MANIFEST, APP.manifest),
            "platform": {"os": "linux", "architecture": "amd64", "os.features": ["a"]},
        }
    ],
    "subject": SUBJECT,
    "annotations": {"a": "b"},
}


@pytest.mark.parametrize(
    ("document", "media_type"),
    [(FULL_MANIFEST, OCI_MANIFEST), (FULL_INDEX, OCI_INDEX)],
    ids=["a manifest", "an index"],
)
def test_a_wrong_type_in_any_field_is_refused(
    address: str, document: dict[str, Any], media_type: str
) -> None:
    for path in places(document):
        for value in VALUES:
            same = kind(value) == kind(value_at(document, path))
            if same or value is None or "platform" in path[:-1]:
                continue  # it may be right; see below
            content = json.dumps(replaced(document, path, value)).encode()
            answer = put_manifest(address, NAME, "new", content, media_type)
            assert (answer.status, answer.code) == (400, "MANIFEST_INVALID"), (path, value)


@pytest.mark.parametrize(
    ("document", "media_type"),
    [(FULL_MANIFEST, OCI_MANIFEST), (FULL_INDEX, OCI_INDEX)],
    ids=["a manifest", "an index"],
)
def test_any_value_in_any_field_is_refused_or_kept_as_it_is(
    kept: str, document: dict[str, Any], media_type: str
) -> None:
    for path in places(document):
        for value in VALUES:
            content = json.dumps(replaced(document, path, value)).encode()
            answer = put_manifest(kept, NAME, "new", content, media_type)
            if answer.status == 201:
                hold_kept(kept, NAME, content, media_type)
            else:
                assert answer.status == 400
                assert answer.code in {"MANIFEST_INVALID", "MANIFEST_BLOB_UNKNOWN"}
