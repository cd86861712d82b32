"""Configs that cannot be read, and documents that name very much: kept, and no burden."""

import json
import threading
import time
from collections.abc import Iterator
from typing import Any, Self

import pytest

from registry.oci import chain
from registry.oci.descriptor import OCI_CONFIG, OCI_INDEX, OCI_MANIFEST
from registry.oci.digest import Digest
from support.builders import descriptor, image
from support.holdings import faultless, hold_kept, records
from support.hostile import VALUES, places, replaced
from support.server import Server, running_server
from support.wire import ask, push_blob, push_image, put_manifest, request

NAME = "library/app"
APP = image("base", "top")
CONFIG: dict[str, Any] = json.loads(APP.config)


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with running_server() as server:
        push_image(server.address, NAME, "1", APP)
        yield server


@pytest.fixture
def address(server: Server) -> Iterator[str]:
    with faultless(server):
        yield server.address


ODD_CONFIGS: dict[str, bytes] = {
    "nothing": b"",
    "no JSON": b"\x1f\x8b\x08",
    "deep": b"[" * 1_000_000,
    "a long number": b'{"os": ' + b"9" * 100_000 + b"}",
    "too large to read": b" " * (5 << 20),
    "half a pair": APP.config.replace(b"add base", b"\\ud800"),
    "a NUL": APP.config.replace(b"add base", b"\\u0000"),
    "a megabyte of words": APP.config.replace(b"add base", b"RUN x" * 200_000),
    "another number of layers": json.dumps(
        {**CONFIG, "rootfs": {"type": "layers", "diff_ids": [f"sha256:{0:064}"] * 9999}}
    ).encode(),
    "a long history": json.dumps({**CONFIG, "history": [{}] * 99_999}).encode(),
}


def with_config(config: bytes) -> bytes:
    document = {**json.loads(APP.manifest), "config": descriptor(OCI_CONFIG, config)}
    return json.dumps(document).encode()


@pytest.mark.parametrize("config", ODD_CONFIGS.values(), ids=ODD_CONFIGS)
def test_a_config_that_cannot_be_read_only_shows_less(address: str, config: bytes) -> None:
    push_blob(address, NAME, config)
    assert put_manifest(address, NAME, "new", with_config(config)).status == 201
    hold_kept(address, NAME, with_config(config), OCI_MANIFEST)


def test_any_value_in_any_field_of_a_config_is_taken(address: str) -> None:
    for path in places(CONFIG):
        for value in VALUES:
            config = json.dumps(replaced(CONFIG, path, value)).encode()
            push_blob(address, NAME, config)
            assert put_manifest(address, NAME, "new", with_config(config)).status == 201
            hold_kept(address, NAME, with_config(config), OCI_MANIFEST)


class Bystander:
    """Somebody who asks for something small again and again; how long it took, in seconds."""

    def __init__(self, address: str) -> None:
        self.worst = 0.0
        self._address = address
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._ask)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _ask(self) -> None:
        while not self._ended.wait(0.01):
            began = time.monotonic()
            assert ask(self._address, request("GET", f"/v2/{NAME}/tags/list")).status == 200
            self.worst = max(self.worst, time.monotonic() - began)


def test_ten_thousands_of_unknown_layers_are_refused(address: str) -> None:
    layers = [{"mediaType": "a", "digest": f"sha256:{i:064x}", "size": 1} for i in range(25_000)]
    manifest = json.dumps({**json.loads(APP.manifest), "layers": layers}).encode()
    index = json.dumps({"schemaVersion": 2, "manifests": layers}).encode()
    with Bystander(address) as bystander:
        for content, media_type in ((manifest, OCI_MANIFEST), (index, OCI_INDEX)):
            answer = put_manifest(address, NAME, "new", content, media_type)
            assert (answer.status, answer.code) == (400, "MANIFEST_BLOB_UNKNOWN")
    assert bystander.worst < 5


def test_ten_thousands_of_layers_are_no_burden(address: str) -> None:
    """One small blob can stand for all of them; of so many no records are made."""
    count = 25_000
    diff_ids = [f"sha256:{number:064x}" for number in range(count)]
    config = json.dumps({"rootfs": {"type": "layers", "diff_ids": diff_ids}}).encode()
    push_blob(address, NAME, config)
    document = json.loads(with_config(config))
    content = json.dumps({**document, "layers": [descriptor("a", APP.layers[0])] * count}).encode()
    before = len(records(address))
    with Bystander(address) as bystander:
        assert put_manifest(address, NAME, "new", content).status == 201
        assert len(records(address)) == before + 1
        hold_kept(address, NAME, content, OCI_MANIFEST)
    assert count > chain.LAYERS
    assert bystander.worst < 5


def test_an_index_that_names_one_manifest_ten_thousand_times_is_no_burden(address: str) -> None:
    """The manifest is large: to read it once takes a tenth of a second."""
    annotations = {f"annotation-{number}": "x" for number in range(100_000)}
    large = json.dumps({**json.loads(APP.manifest), "annotations": annotations}).encode()
    assert put_manifest(address, NAME, str(Digest.of(large)), large).status == 201
    content = large
    for media_type in (OCI_MANIFEST, OCI_INDEX, OCI_INDEX, OCI_INDEX):
        named = [descriptor(media_type, content)] * 10_000
        content = json.dumps({"schemaVersion": 2, "manifests": named}).encode()
        began = time.monotonic()
        assert put_manifest(address, NAME, "new", content, OCI_INDEX).status == 201
        assert time.monotonic() - began < 20
    hold_kept(address, NAME, content, OCI_INDEX)
