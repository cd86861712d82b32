"""Image records: a layer on its parent, a manifest on its layers, a tag on all of them."""

import json
from dataclasses import replace
from typing import Any

import pytest

from registry.oci import image as image_config
from registry.oci import manifest
from registry.oci.chain import Described, RecordDraft, records
from registry.oci.descriptor import DOCKER_LIST, DOCKER_MANIFEST, OCI_INDEX, OCI_MANIFEST
from registry.oci.digest import Digest
from registry.oci.names import RepositoryName, Tag
from support.builders import Image, descriptor, image, index, layer_tar

NAME = RepositoryName("library", "team/app")
TAG = Tag("1")
AMD, ARM = image("base", "amd"), image("base", "arm", architecture="arm64")


def described(made: Image, media_type: str = OCI_MANIFEST, **more: Any) -> Described:
    content = json.dumps(json.loads(made.manifest) | {"mediaType": media_type}).encode()
    return Described(
        Digest.of(content),
        len(content),
        manifest.parse(content, media_type),
        image_config.parse(made.config),
        **more,
    )


def described_index(content: bytes, media_type: str = OCI_INDEX) -> Described:
    content = json.dumps(json.loads(content) | {"mediaType": media_type}).encode()
    return Described(Digest.of(content), len(content), manifest.parse(content, media_type))


def of_kind(drafts: tuple[RecordDraft, ...], kind: str) -> list[RecordDraft]:
    return [draft for draft in drafts if draft.kind == kind]


def parents_come_first(drafts: tuple[RecordDraft, ...]) -> bool:
    seen: set[str] = set()
    for draft in drafts:
        if not {draft.parent, *draft.uses} - {None} <= seen or draft.key in seen:
            return False
        seen.add(draft.key)
    return True


@pytest.mark.parametrize("media_type", [OCI_MANIFEST, DOCKER_MANIFEST])
def test_an_image_is_a_record_for_each_layer_and_one_for_the_tag(media_type: str) -> None:
    made = image("base", "middle", "top")
    top = described(made, media_type)
    drafts = records(NAME, TAG, top)
    assert [draft.kind for draft in drafts] == ["repository", "layer", "layer", "layer", "tag"]
    assert parents_come_first(drafts)
    repository, base, middle, last, tag = drafts
    assert (repository.key, repository.parent) == ("repository:team/app", None)
    assert [base.parent, middle.parent, last.parent] == [None, base.key, middle.key]
    assert (tag.key, tag.name, tag.parent) == ("tag:team/app:1", "team/app:1", last.key)
    assert (tag.uses, tag.properties["oci_media_type"]) == ((), media_type)
    assert tag.size == top.size + len(made.config) + sum(len(layer) for layer in made.layers)
    assert tag.properties["oci_digest"] == str(top.digest)


def test_a_layers_record_says_what_it_is_and_what_made_it() -> None:
    made = image("base", "top")
    layers = of_kind(records(NAME, TAG, described(made)), "layer")
    below, above = (Digest.parse(each) for each in made.diff_ids)
    assert [dict(layer.properties) for layer in layers] == [
        {
            "oci_kind": "layer",
            "oci_digest": str(Digest.of(content)),
            "oci_diff_id": str(diff_id),
            "oci_chain_id": str(chain_id),
            "oci_size": str(len(content)),
            "oci_media_type": "application/vnd.oci.image.layer.v1.tar+gzip",
            "oci_created_by": text,
        }
        for content, diff_id, chain_id, text in zip(
            made.layers,
            (below, above),
            (below, Digest.of(f"{below} {above}".encode())),
            ("add base", "add top"),
            strict=True,
        )
    ]
    assert [layer.size for layer in layers] == [len(content) for content in made.layers]
    assert all(layer.name is None for layer in layers)


def test_images_on_the_same_base_share_its_record() -> None:
    ours = of_kind(records(NAME, TAG, described(AMD)), "layer")
    theirs = of_kind(records(RepositoryName("other", "x"), Tag("2"), described(ARM)), "layer")
    assert ours[0] == theirs[0]
    assert ours[1].key != theirs[1].key


def test_the_same_layer_on_another_parent_is_another_record() -> None:
    first, again = of_kind(records(NAME, TAG, described(image("x", "x"))), "layer")
    assert first.properties["oci_digest"] == again.properties["oci_digest"]
    assert first.key != again.key
    assert again.parent == first.key


def test_an_empty_tar_of_10240_bytes_is_a_layer_like_any_other() -> None:
    assert len(layer_tar("", b"")) == 10_240
    made = image("base", "", "top")
    base, empty, top = of_kind(records(NAME, TAG, described(made)), "layer")
    assert (empty.parent, top.parent) == (base.key, empty.key)
    assert empty.properties["oci_diff_id"] == str(Digest.of(layer_tar("", b"")))
    assert empty.size == len(made.layers[1])


def test_a_step_of_the_history_without_a_layer_makes_no_record() -> None:
    made = image("base", "top")
    body = json.loads(made.config)
    body["history"].insert(1, {"created_by": "ENV a=b", "empty_layer": True})
    layers = of_kind(
        records(NAME, TAG, described(replace(made, config=json.dumps(body).encode()))), "layer"
    )
    assert [layer.properties["oci_created_by"] for layer in layers] == ["add base", "add top"]


@pytest.mark.parametrize("config", [None, image_config.parse(image("one").config)])
def test_a_config_that_does_not_fit_leaves_the_tag_alone(
    config: image_config.ImageConfig | None,
) -> None:
    top = replace(described(AMD), config=config)
    drafts = records(NAME, TAG, top)
    assert [draft.kind for draft in drafts] == ["repository", "tag"]
    assert drafts[-1].parent is None
    assert drafts[-1].size == described(AMD).size + top.manifest.named_size
    listed = records(NAME, TAG, described_index(index(AMD)), [top])
    assert [draft.kind for draft in listed] == ["repository", "manifest", "tag"]


@pytest.mark.parametrize("media_type", [OCI_INDEX, DOCKER_LIST])
def test_an_index_stands_on_its_image_for_linux_on_amd64_and_uses_all(media_type: str) -> None:
    amd, arm = described(AMD), described(ARM)
    top = described_index(index(ARM, AMD), media_type)
    drafts = records(NAME, TAG, top, [arm, amd])
    assert parents_come_first(drafts)
    assert len(of_kind(drafts, "layer")) == 3
    on_arm, on_amd = of_kind(drafts, "manifest")
    assert on_arm.key == f"manifest:team/app@{arm.digest}"
    assert on_arm.properties == {
        "oci_kind": "manifest",
        "oci_repository": "team/app",
        "oci_digest": str(arm.digest),
        "oci_media_type": OCI_MANIFEST,
        "oci_size": str(on_arm.size),
        "oci_platform": "linux/arm64",
    }
    tag = drafts[-1]
    assert (tag.parent, tag.uses) == (on_amd.key, (on_arm.key, on_amd.key))
    assert tag.properties["oci_children"] == f"{ARM.digest} {AMD.digest}"
    assert tag.properties["oci_media_type"] == media_type
    assert tag.size == top.size + len(AMD.manifest) + len(ARM.manifest)


def test_an_index_without_that_image_stands_on_its_first() -> None:
    other = described(image("x", architecture="s390x"))
    arm = described(ARM, platform={"os": "linux", "architecture": "arm64", "variant": "v8"})
    drafts = records(NAME, TAG, described_index(index(ARM)), [arm, other])
    first, second = of_kind(drafts, "manifest")
    assert first.properties["oci_platform"] == "linux/arm64/v8"
    assert second.properties["oci_platform"] == "linux/s390x"
    assert drafts[-1].parent == first.key


def test_an_index_whose_images_are_not_here_stands_on_nothing() -> None:
    drafts = records(NAME, TAG, described_index(index(AMD, ARM)))
    assert [draft.kind for draft in drafts] == ["repository", "tag"]
    assert (drafts[-1].parent, drafts[-1].uses) == (None, ())
    assert drafts[-1].properties["oci_children"] == f"{AMD.digest} {ARM.digest}"


def test_the_images_of_a_nested_index_are_used_too() -> None:
    inner = index(ARM)
    body = {"schemaVersion": 2, "mediaType": OCI_INDEX}
    outer = {**body, "manifests": [descriptor(OCI_INDEX, inner)]}
    top = described_index(json.dumps(outer).encode())
    arm = described(ARM)
    drafts = records(NAME, TAG, top, [arm])
    (used,) = of_kind(drafts, "manifest")
    assert (drafts[-1].parent, drafts[-1].uses) == (used.key, (used.key,))
    assert drafts[-1].properties["oci_children"] == str(Digest.of(inner))


@pytest.mark.parametrize("layers", [(), (b"a signature",)])
def test_an_artifact_without_an_images_config_is_its_tag_alone(layers: tuple[bytes, ...]) -> None:
    body = {
        "schemaVersion": 2,
        "artifactType": "application/x-signature",
        "config": descriptor("application/vnd.oci.empty.v1+json", b"{}"),
        "layers": [descriptor("application/x-signature", layer) for layer in layers],
    }
    content = json.dumps(body).encode()
    top = Described(Digest.of(content), len(content), manifest.parse(content, OCI_MANIFEST))
    drafts = records(NAME, TAG, top)
    assert [draft.kind for draft in drafts] == ["repository", "tag"]
    assert drafts[-1].size == len(content) + 2 + sum(len(layer) for layer in layers)
    assert "oci_children" not in drafts[-1].properties
    listed = records(NAME, TAG, described_index(index()), [top])
    assert of_kind(listed, "manifest")[0].properties["oci_platform"] == ""


def test_an_images_config_without_layers_makes_no_layer() -> None:
    drafts = records(NAME, TAG, described(image()))
    assert [draft.kind for draft in drafts] == ["repository", "tag"]
