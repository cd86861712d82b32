"""A host's images, as the rest of the agent uses them."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass

from hostimages.cache import Cache, CachedLayer
from hostimages.collect import Collected, Collector, Spoiled
from hostimages.content import Content, LayerProgress
from hostimages.errors import CacheUnusable, ImageInvalid
from hostimages.image import Image, Layer
from hostimages.pull import Puller
from hostimages.reference import Credential, ImageReference
from hostimages.registry_client import Repository
from hostimages.settings import ImageSettings
from hostimages.shelf import Shelf
from hostimages.wire import Wire
from registry.oci.digest import Digest
from registry.oci.image import chain_ids

LOWER_LIMIT = 500
"""Lower directories that an overlay takes."""
_TICK = 1.0
TIDY = 60.0
"""Seconds."""


@dataclass(frozen=True, slots=True)
class PullProgress:
    """How far one image is."""

    layers: int
    """Layers that were missing when the pull began."""
    layers_here: int
    bytes: int
    """Compressed, of the layers that were missing."""
    bytes_here: int


@dataclass(frozen=True, slots=True)
class CacheReport:
    """What the cache has, and what it was good for."""

    layers: tuple[CachedLayer, ...]
    """The longest unused first; each with its pins and its uses."""
    bytes: int
    inodes: int
    hits: int
    """How often a layer was needed and was here, ever; of layers that are still here."""
    fetched_layers: int
    """Since the agent's start."""
    fetched_bytes: int
    coming: tuple[LayerProgress, ...]
    """Layers that are being brought or wait for their turn."""


class Images:
    """Images on this host: layers are shared by all, rights are each caller's own.

    An image's life here: *ensure* pins it for a set's generation and brings what is missing; it
    stays as long as it is pinned; *unpin*, and a collection may take its layers. Every method may
    raise CacheUnusable.
    """

    def __init__(self, settings: ImageSettings) -> None:
        """Use *open*."""
        self._settings = settings
        self._shelf = Shelf(settings.directory)
        self._cache = Cache(settings.directory / "cache.db")
        self._shelf.recover(self._cache)
        content = Content(self._shelf, self._cache, settings.patience, settings.layer)
        self._puller = Puller(settings, self._cache, content)
        self._wire = Wire(settings.registries)
        self._collector = Collector(self._shelf, self._cache, settings.watermarks, settings.layer)
        self._collecting = asyncio.Lock()

    @classmethod
    @contextlib.asynccontextmanager
    async def open(cls, settings: ImageSettings) -> AsyncIterator["Images"]:
        """Open the cache, and clear what an agent left that ended in the middle of something."""
        images = await asyncio.to_thread(cls, settings)
        tidying = asyncio.create_task(images._tidy())  # noqa: SLF001
        try:
            yield images
        finally:
            tidying.cancel()
            await asyncio.gather(tidying, return_exceptions=True)
            async with images._collecting:  # noqa: SLF001
                await asyncio.to_thread(images._close)  # noqa: SLF001

    async def ensure(
        self,
        reference: str,
        credential: Credential | None = None,
        *,
        set_id: str,
        generation: int,
        progress: Callable[[PullProgress], None] | None = None,
    ) -> Image:
        """Have an image here, pinned for the set's generation; answer where it lies.

        The registry is asked in any case, with *credential*: a layer in the cache gives no right.
        A digest in *reference*, of a manifest or an index, goes before the tag. *progress* is told
        about once a second. The pin stands from the look-up on, also where this raises or is
        cancelled, until *unpin*. Many may ask at once: each layer is fetched once.

        Raises ImageError: ReferenceInvalid, ImageUnknown, PullDenied, RegistryUnavailable,
        PullTooSlow, ContentCorrupt, ImageInvalid, LayerRefused, CacheUnusable.
        """
        where = ImageReference.parse(reference)
        settings = self._settings
        source = Repository(self._wire, settings.registries, settings.patience, where, credential)
        found = await self._puller.find(source, where)
        diff_ids = [each.diff_id for each in found.layers]
        here = await asyncio.to_thread(
            self._cache.look_up, set_id, generation, found.digest, found.config_bytes, diff_ids
        )
        layers = {each.diff_id: each for each in found.layers}
        missing = [each for each in layers.values() if each.diff_id not in here]
        async with self._telling(missing, progress):
            await self._puller.bring(source, layers.values())
        await asyncio.to_thread(self._cache.use, here)
        return await asyncio.to_thread(
            self._assemble, found.digest, found.config_bytes, tuple(diff_ids)
        )

    def held(self, digest: Digest) -> Image | None:
        """An image that somebody has pinned, without asking a registry; for starting again.

        None if nobody has, or not all of it is here.
        """
        pinned = self._cache.pinned(digest)
        if pinned is None:
            return None
        try:
            return self._assemble(pinned.digest, pinned.config, pinned.diff_ids)
        except ImageInvalid:
            return None

    async def unpin(self, set_id: str, generation: int | None = None) -> None:
        """Let go of the images of a set's generations up to this one; None: of all."""
        await asyncio.to_thread(self._cache.unpin, set_id, generation)

    def progress(self) -> list[LayerProgress]:
        """Layers that are being brought or wait for their turn."""
        return self._puller.progress()

    async def cache(self) -> CacheReport:
        """What lies here, and what it was good for."""
        layers = await asyncio.to_thread(self._cache.layers)
        return CacheReport(
            tuple(layers),
            bytes=sum(each.bytes for each in layers),
            inodes=sum(each.inodes for each in layers),
            hits=sum(each.uses for each in layers),
            fetched_layers=self._puller.fetched_layers,
            fetched_bytes=self._puller.fetched_bytes,
            coming=tuple(self.progress()),
        )

    async def collect(self, *, everything: bool = False) -> Collected:
        """Let layers go that nobody has pinned, if the marks are passed, or *everything* of them.

        The agent does so by itself, too; before a pull, and now and then.
        """
        async with self._collecting:
            return await asyncio.to_thread(self._collector.collect, everything=everything)

    async def check(self) -> list[Spoiled]:
        """Look whether the layers are as they were placed. Spoiled ones go, and are pulled anew."""
        async with self._collecting:
            return await asyncio.to_thread(self._collector.check)

    async def empty_trash(self) -> None:
        """Delete what was collected or given up."""
        async with self._collecting:
            await asyncio.to_thread(self._shelf.empty_trash)

    async def _tidy(self) -> None:
        """Now and then, and while no layer comes: collect, and delete what was thrown away.

        On ext4, files are made far more slowly for minutes after many were deleted.
        """
        while True:
            with contextlib.suppress(CacheUnusable):
                await self.collect()
                if not self._puller.progress():
                    await self.empty_trash()
            await asyncio.sleep(TIDY)

    def _assemble(self, digest: Digest, config: bytes, diff_ids: tuple[Digest, ...]) -> Image:
        chain: dict[Digest, None] = {}
        for each in reversed(diff_ids):
            row = self._cache.find(each)
            if row is None:
                raise ImageInvalid(f"layer {each} is not here any more")
            if row.inodes:
                chain[each] = None  # once: the lower of two equal ones changes nothing
        if len(chain) > LOWER_LIMIT:
            raise ImageInvalid(
                f"it has {len(chain)} layers that change something; the kernel stacks {LOWER_LIMIT}"
            )
        chain_id = chain_ids(diff_ids)[-1] if diff_ids else Digest.of(b"")
        return Image(digest, config, chain_id, tuple(map(self._shelf.directory, chain)))

    @contextlib.asynccontextmanager
    async def _telling(
        self, missing: Sequence[Layer], progress: Callable[[PullProgress], None] | None
    ) -> AsyncIterator[None]:
        """While this lasts, *progress* is told how far the *missing* layers are."""
        if progress is None or not missing:
            yield
            return
        tell = progress

        async def tick() -> None:
            while True:
                tell(await asyncio.to_thread(self._measure, missing))
                await asyncio.sleep(_TICK)

        ticking = asyncio.create_task(tick())
        try:
            yield
            tell(await asyncio.to_thread(self._measure, missing))
        finally:
            ticking.cancel()
            await asyncio.gather(ticking, return_exceptions=True)

    def _measure(self, missing: Sequence[Layer]) -> PullProgress:
        coming = {each.layer.diff_id: each.received for each in self._puller.progress()}
        here = {each.diff_id for each in missing if self._cache.find(each.diff_id)}
        return PullProgress(
            layers=len(missing),
            layers_here=len(here),
            bytes=sum(each.blob.size for each in missing),
            bytes_here=sum(
                each.blob.size if each.diff_id in here else coming.get(each.diff_id, 0)
                for each in missing
            ),
        )

    def _close(self) -> None:
        self._puller.close()
        self._wire.close()
        self._cache.close()
        self._shelf.close()
