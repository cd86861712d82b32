"""Descriptors, as a manifest's parser reads them."""

import base64
import json

import pytest

from registry.oci import manifest
from registry.oci.descriptor import OCI_CONFIG, OCI_INDEX, OCI_MANIFEST, Descriptor
from registry.oci.digest import Digest
from registry.oci.errors import ManifestInvalid
from support.builders import LAYER, descriptor

CONTENT = b"a layer"
GOOD = descriptor(LAYER, CONTENT)


def image_of(layer: object) -> bytes:
    body = {"schemaVersion": 2, "config": descriptor(OCI_CONFIG, b"{}"), "layers": [layer]}
    return json.dumps(body).encode()


def read(layer: object) -> Descriptor:
    return manifest.parse(image_of(layer), OCI_MANIFEST).layers[0]


def test_all_that_a_descriptor_says_is_kept() -> None:
    full = {
        **descriptor(LAYER, CONTENT, "sha512"),
        "urls": ["https://example.org/layer"],
        "annotations": {"key": "value"},
        "artifactType": "application/x-test",
        "platform": {"os": "linux", "architecture": "arm64", "os.features": ["x"], "n": 1},
        "data": base64.b64encode(CONTENT).decode(),
        "somethingNew": {"is": "let pass"},
    }
    assert read(full) == Descriptor(
        LAYER,
        Digest.of(CONTENT, "sha512"),
        len(CONTENT),
        urls=("https://example.org/layer",),
        artifact_type="application/x-test",
        platform={"os": "linux", "architecture": "arm64"},
        annotations={"key": "value"},
    )


def test_what_a_descriptor_may_leave_out_is_empty() -> None:
    assert read(GOOD) == Descriptor(LAYER, Digest.of(CONTENT), len(CONTENT))


@pytest.mark.parametrize("value", [None, 1, "text", [], True])
def test_what_is_no_object_is_no_descriptor(value: object) -> None:
    with pytest.raises(ManifestInvalid, match=r"layers\[0\]: must be a descriptor"):
        read(value)


@pytest.mark.parametrize(
    ("change", "detail"),
    [
        ({"mediaType": None}, "layers[0].mediaType: is missing"),
        ({"mediaType": ""}, "layers[0].mediaType: is missing"),
        ({"mediaType": 1}, "layers[0].mediaType: must be a string"),
        ({"mediaType": "a\nb"}, "layers[0].mediaType: must be a string"),
        ({"digest": None}, "layers[0].digest: is missing"),
        ({"digest": 1}, "layers[0].digest: must be a string"),
        ({"digest": "sha256:1"}, "layers[0].digest: a sha256 digest has 64"),
        ({"digest": "md5:" + "0" * 32}, "layers[0].digest: unsupported digest algorithm"),
        ({"digest": "sha256:" + "A" * 64}, "layers[0].digest: a sha256 digest has 64"),
        ({"size": None}, "layers[0].size: must be a number of bytes"),
        ({"size": -1}, "layers[0].size: must be a number of bytes"),
        ({"size": 1.0}, "layers[0].size: must be a number of bytes"),
        ({"size": "1"}, "layers[0].size: must be a number of bytes"),
        ({"size": True}, "layers[0].size: must be a number of bytes"),
        ({"size": 2**62}, "layers[0].size: must be a number of bytes"),
        ({"size": 10**4000}, "layers[0].size: must be a number of bytes"),
        ({"urls": None}, "layers[0].urls: must be a list of strings"),
        ({"urls": "https://example.org"}, "layers[0].urls: must be a list of strings"),
        ({"urls": [1]}, "layers[0].urls: must be a list of strings"),
        ({"artifactType": 1}, "layers[0].artifactType: must be a string"),
        ({"platform": "linux"}, "layers[0].platform: must be an object"),
        ({"annotations": []}, "layers[0].annotations: must be an object of strings"),
        ({"annotations": {"a": 1}}, "layers[0].annotations: must be an object of strings"),
        ({"data": 1}, "layers[0].data: must be base64"),
        ({"data": "*"}, "layers[0].data: must be base64"),
        ({"data": "é"}, "layers[0].data: must be base64"),
        ({"data": "YQ"}, "layers[0].data: must be base64"),
        ({"data": ""}, "layers[0].data: is not the content that digest and size name"),
        (
            {"data": base64.b64encode(b"A layer").decode()},
            "layers[0].data: is not the content that digest and size name",
        ),
    ],
)
def test_a_wrong_field_is_named(change: dict[str, object], detail: str) -> None:
    with pytest.raises(ManifestInvalid) as caught:
        read({**GOOD, **change})
    assert str(caught.value.detail).startswith(detail)


def test_the_config_and_the_subject_are_descriptors_too() -> None:
    body = {"schemaVersion": 2, "config": [], "layers": []}
    with pytest.raises(ManifestInvalid, match="config: must be a descriptor"):
        manifest.parse(json.dumps(body).encode(), OCI_MANIFEST)
    body = {"schemaVersion": 2, "manifests": [], "subject": {}}
    with pytest.raises(ManifestInvalid, match=r"subject\.mediaType: is missing"):
        manifest.parse(json.dumps(body).encode(), OCI_INDEX)
