"""A reference becomes layers on this host: each fetched once, whoever asks, with rights of his own.

A layer that is here gives no right to it. Who asks for it must be shown its blob by the registry
that the blob once came from, by his own credential; or he must bring the bytes, which are hashed.
"""

import asyncio
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

from hostimages.cache import Cache
from hostimages.content import Content, LayerProgress
from hostimages.errors import (
    CacheUnusable,
    ContentCorrupt,
    ImageError,
    ImageInvalid,
    LayerRefused,
    RegistryUnavailable,
)
from hostimages.flights import Flights
from hostimages.image import Found, Layer, choose, is_index, read_layers, read_manifest
from hostimages.reference import ImageReference
from hostimages.registry_client import Repository
from hostimages.settings import ImageSettings
from hostimages.wire import Watch
from registry.oci.descriptor import Descriptor
from registry.oci.digest import Digest

_REQUESTS = 16
"""Threads for manifests, configs and questions whether a blob may be had."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class _Job:
    """What a flight is about: where from, and how far."""

    registry: str
    blob: Digest
    progress: LayerProgress | None = None


class Puller:
    """Fetches what is missing; one a cache."""

    def __init__(self, settings: ImageSettings, cache: Cache, content: Content) -> None:
        self._settings = settings
        self._cache = cache
        self._content = content
        self._requests = ThreadPoolExecutor(_REQUESTS, "images-request")
        self._workers = ThreadPoolExecutor(settings.parallel_layers, "images-layer")
        self._layers: Flights[_Job] = Flights(self._workers)
        self._configs: Flights[_Job] = Flights(self._requests)
        self.fetched_bytes = 0
        """Bytes of layers that came over the network since the start."""
        self.fetched_layers = 0

    def close(self) -> None:
        """End all jobs; what came of them is kept."""
        for flight in [*self._layers.under_way(), *self._configs.under_way()]:
            flight.watch.cancel()
            flight.future.cancel()
        self._workers.shutdown(wait=True, cancel_futures=True)
        self._requests.shutdown(wait=True, cancel_futures=True)

    def progress(self) -> list[LayerProgress]:
        """The layers that are being fetched or wait for it."""
        return [each.about.progress for each in self._layers.under_way() if each.about.progress]

    async def find(self, repository: Repository, where: ImageReference) -> Found:
        """Ask what *where* is, down to the manifest of this machine and its config."""
        fetched = await self._ask(lambda watch: repository.manifest(where.wanted, watch))
        manifest = read_manifest(fetched.content, fetched.media_type)
        if is_index(manifest):
            chosen = str(choose(manifest).digest)
            fetched = await self._ask(lambda watch: repository.manifest(chosen, watch))
            manifest = read_manifest(fetched.content, fetched.media_type)
        if is_index(manifest) or manifest.config is None:
            raise ImageInvalid(f"{where} leads to an index in an index, or to no image")
        config = await self._config(repository, manifest.config)
        layers = read_layers(manifest, config)
        return Found(fetched.digest, manifest.config.digest, config, layers)

    async def bring(self, repository: Repository, layers: Iterable[Layer]) -> None:
        """Return when all *layers* are here and *repository* may have them.

        Raises the first ImageError; jobs that nobody else waits for then end.
        """
        tasks = [asyncio.ensure_future(self._bring(repository, each)) for each in layers]
        try:
            await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _bring(self, repository: Repository, layer: Layer) -> None:
        source = repository.registry, layer.blob.digest
        mine = False
        while True:
            here = await asyncio.to_thread(self._cache.find, layer.diff_id)
            if here is not None:
                known = await asyncio.to_thread(self._cache.origin, *source)
                if known == str(layer.diff_id):
                    if not mine:
                        await self._ask(
                            lambda watch: repository.check_blob(layer.blob.digest, watch)
                        )
                    return
                if known is not None:
                    raise LayerRefused(
                        f"layer {layer.blob.digest} is {known}, not {layer.diff_id} as the image's "
                        "config says. Build and push the image anew"
                    )
            key = (layer.diff_id, layer.blob.digest if here else None)
            mine = await self._fly(repository, layer, key, prove=here is not None)

    async def _fly(self, repository: Repository, layer: Layer, key: object, *, prove: bool) -> bool:
        """Wait for the one job that fetches a layer; answer whether it was for this repository.

        Raises what ended it, unless it was another's and one's own may fare better.
        """
        flight = self._layers.find(key)
        mine = flight is None
        if flight is None:
            progress = LayerProgress(layer)

            def job(watch: Watch) -> None:
                act = self._content.prove if prove else self._content.fetch
                try:
                    act(repository, layer, watch, progress)
                finally:
                    self.fetched_bytes += max(0, progress.received - progress.resumed)
                self.fetched_layers += 1

            about = _Job(repository.registry, layer.blob.digest, progress)
            self._layers.begin(key, job, Watch(self._settings.patience), about)
            flight = self._layers.find(key)
            assert flight is not None
        try:
            await self._layers.wait(key)
        except ImageError as error:
            same = flight.about.registry == repository.registry
            hopeless = (
                isinstance(error, CacheUnusable)
                or (same and isinstance(error, RegistryUnavailable))
                or (same and flight.about.blob == layer.blob.digest and _is_about_bytes(error))
            )
            if mine or hopeless:
                raise
        return mine

    async def _config(self, repository: Repository, config: Descriptor) -> bytes:
        source = repository.registry, config.digest
        mine = False
        while True:
            content = await asyncio.to_thread(self._cache.config, *source)
            if content is not None:
                if not mine:
                    await self._ask(lambda watch: repository.check_blob(config.digest, watch))
                return content
            mine = self._configs.find(source) is None
            if mine:

                def job(watch: Watch) -> None:
                    fetched = repository.small_blob(config.digest, config.size, watch)
                    self._cache.add_config(*source, fetched)

                watch = Watch(self._settings.patience)
                self._configs.begin(source, job, watch, _Job(*source))
            try:
                await self._configs.wait(source)
            except ImageError as error:
                if mine or isinstance(error, RegistryUnavailable | CacheUnusable):
                    raise

    async def _ask(self, question: Callable[[Watch], T]) -> T:
        """Carry out one request in a thread; end it when nobody waits any more."""
        watch = Watch(self._settings.patience)
        loop = asyncio.get_running_loop()
        try:
            return await loop.run_in_executor(self._requests, question, watch)
        except asyncio.CancelledError:
            watch.cancel()
            raise


def _is_about_bytes(error: ImageError) -> bool:
    """Whether the bytes themselves are at fault, so that they would be for everybody."""
    return isinstance(error, LayerRefused | ContentCorrupt)
