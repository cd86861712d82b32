"""The port Images, for steps in threads, over a cache that lives in an event loop."""

import asyncio
import contextlib
import threading
from collections.abc import Coroutine
from concurrent.futures import CancelledError, Future
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from hostagent.errors import StepFailed
from hostagent.ports import ReadyImage
from hostagent.told import told
from hostimages.collect import Collected, Spoiled
from hostimages.images import TIDY, CacheReport, Images, PullProgress
from hostimages.reference import Credential
from hostimages.settings import ImageSettings
from registry.oci.digest import Digest
from volumes.disks import Disks
from volumes.faults import VolumeFailed

T = TypeVar("T")


class HostImages:
    """Images and root filesystems below one directory; *close* it in the end.

    Any method may raise StepFailed.
    """

    def __init__(self, settings: ImageSettings, disks: Disks) -> None:
        """*disks* is what holds writable layers; whoever has made it opens and closes it."""
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="images", daemon=True)
        self._thread.start()
        self._opened = Images.open(settings)
        self.images = self._run(self._opened.__aenter__())
        self._disks = disks
        self._tidying = asyncio.run_coroutine_threadsafe(self._tidy(), self._loop)
        self._pulls: dict[str, set[Future[Any]]] = {}
        self._told: dict[str, PullProgress] = {}

    def close(self) -> None:
        """End pulls; what came of them is kept. Roots stay mounted."""
        self._tidying.cancel()
        self._run(self._opened.__aexit__(None, None, None))
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def ensure(
        self, set_id: str, generation: int, reference: str, secret: str | None
    ) -> ReadyImage:
        """Pull an image as far as it is not here, and pin it for a set's generation.

        *secret* is a token for the repository, or ``name:password``.
        """
        name, colon, password = (secret or "").partition(":")
        credential = Credential(name, password) if colon else Credential(token=name)
        pull = self.images.ensure(
            reference,
            credential,
            set_id=set_id,
            generation=generation,
            progress=partial(self._told.__setitem__, set_id),
        )
        future = asyncio.run_coroutine_threadsafe(pull, self._loop)
        pulls = self._pulls.setdefault(set_id, set())
        pulls.add(future)
        try:
            with told():
                image = future.result()
        except CancelledError:
            raise StepFailed(f"{reference} is no longer wanted") from None
        finally:
            pulls.discard(future)
            self._told.pop(set_id, None)
        return ReadyImage(str(image.digest), dict(image.config))

    def progress(self, set_id: str) -> tuple[int, int] | None:
        """Bytes that are here, and in all, of what is pulled for a set; None where nothing is."""
        told = self._told.get(set_id)
        return (told.bytes_here, told.bytes) if told is not None else None

    def prepare(self, disk: str, digest: str, most: int) -> Path:
        """The root filesystem *disk* on a pinned image, mounted; made where it is not.

        It takes *most* bytes beside the image's.
        """
        image = self.images.held(Digest.parse(digest))
        if image is None:
            raise StepFailed(f"{digest} is not on this host any more; it must be pulled again")
        with told():
            return self._disks.prepare(disk, image.chain, most)

    def release(self, disk: str) -> None:
        """Unmount a root filesystem; its bytes stay."""
        with told():
            self._disks.release(disk)

    def remove(self, disk: str) -> None:
        """Remove a root filesystem and its bytes; nothing where it is not."""
        with told():
            self._disks.remove(disk)

    def unpin(self, set_id: str, generation: int | None) -> None:
        """Let go of the images of a set's generations up to this one; None: of all.

        With None, pulls for the set end, unless another set waits for the same layers.
        """
        if generation is None:
            for pull in self._pulls.pop(set_id, set()).copy():
                pull.cancel()
        self._run(self.images.unpin(set_id, generation))

    def report(self) -> CacheReport:
        """What lies in the cache, and what it was good for."""
        return self._run(self.images.cache())

    def collect(self, *, everything: bool = False) -> Collected:
        """Let layers go that nobody has pinned, if the marks are passed, or all of them."""
        return self._run(self.images.collect(everything=everything))

    def check(self) -> list[Spoiled]:
        """Look whether the layers are as they were placed; spoiled ones go if they can."""
        return self._run(self.images.check())

    async def _tidy(self) -> None:
        """Now and then, and while no layer comes: delete the roots that were removed."""
        while True:
            if not self.images.progress():
                with contextlib.suppress(VolumeFailed):
                    await asyncio.to_thread(self._disks.empty_trash)
            await asyncio.sleep(TIDY)

    def _run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        with told():
            return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result()
