"""What a pushed manifest's tags show as image records (DESIGN: records, Glance)."""

import contextlib
from collections.abc import Mapping, Sequence

from registry import pull
from registry.oci import chain, image
from registry.oci import manifest as manifests
from registry.oci.chain import Described, RecordDraft
from registry.oci.descriptor import Descriptor
from registry.oci.digest import Digest
from registry.oci.errors import BlobUnknown, ManifestInvalid, ManifestUnknown
from registry.oci.image import ImageConfig
from registry.oci.manifest import Manifest
from registry.oci.names import RepositoryName, Tag
from registry.storage.records import ManifestRecord
from registry.storage.storage import Storage

DEPTH = 4
"""Indexes within indexes whose images get records."""
LOOKED_AT = 1000
"""Manifests and indexes at most, below one index, that are looked at for records."""

REMEMBERED = 64 * 1024
"""Bytes of a config that is remembered at most; nearly all are a tenth of it."""


class Describer:
    """Reads what the records of one repository need; a config that cannot be read shows less."""

    def __init__(self, storage: Storage, repository: RepositoryName, *, trusting: bool) -> None:
        """*trusting*: whoever names a config that is not this repository's is refused later."""
        self._storage = storage
        self._repository = repository
        self._trusting = trusting
        self._seen: set[Digest] = set()

    async def draft(
        self, tags: Sequence[Tag], record: ManifestRecord, manifest: Manifest
    ) -> tuple[RecordDraft, ...]:
        """The records of *tags* on *record*, each once."""
        images: list[Described] = []
        top = await self._describe(record, manifest, None)
        await self._collect(manifest, images, DEPTH)
        drafts: dict[str, RecordDraft] = {}
        for tag in tags:
            found = chain.records(self._repository, tag, top, images)
            drafts.update((each.key, each) for each in found)
        return tuple(drafts.values())

    async def _collect(self, manifest: Manifest, images: list[Described], depth: int) -> None:
        """Add the images that an index names and that are here, nested indexes' too, each once."""
        for child in manifest.manifests:
            if child.digest in self._seen or len(self._seen) >= LOOKED_AT:
                continue
            self._seen.add(child.digest)
            try:
                found = await self._storage.ledger.find_manifest(self._repository, child.digest)
            except ManifestUnknown:
                continue
            inner = manifests.parse(found.content, found.media_type)
            if inner.manifests and depth > 0:
                await self._collect(inner, images, depth - 1)
            elif inner.config is not None:
                images.append(await self._describe(found, inner, child.platform))

    async def _describe(
        self, record: ManifestRecord, manifest: Manifest, platform: Mapping[str, str] | None
    ) -> Described:
        config = None
        if manifest.config is not None:
            config = await self._config(manifest.config)
        return Described(record.digest, len(record.content), manifest, config, platform)

    async def _config(self, named: Descriptor) -> ImageConfig | None:
        configs = self._storage.configs
        if self._trusting and (known := configs.get(named.digest)) is not None:
            return known
        try:
            link = await self._storage.ledger.find_blob(self._repository, named.digest)
            content = await pull.read_small(self._storage, link.blob)
            if content is None:
                return None
            config = image.parse(content)
        except (BlobUnknown, ManifestInvalid):
            return None
        if len(content) <= REMEMBERED:
            configs.keep(named.digest, config)
        return config


def remember(storage: Storage, digest: Digest, content: bytes) -> None:
    """Keep what a blob says that was pushed, if it is a config: its manifest will come soon."""
    if content.startswith(b"{") and len(content) <= REMEMBERED:
        with contextlib.suppress(ManifestInvalid):
            storage.configs.keep(digest, image.parse(content))
