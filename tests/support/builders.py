"""Content for tests: blobs, configs, manifests and indexes, made by hand and legible."""

import gzip
import hashlib
import io
import json
import tarfile
from dataclasses import dataclass, field

from registry.oci.descriptor import OCI_CONFIG, OCI_INDEX, OCI_MANIFEST
from registry.oci.digest import Digest

LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"


def descriptor(media_type: str, content: bytes, algorithm: str = "sha256") -> dict[str, object]:
    return {
        "mediaType": media_type,
        "digest": str(Digest.of(content, algorithm)),
        "size": len(content),
    }


def layer_tar(name: str, content: bytes) -> bytes:
    """A tar of one file; without a name, the empty tar of 10,240 bytes."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        if name:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return out.getvalue()


@dataclass(frozen=True)
class Image:
    """A manifest with the blobs that it names."""

    manifest: bytes
    config: bytes
    layers: tuple[bytes, ...]
    media_type: str = OCI_MANIFEST
    diff_ids: tuple[str, ...] = field(default=())

    @property
    def digest(self) -> Digest:
        return Digest.of(self.manifest)

    @property
    def blobs(self) -> list[bytes]:
        return [self.config, *self.layers]


def image(
    *texts: str, architecture: str = "amd64", extra: dict[str, object] | None = None
) -> Image:
    """An image of one layer for each of *texts*; an empty text makes the empty layer."""
    tars = [layer_tar("file" if text else "", text.encode()) for text in texts]
    layers = tuple(gzip.compress(tar, mtime=0) for tar in tars)
    diff_ids = tuple("sha256:" + hashlib.sha256(tar).hexdigest() for tar in tars)
    config = json.dumps(
        {
            "os": "linux",
            "architecture": architecture,
            "config": {},
            "rootfs": {"type": "layers", "diff_ids": list(diff_ids)},
            "history": [{"created_by": f"add {text}"} for text in texts],
        }
    ).encode()
    manifest = {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": descriptor(OCI_CONFIG, config),
        "layers": [descriptor(LAYER, layer) for layer in layers],
        **(extra or {}),
    }
    return Image(json.dumps(manifest).encode(), config, layers, diff_ids=diff_ids)


def index(*images: Image, extra: dict[str, object] | None = None) -> bytes:
    """An index of *images*, each for the platform that its config names."""
    manifests = []
    for each in images:
        config = json.loads(each.config)
        platform = {"os": config["os"], "architecture": config["architecture"]}
        manifests.append({**descriptor(each.media_type, each.manifest), "platform": platform})
    body = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": manifests, **(extra or {})}
    return json.dumps(body).encode()
