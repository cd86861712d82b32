"""Layers that nothing needs go when space or inodes run short; and whether layers are whole."""

import fcntl
import os
import time
from dataclasses import dataclass, field

from hostimages.cache import Cache, CachedLayer
from hostimages.errors import ImageError
from hostimages.settings import LayerLimits, Watermarks
from hostimages.shelf import Shelf, on_disk
from hostimages.unpack import unpacking
from registry.oci.digest import Digest
from volumes.overlay import lowers_in_use

_PARTIAL_AGE = 24 * 3600
"""Seconds after which a blob that never came whole is given up."""


@dataclass(frozen=True, slots=True)
class Usage:
    """What the cache takes, and what its file system has left."""

    bytes: int
    inodes: int
    free_bytes: int
    free_inodes: int

    def is_above(self, marks: Watermarks, share: float) -> bool:
        """Whether more is taken than *share* of the limits, or less is left than should be."""
        return (
            self.bytes > marks.bytes * share
            or self.inodes > marks.inodes * share
            or self.free_bytes < marks.free_bytes
            or self.free_inodes < marks.free_inodes
        )

    def less(self, layer: CachedLayer) -> "Usage":
        """Once *layer* is gone."""
        return Usage(
            self.bytes - layer.bytes,
            self.inodes - layer.inodes,
            self.free_bytes + layer.bytes,
            self.free_inodes + layer.inodes,
        )


@dataclass(slots=True)
class Collected:
    """What a collection did, and what stood in its way."""

    gone: list[Digest] = field(default_factory=list)
    bytes: int = 0
    inodes: int = 0
    short: bool = False
    """Whether it ended above the marks: all that is left is needed."""
    held: dict[Digest, tuple[int, list[tuple[str, int]]]] = field(default_factory=dict)
    """If short: the bytes of each layer that stays, and the sets' generations that need it."""


@dataclass(frozen=True, slots=True)
class Spoiled:
    """A layer that is not as it was placed."""

    diff_id: Digest
    gone: bool
    """Whether it was taken away, to be pulled anew; not so while containers run on it."""


class Collector:
    """Collects from one cache; its methods are for threads, one at a time."""

    def __init__(self, shelf: Shelf, cache: Cache, marks: Watermarks, limits: LayerLimits) -> None:
        self._shelf = shelf
        self._cache = cache
        self._marks = marks
        self._limits = limits

    def usage(self) -> Usage:
        """As of now."""
        layers = self._cache.layers()
        with on_disk():
            system = os.statvfs(self._shelf.root)
        return Usage(
            sum(each.bytes for each in layers),
            sum(each.inodes for each in layers),
            system.f_bavail * system.f_frsize,
            # Some file systems make inodes as they need them, and say that they have none.
            system.f_favail if system.f_files else self._marks.free_inodes,
        )

    def collect(self, *, everything: bool = False) -> Collected:
        """If the high mark is passed, let the longest unused layers go until the low one is met.

        With *everything*, all that nobody has pinned. Their space comes back when the trash is
        emptied.
        """
        usage, done = self.usage(), Collected()
        if everything or usage.is_above(self._marks, self._marks.high):
            for layer in self._cache.layers():
                if not everything and not usage.is_above(self._marks, self._marks.low):
                    break
                if layer.pins == 0 and self._take(layer.diff_id):
                    usage = usage.less(layer)
                    done.gone.append(layer.diff_id)
                    done.bytes += layer.bytes
                    done.inodes += layer.inodes
            done.short = usage.is_above(self._marks, self._marks.high)
        if done.short:
            done.held = {
                each.diff_id: (each.bytes, self._cache.holders(each.diff_id))
                for each in self._cache.layers()
            }
        self._cache.forget_stray()
        self._drop_partials()
        return done

    def check(self) -> list[Spoiled]:
        """Look whether each layer is as it was placed; what is not is taken away, if it can be."""
        return [
            Spoiled(each.diff_id, self._take(each.diff_id, pinned=True))
            for each in self._cache.layers()
            if each.inodes and not self._is_whole(each)
        ]

    def _take(self, diff_id: Digest, *, pinned: bool = False) -> bool:
        """Condemn a layer and take it away, unless it is pinned or a root stands on it."""
        place = str(self._shelf.directory(diff_id))
        if place in lowers_in_use() or not self._cache.condemn(diff_id, pinned=pinned):
            return False
        if place in lowers_in_use():  # a root was mounted in between
            self._cache.spare(diff_id)
            return False
        return self._shelf.remove(diff_id, self._cache)

    def _is_whole(self, layer: CachedLayer) -> bool:
        directory = self._shelf.directory(layer.diff_id)
        if not directory.is_dir():
            return False
        try:
            with unpacking(directory, self._limits, survey=True) as looking:
                return looking.finish().tree == layer.tree
        except ImageError:
            return False  # the disk does not give it back

    def _drop_partials(self) -> None:
        """Give up blobs that nobody went on with."""
        with on_disk():
            for path in self._shelf.partial.iterdir():
                handle = os.open(path, os.O_RDWR | os.O_CLOEXEC)
                try:
                    fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    if time.time() - os.fstat(handle).st_mtime > _PARTIAL_AGE:
                        path.unlink()
                except BlockingIOError:
                    pass
                finally:
                    os.close(handle)
