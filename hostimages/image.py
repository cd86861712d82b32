"""An image, ready to be mounted; and what its manifest and config say."""

import json
import platform
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hostimages.errors import ImageInvalid
from registry.oci import image as image_config
from registry.oci import manifest as manifests
from registry.oci.descriptor import INDEXES, Descriptor
from registry.oci.digest import Digest
from registry.oci.errors import RegistryError
from registry.oci.image import chain_ids

LAYER_TYPES = frozenset(
    {
        "application/vnd.oci.image.layer.v1.tar",
        "application/vnd.oci.image.layer.v1.tar+gzip",
        "application/vnd.oci.image.layer.v1.tar+zstd",
        "application/vnd.docker.image.rootfs.diff.tar",
        "application/vnd.docker.image.rootfs.diff.tar.gzip",
        "application/vnd.docker.image.rootfs.diff.tar.zstd",
    }
)
_MACHINES = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm", "i686": "386"}


@dataclass(frozen=True, slots=True)
class Image:
    """An image whose layers all lie unpacked in the cache, pinned for whoever asked."""

    digest: Digest
    """Of the manifest of this host's platform."""
    config_bytes: bytes
    """The config, as it was pushed."""
    chain_id: Digest
    """Of the whole stack; layers that change nothing are in it."""
    chain: tuple[Path, ...]
    """The lower directories, topmost first; layers that change nothing are not among them."""

    @property
    def config(self) -> Mapping[str, Any]:
        """The config, read: ``config`` in it has Entrypoint, Cmd, Env, User ..."""
        document: Mapping[str, Any] = json.loads(self.config_bytes)
        return document


@dataclass(frozen=True, slots=True)
class Layer:
    """A layer as an image names it."""

    blob: Descriptor
    diff_id: Digest


@dataclass(frozen=True, slots=True)
class Found:
    """What a reference led to: the manifest, its config, its layers from the base up."""

    digest: Digest
    config_digest: Digest
    config_bytes: bytes
    layers: tuple[Layer, ...]

    @property
    def chain_id(self) -> Digest:
        """Of all layers; an image without any has the digest of nothing."""
        chain = chain_ids([each.diff_id for each in self.layers])
        return chain[-1] if chain else Digest.of(b"")


def read_manifest(content: bytes, media_type: str | None) -> manifests.Manifest:
    """Read a manifest or an index; raise ImageInvalid."""
    try:
        return manifests.parse(content, media_type or None)
    except RegistryError as error:
        raise ImageInvalid(f"the manifest cannot be used: {error.detail}") from None


def choose(index: manifests.Manifest) -> Descriptor:
    """The manifest for this machine; raise ImageInvalid with those that there are."""
    here = _MACHINES.get(platform.machine(), platform.machine())
    fitting = [
        each
        for each in index.manifests
        if each.platform is not None
        and each.platform.get("os") == "linux"
        and each.platform.get("architecture") == here
    ]
    if not fitting:
        there = sorted(
            f"{each.platform.get('os')}/{each.platform.get('architecture')}"
            for each in index.manifests
            if each.platform is not None
        )
        raise ImageInvalid(
            f"there is none for linux/{here}, only {', '.join(there)[:300] or 'none'}"
        )
    plain = [each for each in fitting if (each.platform or {}).get("variant") in {None, "v8", "v1"}]
    return (plain or fitting)[0]


def is_index(manifest: manifests.Manifest) -> bool:
    """Whether it names manifests."""
    return manifest.media_type in INDEXES


def read_layers(manifest: manifests.Manifest, config: bytes) -> tuple[Layer, ...]:
    """Pair a manifest's layers with its config's diff IDs; raise ImageInvalid."""
    try:
        parsed = image_config.parse(config)
    except RegistryError as error:
        raise ImageInvalid(str(error.detail)) from None
    if len(parsed.diff_ids) != len(manifest.layers):
        raise ImageInvalid(
            f"the manifest has {len(manifest.layers)} layers, its config {len(parsed.diff_ids)}"
        )
    if parsed.os not in {"linux", ""}:
        raise ImageInvalid(f"it is for {parsed.os[:40]!r}; this host runs linux")
    for place, each in enumerate(manifest.layers):
        if each.media_type not in LAYER_TYPES:
            raise ImageInvalid(f"layer {place} is {each.media_type[:100]!r}, which nobody unpacks")
        if each.urls:
            raise ImageInvalid(f"layer {place} is not in the registry, but to be fetched elsewhere")
    pairs = zip(manifest.layers, parsed.diff_ids, strict=True)
    return tuple(Layer(blob, diff_id) for blob, diff_id in pairs)
