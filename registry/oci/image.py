"""An image's config, read: its layers' diff IDs and how they were made (image-spec, config.md)."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from registry.oci.digest import Digest
from registry.oci.errors import DigestInvalid, ManifestInvalid


@dataclass(frozen=True, slots=True)
class ImageConfig:
    """What of a config the image records tell."""

    diff_ids: tuple[Digest, ...]
    """The layers' digests uncompressed, the base's first."""
    created_by: tuple[str, ...]
    """What made each layer, as long as *diff_ids*; empty texts where the history does not fit."""
    os: str
    architecture: str


def parse(content: bytes) -> ImageConfig:
    """Read a config; raise ManifestInvalid where it is none."""
    try:
        document = json.loads(content)
        diff_ids = tuple(Digest.parse(each) for each in _list(document["rootfs"]["diff_ids"]))
        made = [
            _text(step, "created_by")
            for step in document.get("history") or []
            if not step.get("empty_layer")
        ]
        platform = _text(document, "os"), _text(document, "architecture")
    except (ValueError, RecursionError, TypeError, KeyError, AttributeError, DigestInvalid):
        raise ManifestInvalid("the config is no image's config") from None
    if len(made) != len(diff_ids):
        made = [""] * len(diff_ids)
    return ImageConfig(diff_ids, tuple(made), *platform)


def chain_ids(diff_ids: Sequence[Digest]) -> tuple[Digest, ...]:
    """The digest of each stack of layers, from the base up (config.md, "Layer ChainID")."""
    chain: list[Digest] = []
    for diff_id in diff_ids:
        below = f"{chain[-1]} {diff_id}".encode() if chain else None
        chain.append(diff_id if below is None else Digest.of(below))
    return tuple(chain)


def _list(value: object) -> list[Any]:
    if not isinstance(value, list):
        raise TypeError(type(value).__name__)
    return value


def _text(value: dict[str, Any], name: str) -> str:
    text = value.get(name)
    # JSON can spell halves of surrogate pairs, which nobody can write again.
    return text.encode("utf-8", "replace").decode() if isinstance(text, str) else ""
