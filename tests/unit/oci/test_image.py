"""An image's config: diff IDs, chain IDs, and what made each layer."""

import hashlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry.oci.digest import Digest
from registry.oci.errors import ManifestInvalid
from registry.oci.image import ImageConfig, chain_ids, parse

BASE, TOP = Digest.of(b"base"), Digest.of(b"top")
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


def config(history: object = (), **more: object) -> bytes:
    body = {
        "os": "linux",
        "architecture": "amd64",
        "rootfs": {"type": "layers", "diff_ids": [str(BASE), str(TOP)]},
        "history": history,
        **more,
    }
    return json.dumps(body).encode()


def test_a_config_tells_its_layers_and_what_made_them() -> None:
    steps = [{"created_by": "add base"}, {"created_by": "add top"}]
    expected = ImageConfig((BASE, TOP), ("add base", "add top"), "linux", "amd64")
    assert parse(config(steps)) == expected


def test_steps_without_a_layer_are_passed_over() -> None:
    steps = [
        {"created_by": "add base"},
        {"created_by": "ENV a=b", "empty_layer": True},
        {"created_by": "add top", "empty_layer": False},
    ]
    assert parse(config(steps)).created_by == ("add base", "add top")


@pytest.mark.parametrize("history", [None, [], [{"created_by": "only one"}], [{}] * 3, {}, ""])
def test_a_history_that_does_not_fit_leaves_the_texts_empty(history: object) -> None:
    assert parse(config(history)).created_by == ("", "")


def test_what_is_no_text_is_an_empty_one() -> None:
    read = parse(config([{"created_by": 1}, {}], os=[], architecture=None))
    assert read == ImageConfig((BASE, TOP), ("", ""), "", "")


def test_half_a_surrogate_pair_does_not_get_into_a_text() -> None:
    read = parse(config([{"created_by": "\ud800x"}, {"created_by": "\U0001f600"}], os="\udfff"))
    assert read.created_by == ("?x", "\U0001f600")
    assert read.os == "?"


def test_a_config_without_layers_is_one() -> None:
    assert parse(config(rootfs={"diff_ids": []})).diff_ids == ()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{}",
        b"[]",
        b"null",
        b"1",
        b'"text"',
        b"\xff",
        b"\xef\xbb\xbf\xff",
        b"NaN",
        b"9" * 5000,
        b"[" * 100_000,
        b'{"rootfs":' * 100_000,
        config([1]),
        config({"created_by": "x"}),
        config(5),
        config(rootfs=None),
        config(rootfs={}),
        config(rootfs={"diff_ids": None}),
        config(rootfs={"diff_ids": "sha256"}),
        config(rootfs={"diff_ids": ""}),
        config(rootfs={"diff_ids": {str(BASE): 1}}),
        config(rootfs={"diff_ids": [1]}),
        config(rootfs={"diff_ids": [None]}),
        config(rootfs={"diff_ids": ["sha256:short"]}),
        config(rootfs={"diff_ids": [str(BASE).upper()]}),
    ],
)
def test_another_document_is_no_config(content: bytes) -> None:
    with pytest.raises(ManifestInvalid, match="the config is no image's config"):
        parse(content)


@given(st.binary() | JSON.map(lambda value: json.dumps(value).encode()))
def test_any_bytes_are_a_config_or_refused(content: bytes) -> None:
    try:
        read = parse(content)
    except ManifestInvalid:
        return
    assert len(read.created_by) == len(read.diff_ids)


@given(rootfs=JSON, history=JSON, system=JSON)
def test_any_field_is_read_or_refused(rootfs: object, history: object, system: object) -> None:
    for root in (rootfs, {"diff_ids": rootfs}, {"diff_ids": [str(BASE)]}):
        try:
            read = parse(config(history, rootfs=root, os=system))
        except ManifestInvalid:
            continue
        assert len(read.created_by) == len(read.diff_ids)
        assert all(text.isascii() or text.encode() for text in (*read.created_by, read.os))


def test_a_chain_id_names_a_whole_stack() -> None:
    # image-spec, config.md, "Layer ChainID"
    both = hashlib.sha256(f"{BASE} {TOP}".encode()).hexdigest()
    three = hashlib.sha256(f"sha256:{both} {BASE}".encode()).hexdigest()
    expected = (BASE, Digest("sha256", both), Digest("sha256", three))
    assert chain_ids([BASE, TOP, BASE]) == expected
    assert chain_ids([]) == ()
