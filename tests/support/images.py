"""Images to push: a real Debian one, built once and kept in .cache/images, and a small one."""

import fcntl
import gzip
import hashlib
import io
import json
import os
import random
import re
import shutil
import subprocess
import tarfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from support.environment import CACHE, temporary_directory, tool
from support.server import Account, Server

VERSION = "1"
"""Raise it when what is built here changes: what is kept under the old name is then built anew."""

TAG = "1"
"""The one tag in each layout."""

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
MANIFEST_TYPES = (MANIFEST, INDEX, DOCKER_MANIFEST, DOCKER_LIST)
CREATED = "2026-01-01T00:00:00Z"

Json = dict[str, Any]


def sha256(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def sha256_file(path: Path) -> str:
    with path.open("rb") as content:
        return f"sha256:{hashlib.file_digest(content, 'sha256').hexdigest()}"


def children(manifest: Json) -> list[Json]:
    """Answer the descriptors in a manifest or an index."""
    config = [manifest["config"]] if "config" in manifest else []
    return [*config, *manifest.get("layers", []), *manifest.get("manifests", [])]


@dataclass(frozen=True, slots=True)
class StoredImage:
    """What an engine that keeps unpacked layers still knows of an image."""

    config: str
    diff_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Layout:
    """An OCI image layout with one entry in its index.json, tagged TAG."""

    path: Path

    @property
    def descriptor(self) -> Json:
        entries = json.loads((self.path / "index.json").read_bytes())["manifests"]
        assert len(entries) == 1, entries
        descriptor: Json = entries[0]
        return descriptor

    @property
    def digest(self) -> str:
        digest: str = self.descriptor["digest"]
        return digest

    def blob(self, digest: str) -> Path:
        return self.path / "blobs" / digest.replace(":", "/")

    def read(self, digest: str) -> Json:
        content: Json = json.loads(self.blob(digest).read_bytes())
        return content

    def reachable(self, digest: str | None = None) -> Iterator[tuple[str, str]]:
        """Yield (media type, digest) of all that the entry, or *digest*, leads to, it included."""
        if digest is None:
            digest = self.digest
            yield self.descriptor["mediaType"], digest
        for child in children(self.read(digest)):
            yield child["mediaType"], child["digest"]
            if child["mediaType"] in MANIFEST_TYPES:
                yield from self.reachable(child["digest"])

    def stored(self) -> StoredImage:
        """Answer what an engine on this platform must have of it."""
        digest = self.digest
        if self.descriptor["mediaType"] == INDEX:
            digest = self.read(digest)["manifests"][0]["digest"]
        config = self.read(digest)["config"]["digest"]
        return StoredImage(config, tuple(self.read(config)["rootfs"]["diff_ids"]))

    def hold_same(self, other: Path) -> None:
        """Hold that the layout at *other* has every byte of this one.

        Content is named by its digest, so it is the same if it hashes to its name.
        """
        copy = Layout(other)
        for _, digest in self.reachable():
            assert copy.blob(digest).exists(), f"{digest} did not come back"
            assert sha256_file(copy.blob(digest)) == digest


class Reader:
    """Reads a registry by HTTP, to see what a client has really put there."""

    def __init__(self, server: Server, account: Account | None = None) -> None:
        self._server = server
        self._account = account or server.account
        self._http = httpx.Client(base_url=server.url, timeout=60)

    def close(self) -> None:
        self._http.close()

    def get(self, path: str, scope: str) -> httpx.Response:
        """GET with whatever the server's challenge asks for."""
        headers = {"Accept": ", ".join(MANIFEST_TYPES)}
        response = self._http.get(path, headers=headers)
        if response.status_code == httpx.codes.UNAUTHORIZED and self._account is not None:
            response = self._http.get(
                path, headers=headers | self.authorization(response.headers, scope)
            )
        return response

    def authorization(self, challenged: Mapping[str, str], scope: str) -> dict[str, str]:
        """Answer the header that meets a challenge, Basic or Bearer."""
        assert self._account is not None
        challenge = challenged["WWW-Authenticate"]
        basic = httpx.BasicAuth(*self._account.pair)
        if challenge.lower().startswith("basic"):
            request = next(basic.auth_flow(httpx.Request("GET", self._server.url)))
            return {"Authorization": request.headers["Authorization"]}
        words = dict(re.findall(r'(\w+)="([^"]*)"', challenge))
        asked = {"service": words.get("service", ""), "scope": scope}
        answer = self._http.get(words["realm"], params=asked, auth=basic)
        answer.raise_for_status()
        body = answer.json()
        return {"Authorization": f"Bearer {body.get('token') or body['access_token']}"}

    def manifest(self, repository: str, reference: str) -> httpx.Response:
        return self.get(f"/v2/{repository}/manifests/{reference}", f"repository:{repository}:pull")

    def blob(self, repository: str, digest: str) -> bytes:
        response = self.get(f"/v2/{repository}/blobs/{digest}", f"repository:{repository}:pull")
        response.raise_for_status()
        assert sha256(response.content) == digest
        return response.content

    def hold_same(self, layout: Layout, repository: str) -> None:
        """Hold that *repository* serves every byte of *layout*."""
        tagged = self.manifest(repository, TAG)
        assert tagged.status_code == httpx.codes.OK, tagged.text
        assert tagged.content == layout.blob(layout.digest).read_bytes()
        for media_type, digest in layout.reachable():
            if media_type in MANIFEST_TYPES:
                answer = self.manifest(repository, digest)
                assert answer.headers["Content-Type"] == media_type
                assert answer.content == layout.blob(digest).read_bytes()
            else:
                assert self.blob(repository, digest) == layout.blob(digest).read_bytes()

    def stored(self, repository: str, tag: str = TAG) -> StoredImage:
        """Answer config and diff IDs of the image at *tag*, found by unpacking what is served.

        An engine compresses its layers anew and may write another manifest, so these alone stay.
        """
        response = self.manifest(repository, tag)
        assert response.status_code == httpx.codes.OK, response.text
        manifest = response.json()
        assert response.headers["Content-Type"] == manifest["mediaType"]
        config = manifest["config"]["digest"]
        named = json.loads(self.blob(repository, config))["rootfs"]["diff_ids"]
        layers = [self.blob(repository, layer["digest"]) for layer in manifest["layers"]]
        found = [sha256(gzip.decompress(layer)) for layer in layers]
        assert found == named
        return StoredImage(config, tuple(found))


class Builder:
    """Writes layouts that share their blobs by hard links."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._blobs = path / "all"
        self._blobs.mkdir(parents=True)

    def add(self, content: bytes, media_type: str) -> Json:
        """Keep *content*; answer its descriptor."""
        digest = sha256(content)
        (self._blobs / digest.removeprefix("sha256:")).write_bytes(content)
        return {"mediaType": media_type, "digest": digest, "size": len(content)}

    def add_json(self, content: Json, media_type: str) -> Json:
        return self.add(json.dumps(content, indent=1).encode(), media_type)

    def add_layer(self, tar: Path) -> tuple[Json, str]:
        """Compress and keep the tar file; answer its descriptor and its diff ID."""
        packed = tar.with_suffix(".gz")
        with packed.open("wb") as output:
            subprocess.run([tool("gzip"), "-1", "-n", "-c", tar], stdout=output, check=True)
        digest = sha256_file(packed)
        size = packed.stat().st_size
        packed.replace(self._blobs / digest.removeprefix("sha256:"))
        return {"mediaType": LAYER, "digest": digest, "size": size}, sha256_file(tar)

    def add_image(self, architecture: str, layers: list[tuple[Json, str]]) -> Json:
        """Write config and manifest; answer the manifest's descriptor, with its platform."""
        config = {
            "created": CREATED,
            "architecture": architecture,
            "os": "linux",
            "config": {"Cmd": ["/bin/sh"], "Env": ["PATH=/usr/sbin:/usr/bin:/sbin:/bin"]},
            "rootfs": {"type": "layers", "diff_ids": [diff_id for _, diff_id in layers]},
            "history": [
                {"created": CREATED, "created_by": f"layer {number}"}
                for number, _ in enumerate(layers, 1)
            ],
        }
        manifest = {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": self.add_json(config, CONFIG),
            "layers": [descriptor for descriptor, _ in layers],
            "annotations": {"org.opencontainers.image.created": CREATED},
        }
        descriptor = self.add_json(manifest, MANIFEST)
        return descriptor | {"platform": {"architecture": architecture, "os": "linux"}}

    def add_index(self, images: list[Json]) -> Json:
        index = {"schemaVersion": 2, "mediaType": INDEX, "manifests": images}
        return self.add_json(index, INDEX)

    def write_layout(self, name: str, descriptor: Json) -> None:
        """Write the layout *name* with *descriptor* as its one entry."""
        path = self.path / name
        blobs = path / "blobs" / "sha256"
        blobs.mkdir(parents=True)
        (path / "oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}', "utf-8")
        tagged = descriptor | {"annotations": {"org.opencontainers.image.ref.name": TAG}}
        index = {"schemaVersion": 2, "mediaType": INDEX, "manifests": [tagged]}
        (path / "index.json").write_text(json.dumps(index), "utf-8")
        wanted = [descriptor]
        while wanted:
            one = wanted.pop()
            blob = one["digest"].removeprefix("sha256:")
            if not (blobs / blob).exists():
                os.link(self._blobs / blob, blobs / blob)
                if one["mediaType"] in MANIFEST_TYPES:
                    wanted += children(json.loads((blobs / blob).read_bytes()))

    def finish(self) -> None:
        shutil.rmtree(self._blobs)


@dataclass(frozen=True, slots=True)
class Images:
    """An image of this machine's platform, and an index that leads to it and to another one."""

    image: Layout
    index: Layout


def write_tar(path: Path, files: Mapping[str, bytes]) -> Path:
    """Write a layer with *files*, and with nothing in it that changes from run to run."""
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            member.mode = 0o644
            tar.addfile(member, io.BytesIO(content))
    return path


def architecture() -> str:
    """Answer this machine's platform in the words of OCI."""
    return {"x86_64": "amd64", "aarch64": "arm64"}[os.uname().machine]


def build(name: str, base: Path, upper_bytes: int, workplace: Path) -> None:
    """Build the pair called *name* over the tar file *base* and keep it."""
    here = architecture()
    other = "arm64" if here == "amd64" else "amd64"
    builder = Builder(workplace / name)
    ground = builder.add_layer(base)
    # Emptier than empty cannot be: what tar writes for no file at all, two blocks padded to 10 KiB.
    empty = workplace / "empty.tar"
    empty.write_bytes(bytes(tarfile.RECORDSIZE))
    nothing = builder.add_layer(empty)
    images = []
    for platform in (here, other):
        upper = {
            "srv/platform": platform.encode(),
            "srv/noise": random.Random(platform).randbytes(upper_bytes),
            "etc/.wh.issue": b"",
        }
        layer = builder.add_layer(write_tar(workplace / f"{platform}.tar", upper))
        images.append(builder.add_image(platform, [ground, layer, nothing]))
    builder.write_layout("image", {k: v for k, v in images[0].items() if k != "platform"})
    builder.write_layout("index", builder.add_index(images))
    builder.finish()


def debian_tar(workplace: Path) -> Path:
    """Make a root filesystem by debootstrap; answer it as a tar file."""
    root = workplace / "root"
    release = dict(
        line.split("=", 1) for line in Path("/etc/os-release").read_text("utf-8").splitlines()
    )
    suite = release["VERSION_CODENAME"].strip('"')
    log = workplace / "debootstrap.log"
    with log.open("wb") as output:
        done = subprocess.run(
            [tool("debootstrap"), "--variant=minbase", suite, root],
            stdout=output,
            stderr=subprocess.STDOUT,
            check=False,
        )
    assert done.returncode == 0, log.read_text("utf-8", "replace")[-4000:]
    archive = workplace / "base.tar"
    shutil.rmtree(root / "var" / "cache" / "apt")
    flags = ["--numeric-owner", "--xattrs", "--sort=name", "--exclude=./dev/*"]
    subprocess.run([tool("tar"), *flags, "-C", root, "-cf", archive, "."], check=True)
    return archive


def small_tar(workplace: Path) -> Path:
    files = {
        "etc/issue": b"a small image\n",
        "etc/os-release": b"ID=small\n",
        "bin/noise": random.Random(1).randbytes(100_000),
    }
    return write_tar(workplace / "base.tar", files)


def cached(name: str, *, real: bool, upper_bytes: int) -> Images:
    """Answer the pair called *name*, built at most once on this machine."""
    home = CACHE / "images"
    home.mkdir(parents=True, exist_ok=True)
    target = home / f"{name}-{VERSION}"
    with (home / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # processes of one run may ask at the same time
        if not target.exists():
            with temporary_directory("image") as workplace:
                base = debian_tar(workplace) if real else small_tar(workplace)
                build(name, base, upper_bytes, workplace)
                staging = home / f"{name}.partial"
                shutil.rmtree(staging, ignore_errors=True)
                shutil.copytree(workplace / name, staging)
                staging.rename(target)
    return Images(Layout(target / "image"), Layout(target / "index"))


def real_images() -> Images:
    """A Debian root filesystem, a layer of 12 MiB over it, an empty layer; two platforms."""
    return cached("debian", real=True, upper_bytes=12 << 20)


def small_images() -> Images:
    """The same shape in some hundred kilobytes, made in pure Python."""
    return cached("small", real=False, upper_bytes=10_000)
