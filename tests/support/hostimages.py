"""Images made by hand, pushed to a real registry, and a host's cache to pull them into."""

import contextlib
import gzip
import hashlib
import io
import json
import tarfile
import uuid
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx

from hostimages.image import Image
from hostimages.images import Images
from hostimages.reference import Credential
from hostimages.settings import ImageSettings
from support.images import CONFIG, LAYER, MANIFEST, architecture
from support.server import Server

PLAIN_LAYER = "application/vnd.oci.image.layer.v1.tar"


def digest_of(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def member(name: str, kind: bytes = tarfile.REGTYPE, **attributes: Any) -> tarfile.TarInfo:
    """One entry; *attributes* are TarInfo's."""
    made = tarfile.TarInfo(name)
    made.type = kind
    made.mode = 0o755 if kind == tarfile.DIRTYPE else 0o644
    for attribute, value in attributes.items():
        setattr(made, attribute, value)
    return made


def tar_of(*entries: tarfile.TarInfo | tuple[tarfile.TarInfo, bytes]) -> bytes:
    """A tar of entries, those with content as pairs."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for entry in entries:
            info, content = entry if isinstance(entry, tuple) else (entry, b"")
            if content:
                info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return packed.getvalue()


def files(content: Mapping[str, bytes]) -> bytes:
    """A tar of plain files, each in directories that are in the tar, too."""
    entries: list[tuple[tarfile.TarInfo, bytes]] = []
    made: set[str] = set()
    for name, each in content.items():
        for parent in reversed([str(p) for p in Path(name).parents if str(p) != "."]):
            if parent not in made:
                entries.append((member(parent, tarfile.DIRTYPE), b""))
                made.add(parent)
        entries.append((member(name), each))
    return tar_of(*entries)


@dataclass(frozen=True, slots=True)
class Blob:
    """A layer as it is pushed, and what its config says of it."""

    content: bytes
    diff_id: str
    media_type: str = LAYER

    @classmethod
    def gzipped(cls, tar: bytes) -> "Blob":
        return cls(gzip.compress(tar, 1, mtime=0), digest_of(tar))


@dataclass(frozen=True, slots=True)
class Handmade:
    """An image: its blobs, its config, its manifest."""

    layers: tuple[Blob, ...]
    config: bytes
    manifest: bytes

    @classmethod
    def of(cls, layers: Iterable[Blob | bytes], **config: Any) -> "Handmade":
        """An image of *layers* (bytes: a tar, to be gzipped), from the base up."""
        blobs = [each if isinstance(each, Blob) else Blob.gzipped(each) for each in layers]
        document = {
            "architecture": architecture(),
            "os": "linux",
            "config": {"Cmd": ["/bin/sh"]},
            "rootfs": {"type": "layers", "diff_ids": [each.diff_id for each in blobs]},
            **config,
        }
        packed = json.dumps(document).encode()
        manifest = {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": described(packed, CONFIG),
            "layers": [described(each.content, each.media_type) for each in blobs],
        }
        return cls(tuple(blobs), packed, json.dumps(manifest).encode())

    @property
    def digest(self) -> str:
        return digest_of(self.manifest)

    def push(self, server: Server, repository: str, tag: str = "1") -> str:
        """Push it; answer its reference."""
        pair = server.account.pair if server.account else None
        with httpx.Client(base_url=server.url, auth=pair, timeout=60) as client:
            for content in [self.config, *(each.content for each in self.layers)]:
                path = f"/v2/{repository}/blobs/uploads/"
                began = client.post(path)
                location = began.headers["Location"]
                joint = "&" if "?" in location else "?"
                url = f"{location}{joint}digest={digest_of(content)}"
                assert client.put(url, content=content).status_code == 201
            path = f"/v2/{repository}/manifests/{tag}"
            headers = {"Content-Type": MANIFEST}
            answer = client.put(path, content=self.manifest, headers=headers)
            assert answer.status_code == 201, answer.text
        return f"{server.address}/{repository}:{tag}"


def described(content: bytes, media_type: str) -> dict[str, object]:
    return {"mediaType": media_type, "digest": digest_of(content), "size": len(content)}


@contextlib.asynccontextmanager
async def opened(directory: Path, **settings: Any) -> AsyncIterator[Images]:
    """A cache in *directory*, opened."""
    async with Images.open(replace(ImageSettings(directory=directory), **settings)) as images:
        yield images


async def ensure(
    images: Images,
    reference: str,
    credential: Credential | None = None,
    *,
    set_id: str | None = None,
    **more: Any,
) -> Image:
    """Have an image for a set of generation 1."""
    return await images.ensure(
        reference, credential, set_id=set_id or uuid.uuid4().hex, generation=1, **more
    )


def content_of(chain: Sequence[Path], name: str) -> bytes:
    """A file's bytes in the topmost layer that has it."""
    for directory in chain:
        path = directory / name
        if path.exists():
            return path.read_bytes()
    raise FileNotFoundError(name)


def left_over(directory: Path) -> list[str]:
    """What lies in a cache besides layers: what is half done, or was and should be gone."""
    return sorted(
        f"{part}/{each.name}"
        for part in ("staging", "partial")
        for each in (directory / part).iterdir()
    )
