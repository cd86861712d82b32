"""Manifests and indexes: what they name, and what no client may read in two ways."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry.oci import manifest
from registry.oci.descriptor import (
    DOCKER_CONFIG,
    DOCKER_LIST,
    DOCKER_MANIFEST,
    OCI_CONFIG,
    OCI_INDEX,
    OCI_MANIFEST,
)
from registry.oci.digest import Digest
from registry.oci.errors import ManifestInvalid
from registry.oci.manifest import Manifest
from support.builders import LAYER, descriptor, image, index

FOREIGN = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"
KEPT_BACK = "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip"
CONFIG = descriptor(OCI_CONFIG, b"{}")
ONE, TWO = descriptor(LAYER, b"one"), descriptor(LAYER, b"two")
SUBJECT = descriptor(OCI_MANIFEST, b"subject")

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)
DESCRIPTORS = st.fixed_dictionaries(
    {},
    optional={
        "mediaType": st.sampled_from([LAYER, FOREIGN, OCI_MANIFEST, ""]) | JSON,
        "digest": st.sampled_from([ONE["digest"], "sha256:1"]) | JSON,
        "size": st.integers() | JSON,
        "urls": JSON,
        "data": st.sampled_from(["b25l", "*"]) | JSON,
        "platform": JSON,
        "annotations": st.dictionaries(st.text(), st.text()) | JSON,
    },
)
DOCUMENTS = st.fixed_dictionaries(
    {"schemaVersion": st.just(2) | JSON},
    optional={
        "mediaType": st.sampled_from([OCI_MANIFEST, OCI_INDEX, DOCKER_LIST]) | JSON,
        "config": st.just(CONFIG) | DESCRIPTORS | JSON,
        "layers": st.lists(st.just(ONE) | DESCRIPTORS) | JSON,
        "manifests": st.lists(st.just(SUBJECT) | DESCRIPTORS) | JSON,
        "subject": st.just(SUBJECT) | DESCRIPTORS | JSON,
        "artifactType": JSON,
        "annotations": st.dictionaries(st.text(), st.text()) | JSON,
    },
)


def read(media_type: str | None = OCI_MANIFEST, **fields: Any) -> Manifest:
    return manifest.parse(json.dumps({"schemaVersion": 2, **fields}).encode(), media_type)


def digest(of: dict[str, object]) -> Digest:
    return Digest.parse(str(of["digest"]))


@pytest.mark.parametrize("media_type", [OCI_MANIFEST, DOCKER_MANIFEST])
def test_an_image_names_its_config_and_layers_once(media_type: str) -> None:
    found = read(media_type, config=CONFIG, layers=[ONE, TWO, ONE], annotations={"a": "b"})
    assert found.media_type == media_type
    assert found.blobs == (digest(CONFIG), digest(ONE), digest(TWO))
    assert [each.digest for each in found.layers] == [digest(ONE), digest(TWO), digest(ONE)]
    assert found.named_size == 2 + 3 + 3 + 3
    assert (found.children, found.subject, found.annotations) == ((), None, {"a": "b"})


@pytest.mark.parametrize("media_type", [OCI_INDEX, DOCKER_LIST])
def test_an_index_names_its_manifests_once(media_type: str) -> None:
    amd, arm = image("x"), image("x", architecture="arm64")
    body = json.loads(index(amd, arm, amd)) | {"mediaType": media_type}
    found = manifest.parse(json.dumps(body).encode(), media_type)
    assert found.children == (amd.digest, arm.digest)
    assert (found.blobs, found.config, found.artifact_type) == ((), None, None)
    assert found.manifests[1].platform == {"os": "linux", "architecture": "arm64"}
    assert found.named_size == 2 * len(amd.manifest) + len(arm.manifest)


def test_the_artifact_type_is_the_manifests_own_or_else_its_configs() -> None:
    assert read(config=CONFIG, layers=[], artifactType="x/sig").artifact_type == "x/sig"
    assert read(config=CONFIG, layers=[], artifactType="").artifact_type == OCI_CONFIG
    assert read(config=CONFIG, layers=[]).artifact_type == OCI_CONFIG
    assert read(OCI_INDEX, manifests=[], artifactType="x/sig").artifact_type == "x/sig"


@pytest.mark.parametrize(
    ("media_type", "more"),
    [(OCI_MANIFEST, {"config": CONFIG, "layers": []}), (OCI_INDEX, {"manifests": []})],
)
def test_a_subject_is_told_and_need_not_be_here(media_type: str, more: dict[str, Any]) -> None:
    found = read(media_type, subject=SUBJECT, **more)
    assert found.subject == digest(SUBJECT)
    assert digest(SUBJECT) not in (*found.blobs, *found.children)
    assert read(media_type, subject=None, **more).subject is None


@pytest.mark.parametrize("elsewhere", [{"mediaType": FOREIGN}, {"mediaType": KEPT_BACK}])
def test_layers_that_stay_elsewhere_need_not_be_here(elsewhere: dict[str, object]) -> None:
    found = read(config=CONFIG, layers=[{**ONE, **elsewhere}, TWO])
    assert found.blobs == (digest(CONFIG), digest(TWO))
    with_urls = read(config=CONFIG, layers=[{**ONE, "urls": ["https://example.org"]}])
    assert with_urls.blobs == (digest(CONFIG),)


def test_without_a_content_type_the_document_says_what_it_is() -> None:
    assert read(None, mediaType=OCI_INDEX, manifests=[]).media_type == OCI_INDEX
    with pytest.raises(ManifestInvalid, match="neither in Content-Type nor in mediaType"):
        read(None, manifests=[])


@pytest.mark.parametrize(
    ("media_type", "fields", "detail"),
    [
        (OCI_MANIFEST, {"schemaVersion": 1}, "schemaVersion must be 2"),
        (OCI_MANIFEST, {"schemaVersion": "2"}, "schemaVersion must be 2"),
        (OCI_MANIFEST, {"schemaVersion": 2.0}, "schemaVersion must be 2"),
        (OCI_MANIFEST, {"schemaVersion": True}, "schemaVersion must be 2"),
        (OCI_MANIFEST, {"schemaVersion": None}, "schemaVersion must be 2"),
        (OCI_MANIFEST, {"mediaType": 1}, "mediaType: must be a string"),
        (OCI_MANIFEST, {"mediaType": OCI_INDEX}, "is not the Content-Type"),
        (OCI_MANIFEST, {"mediaType": DOCKER_MANIFEST}, "is not the Content-Type"),
        ("application/json", {}, "no media type of a manifest or an index"),
        ("", {}, "no media type of a manifest or an index"),
        (OCI_CONFIG, {}, "no media type of a manifest or an index"),
        (
            "application/vnd.docker.distribution.manifest.v1+prettyjws",
            {},
            "Docker schema 1 is not supported",
        ),
        (OCI_MANIFEST, {"config": CONFIG, "layers": [], "manifests": []}, "has no manifests"),
        (OCI_MANIFEST, {"layers": []}, "config: must be a descriptor"),
        (OCI_MANIFEST, {"config": CONFIG}, "layers: must be a list"),
        (OCI_MANIFEST, {"config": CONFIG, "layers": {}}, "layers: must be a list"),
        (OCI_MANIFEST, {"config": CONFIG, "layers": [ONE, 1]}, "layers[1]: must be a descriptor"),
        (OCI_MANIFEST, {"config": CONFIG, "layers": [], "subject": 1}, "subject: must be"),
        (OCI_MANIFEST, {"config": CONFIG, "layers": [], "artifactType": 1}, "artifactType: must"),
        (OCI_MANIFEST, {"config": CONFIG, "layers": [], "annotations": 1}, "annotations: must"),
        (OCI_INDEX, {"manifests": [], "layers": []}, "neither config nor layers"),
        (OCI_INDEX, {"manifests": [], "config": CONFIG}, "neither config nor layers"),
        (OCI_INDEX, {}, "manifests: must be a list"),
        (OCI_INDEX, {"manifests": [{}]}, "manifests[0].mediaType: is missing"),
    ],
)
def test_a_document_of_another_shape_is_refused(
    media_type: str, fields: dict[str, Any], detail: str
) -> None:
    with pytest.raises(ManifestInvalid) as caught:
        read(media_type, **fields)
    assert detail in str(caught.value.detail)


def test_sizes_that_add_up_beyond_64_bits_are_refused() -> None:
    huge = {**ONE, "size": 2**62 - 1}
    assert read(config={**CONFIG, "size": 0}, layers=[huge]).named_size == 2**62 - 1
    with pytest.raises(ManifestInvalid, match="sizes add up"):
        read(config=CONFIG, layers=[huge])
    with pytest.raises(ManifestInvalid, match="sizes add up"):
        read(OCI_INDEX, manifests=[huge, huge])


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"\xff\xfe",
        b'\xef\xbb\xbf{"schemaVersion": 2}',
        '{"schemaVersion": 2}'.encode("utf-16"),
        b"[" * 1_000_000,
        b'{"a":' * 1_000_000,
        b"[" * 500_000 + b"]" * 500_000,
        b'{"schemaVersion": ' + b"9" * 5000 + b"}",
        b'{"schemaVersion": NaN}',
        b'{"schemaVersion": 2, "x": [-Infinity]}',
        b'{"schemaVersion": 2, "schemaVersion": 2}',
        b'{"schemaVersion": 2, "x": {"a": 1, "\\u0061": 2}}',
        b'{"schemaVersion": 2, "annotations": {"a": "\\ud800"}}',
        b'{"schemaVersion": 2, "annotations": {"\\udfff": "a"}}',
        b'{"schemaVersion": 2, "x": ["\\udc00\\ud800"]}',
        b'{"schemaVersion": 2, "x": "\xed\xa0\x80"}',
    ],
)
def test_what_clients_would_read_differently_is_not_json(content: bytes) -> None:
    for media_type in (OCI_MANIFEST, OCI_INDEX, None):
        with pytest.raises(ManifestInvalid, match="not JSON in UTF-8"):
            manifest.parse(content, media_type)


@pytest.mark.parametrize("content", [b"[]", b"null", b"2", b'"x"', b"true", b"1e999"])
def test_json_that_is_no_object_is_no_manifest(content: bytes) -> None:
    with pytest.raises(ManifestInvalid, match="a manifest is a JSON object"):
        manifest.parse(content, OCI_MANIFEST)


def test_escaped_characters_are_let_pass() -> None:
    found = read(config=CONFIG, layers=[], annotations={"face": "\U0001f600", "nul": "\0"})
    assert found.annotations == {"face": "\U0001f600", "nul": "\0"}


def test_a_long_list_of_layers_is_read() -> None:
    found = read(
        DOCKER_MANIFEST, config={**CONFIG, "mediaType": DOCKER_CONFIG}, layers=[ONE] * 5000
    )
    assert (len(found.layers), len(found.blobs)) == (5000, 2)


@given(st.binary(), st.none() | st.text() | st.sampled_from([OCI_MANIFEST, OCI_INDEX]))
def test_bytes_of_chance_are_refused(content: bytes, media_type: str | None) -> None:
    with pytest.raises(ManifestInvalid):
        manifest.parse(content, media_type)


@given(DOCUMENTS, st.sampled_from([None, OCI_MANIFEST, OCI_INDEX, DOCKER_MANIFEST, DOCKER_LIST]))
def test_any_document_is_a_manifest_or_refused(document: object, media_type: str | None) -> None:
    try:
        found = manifest.parse(json.dumps(document).encode(), media_type)
    except ManifestInvalid:
        return
    assert found.media_type == media_type or media_type is None
    assert found.named_size < 2**62
    assert json.dumps(dict(found.annotations), ensure_ascii=False).encode()
