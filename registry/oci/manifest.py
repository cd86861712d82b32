"""Manifests and indexes, read: what they name (image-spec, manifest.md, image-index.md)."""

import base64
import binascii
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from registry.oci.descriptor import (
    INDEXES,
    MANIFESTS,
    Descriptor,
)
from registry.oci.digest import Digest
from registry.oci.errors import DigestInvalid, ManifestInvalid

_SIZE_LIMIT = 2**62
"""Bytes, of one descriptor and of all together: so an image record's sum fits 64 bits."""
_DOCKER_SCHEMA_1 = "application/vnd.docker.distribution.manifest.v1"
_STAYS_ELSEWHERE = (
    "application/vnd.oci.image.layer.nondistributable.",
    "application/vnd.docker.image.rootfs.foreign.",
)


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a manifest or an index says, as far as a registry must know."""

    media_type: str
    config: Descriptor | None = None
    layers: tuple[Descriptor, ...] = ()
    manifests: tuple[Descriptor, ...] = ()
    subject: Digest | None = None
    artifact_type: str | None = None
    """As the referrers API answers it: the manifest's own, else its config's media type."""
    annotations: Mapping[str, str] = field(default_factory=dict)

    @property
    def blobs(self) -> tuple[Digest, ...]:
        """Config and layers that must be in the repository, each once."""
        named = [self.config, *self.layers] if self.config else [*self.layers]
        here = [each.digest for each in named if not _is_elsewhere(each)]
        return tuple(dict.fromkeys(here))

    @property
    def named_size(self) -> int:
        """Bytes of all that is named, as often as it is named; without the subject's."""
        config = self.config.size if self.config else 0
        return config + sum(each.size for each in (*self.layers, *self.manifests))

    @property
    def children(self) -> tuple[Digest, ...]:
        """An index's manifests, each once."""
        return tuple(dict.fromkeys(each.digest for each in self.manifests))


def parse(content: bytes, media_type: str | None) -> Manifest:
    """Read *content*, which came as *media_type* (None: what it says itself).

    Raises ManifestInvalid with the field that is wrong.
    """
    document = _load(content)
    version = document.get("schemaVersion")
    if type(version) is not int or version != 2:  # Go's clients cannot read 2.0
        raise ManifestInvalid("schemaVersion must be 2; schema 1 is not supported: push it anew")
    said = _text(document, "mediaType")
    if media_type is None:
        media_type = said
    if media_type is None:
        raise ManifestInvalid("the media type stands neither in Content-Type nor in mediaType")
    if media_type.startswith(_DOCKER_SCHEMA_1):
        raise ManifestInvalid(
            "Docker schema 1 is not supported: push the image with a newer client"
        )
    if said is not None and said != media_type:
        raise ManifestInvalid(f"mediaType {said!r} is not the Content-Type {media_type!r}")
    if media_type in MANIFESTS:
        manifest = _image(document, media_type)
    elif media_type in INDEXES:
        manifest = _index(document, media_type)
    else:
        raise ManifestInvalid(f"{media_type!r} is no media type of a manifest or an index")
    if manifest.named_size >= _SIZE_LIMIT:
        raise ManifestInvalid("the sizes add up to more than there is")
    return manifest


def _image(document: dict[str, Any], media_type: str) -> Manifest:
    if "manifests" in document:
        # One document that is both is read as one or the other by different clients.
        raise ManifestInvalid("an image manifest has no manifests")
    config = _descriptor(document.get("config"), "config")
    layers = _descriptors(document, "layers")
    return Manifest(
        media_type=media_type,
        config=config,
        layers=layers,
        subject=_subject(document),
        artifact_type=_text(document, "artifactType") or config.media_type,
        annotations=_annotations(document, "annotations"),
    )


def _index(document: dict[str, Any], media_type: str) -> Manifest:
    if "layers" in document or "config" in document:
        raise ManifestInvalid("an index has neither config nor layers")
    return Manifest(
        media_type=media_type,
        manifests=_descriptors(document, "manifests"),
        subject=_subject(document),
        artifact_type=_text(document, "artifactType"),
        annotations=_annotations(document, "annotations"),
    )


def _load(content: bytes) -> dict[str, Any]:
    try:
        text = content.decode("utf-8")
        document = json.loads(text, object_pairs_hook=_unique, parse_constant=_no_constant)
        if "\\u" in text:  # half a surrogate pair is no text, and nothing could write it again
            json.dumps(document, ensure_ascii=False).encode("utf-8")
    except (ValueError, RecursionError) as error:
        raise ManifestInvalid(f"not JSON in UTF-8: {str(error)[:200]}") from None
    if not isinstance(document, dict):
        raise ManifestInvalid("a manifest is a JSON object")
    return document


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a member stands there twice")
    return members


def _no_constant(text: str) -> object:
    raise ValueError(f"{text} is no JSON")


def _descriptors(document: dict[str, Any], name: str) -> tuple[Descriptor, ...]:
    listed = document.get(name)
    if not isinstance(listed, list):
        raise ManifestInvalid(f"{name}: must be a list")
    return tuple(_descriptor(each, f"{name}[{place}]") for place, each in enumerate(listed))


def _descriptor(value: object, where: str) -> Descriptor:
    if not isinstance(value, dict):
        raise ManifestInvalid(f"{where}: must be a descriptor")
    media_type = _text(value, "mediaType", where)
    if not media_type:
        raise ManifestInvalid(f"{where}.mediaType: is missing")
    digest = _digest(value, where)
    size = value.get("size")
    if type(size) is not int or not 0 <= size < _SIZE_LIMIT:
        raise ManifestInvalid(f"{where}.size: must be a number of bytes")
    urls = value.get("urls", [])
    if not isinstance(urls, list) or not all(isinstance(each, str) for each in urls):
        raise ManifestInvalid(f"{where}.urls: must be a list of strings")
    _check_data(value.get("data"), digest, size, where)
    return Descriptor(
        media_type,
        digest,
        size,
        urls=tuple(urls),
        artifact_type=_text(value, "artifactType", where),
        platform=_platform(value.get("platform"), where),
        annotations=_annotations(value, f"{where}.annotations"),
    )


def _digest(value: dict[str, Any], where: str) -> Digest:
    text = _text(value, "digest", where)
    if text is None:
        raise ManifestInvalid(f"{where}.digest: is missing")
    try:
        return Digest.parse(text)
    except DigestInvalid as error:
        raise ManifestInvalid(f"{where}.digest: {error.detail}") from None


def _check_data(data: object, digest: Digest, size: int, where: str) -> None:
    """Embedded content must be what the descriptor says (image-spec, descriptor.md)."""
    if data is None:
        return
    if not isinstance(data, str):
        raise ManifestInvalid(f"{where}.data: must be base64")
    try:
        content = base64.b64decode(data, validate=True)
    except (binascii.Error, ValueError):
        raise ManifestInvalid(f"{where}.data: must be base64") from None
    if len(content) != size or Digest.of(content, digest.algorithm) != digest:
        raise ManifestInvalid(f"{where}.data: is not the content that digest and size name")


def _platform(value: object, where: str) -> Mapping[str, str] | None:
    if value is None:
        return None
    if not isinstance(value, dict):
        raise ManifestInvalid(f"{where}.platform: must be an object")
    return {key: each for key, each in value.items() if isinstance(each, str)}


def _subject(document: dict[str, Any]) -> Digest | None:
    value = document.get("subject")
    return None if value is None else _descriptor(value, "subject").digest


def _text(value: dict[str, Any], name: str, where: str = "") -> str | None:
    text = value.get(name)
    if text is None or (isinstance(text, str) and text.isprintable()):
        return text
    raise ManifestInvalid(f"{where}{'.' if where else ''}{name}: must be a string")


def _annotations(value: dict[str, Any], where: str) -> Mapping[str, str]:
    annotations = value.get("annotations")
    if annotations is None:
        return {}
    if not isinstance(annotations, dict) or not all(
        isinstance(each, str) for each in annotations.values()
    ):
        raise ManifestInvalid(f"{where}: must be an object of strings")
    return annotations


def _is_elsewhere(descriptor: Descriptor) -> bool:
    """Whether the content is not to be distributed by a registry, but fetched from *urls*."""
    return bool(descriptor.urls) or descriptor.media_type.startswith(_STAYS_ELSEWHERE)
