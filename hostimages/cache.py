"""The cache's tables: layers by diff ID, who pinned them, where their bytes are known to come from.

SQLite, flushed at each commit. One agent uses a cache at a time; its threads take turns here.
"""

import sqlite3
import threading
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from hostimages.errors import CacheUnusable
from registry.oci.digest import Digest

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS layer (
  diff_id TEXT PRIMARY KEY, bytes INTEGER NOT NULL, inodes INTEGER NOT NULL,
  tree TEXT NOT NULL, made_at REAL NOT NULL, used_at REAL NOT NULL,
  uses INTEGER NOT NULL DEFAULT 0, condemned INTEGER NOT NULL DEFAULT 0) STRICT;
CREATE TABLE IF NOT EXISTS origin (
  registry TEXT NOT NULL, digest TEXT NOT NULL, diff_id TEXT, content BLOB,
  PRIMARY KEY (registry, digest)) STRICT;
CREATE TABLE IF NOT EXISTS pin (
  set_id TEXT NOT NULL, generation INTEGER NOT NULL, image TEXT NOT NULL, place INTEGER NOT NULL,
  diff_id TEXT NOT NULL, PRIMARY KEY (set_id, generation, image, place)) STRICT;
CREATE INDEX IF NOT EXISTS pin_diff_id ON pin (diff_id);
CREATE INDEX IF NOT EXISTS pin_image ON pin (image);
CREATE TABLE IF NOT EXISTS image (
  digest TEXT PRIMARY KEY, config BLOB NOT NULL) STRICT;
"""
VERSION: Final = 1


@dataclass(frozen=True, slots=True)
class CachedLayer:
    """A layer that lies unpacked here."""

    diff_id: Digest
    bytes: int
    inodes: int
    """0: it changes nothing, and so has no directory."""
    uses: int
    """How often an image was put together with it, without fetching it."""
    used_at: float
    """Seconds since 1970, UTC."""
    pins: int
    """Sets' generations that need it."""
    tree: str
    """A digest of what its directory held when it was placed."""


@dataclass(frozen=True, slots=True)
class PinnedImage:
    """An image as its pins tell it, from the base up."""

    digest: Digest
    config: bytes
    diff_ids: tuple[Digest, ...]


class Cache:
    """The tables of one cache; any method may raise CacheUnusable."""

    def __init__(self, path: Path, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._lock = threading.RLock()
        with _usable():
            self._base = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
            self._base.execute("PRAGMA journal_mode = WAL")
            self._base.execute("PRAGMA synchronous = FULL")
            version = self._base.execute("PRAGMA user_version").fetchone()[0]
            if version > VERSION:
                self._base.close()
                raise CacheUnusable(f"{path} was written by a newer agent (form {version})")
            self._base.executescript(_SCHEMA)
            self._base.execute(f"PRAGMA user_version = {VERSION}")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._base.close()

    def look_up(
        self, set_id: str, generation: int, image: Digest, config: bytes, layers: Sequence[Digest]
    ) -> frozenset[Digest]:
        """Pin *layers* for a set's generation, and answer those that are here; one transaction.

        What is not here is pinned all the same, from its first moment on.
        """
        with self._transaction() as base:
            base.execute("INSERT OR REPLACE INTO image VALUES (?, ?)", (str(image), config))
            base.executemany(
                "INSERT OR IGNORE INTO pin VALUES (?, ?, ?, ?, ?)",
                [
                    (set_id, generation, str(image), place, str(each))
                    for place, each in enumerate(layers)
                ],
            )
            here = [each for each in layers if self._find(str(each))]
            return frozenset(here)

    def pinned(self, image: Digest) -> PinnedImage | None:
        """An image that somebody has pinned, or None."""
        with self._transaction() as base:
            row = base.execute(
                "SELECT config FROM image WHERE digest = ?", (str(image),)
            ).fetchone()
            held = base.execute(
                "SELECT set_id, generation FROM pin WHERE image = ? LIMIT 1", (str(image),)
            ).fetchone()
            rows = base.execute(  # everybody has pinned the same
                "SELECT diff_id FROM pin WHERE set_id = ? AND generation = ? AND image = ?"
                " ORDER BY place",
                (*(held or ("", 0)), str(image)),
            ).fetchall()
        if row is None or not held:
            return None
        return PinnedImage(image, row[0], tuple(Digest.parse(each) for (each,) in rows))

    def unpin(self, set_id: str, generation: int | None = None) -> None:
        """Let go of what a set's generations up to this one, or all of them, had pinned."""
        with self._transaction() as base:
            base.execute(
                "DELETE FROM pin WHERE set_id = ? AND generation <= coalesce(?, generation)",
                (set_id, generation),
            )

    def find(self, diff_id: Digest) -> CachedLayer | None:
        """The layer, if it is here and not condemned."""
        with self._transaction():
            return self._find(str(diff_id))

    def use(self, diff_ids: Collection[Digest]) -> None:
        """Note that an image was put together with these, which were here."""
        now = self._clock()
        with self._transaction() as base:
            base.executemany(
                "UPDATE layer SET uses = uses + 1, used_at = ? WHERE diff_id = ?",
                [(now, str(each)) for each in diff_ids],
            )

    def add(
        self,
        diff_id: Digest,
        *,
        size: int,
        inodes: int,
        tree: str,
        registry: str,
        digest: Digest,
    ) -> None:
        """A layer is here, whole and on the disk; and *digest* at *registry* leads to it."""
        now = self._clock()
        with self._transaction() as base:
            base.execute(
                "INSERT OR REPLACE INTO layer VALUES (?, ?, ?, ?, ?, ?, 0, 0)",
                (str(diff_id), size, inodes, tree, now, now),
            )
            base.execute(
                "INSERT OR REPLACE INTO origin VALUES (?, ?, ?, NULL)",
                (registry, str(digest), str(diff_id)),
            )

    def add_origin(self, registry: str, digest: Digest, diff_id: Digest) -> None:
        """Note that the bytes of *digest*, had from *registry*, are the layer *diff_id*."""
        with self._transaction() as base:
            base.execute(
                "INSERT OR REPLACE INTO origin VALUES (?, ?, ?, NULL)",
                (registry, str(digest), str(diff_id)),
            )

    def add_config(self, registry: str, digest: Digest, content: bytes) -> None:
        """Keep a config that was had from *registry*."""
        with self._transaction() as base:
            base.execute(
                "INSERT OR REPLACE INTO origin VALUES (?, ?, NULL, ?)",
                (registry, str(digest), content),
            )

    def origin(self, registry: str, digest: Digest) -> str | None:
        """The diff ID of the layer that *digest* was, as had from *registry*; None: not known."""
        with self._transaction() as base:
            row = base.execute(
                "SELECT diff_id FROM origin WHERE registry = ? AND digest = ?",
                (registry, str(digest)),
            ).fetchone()
        return row[0] if row else None

    def config(self, registry: str, digest: Digest) -> bytes | None:
        """A config that was had from *registry*."""
        with self._transaction() as base:
            row = base.execute(
                "SELECT content FROM origin WHERE registry = ? AND digest = ?",
                (registry, str(digest)),
            ).fetchone()
        return row[0] if row else None

    def layers(self) -> list[CachedLayer]:
        """All that are here and not condemned, the longest unused first."""
        with self._transaction() as base:
            rows = base.execute(
                f"{_SELECT} WHERE condemned = 0 ORDER BY used_at, diff_id"
            ).fetchall()
        return [_read(row) for row in rows]

    def holders(self, diff_id: Digest) -> list[tuple[str, int]]:
        """Who has pinned a layer: sets and their generations."""
        with self._transaction() as base:
            return base.execute(
                "SELECT DISTINCT set_id, generation FROM pin WHERE diff_id = ? ORDER BY 1, 2",
                (str(diff_id),),
            ).fetchall()

    def condemn(self, diff_id: Digest, *, pinned: bool = False) -> bool:
        """Mark a layer as going, if nobody has pinned it; answer whether it is so.

        With *pinned* even then: what is spoiled is of no use to anybody.
        """
        with self._transaction() as base:
            done = base.execute(
                "UPDATE layer SET condemned = 1 WHERE diff_id = ?1"
                " AND (?2 OR NOT EXISTS (SELECT 1 FROM pin WHERE diff_id = ?1))",
                (str(diff_id), pinned),
            )
            return done.rowcount == 1

    def spare(self, diff_id: Digest) -> None:
        """Take a condemnation back."""
        with self._transaction() as base:
            base.execute("UPDATE layer SET condemned = 0 WHERE diff_id = ?", (str(diff_id),))

    def condemned(self) -> list[Digest]:
        """Layers that are going."""
        with self._transaction() as base:
            rows = base.execute("SELECT diff_id FROM layer WHERE condemned = 1").fetchall()
        return [Digest.parse(each) for (each,) in rows]

    def forget(self, diff_id: Digest) -> None:
        """A layer is gone from the disk."""
        with self._transaction() as base:
            base.execute("DELETE FROM layer WHERE diff_id = ?", (str(diff_id),))

    def forget_stray(self) -> None:
        """Forget images without pins, and origins without a layer or a pinned image."""
        with self._transaction() as base:
            base.execute("DELETE FROM image WHERE digest NOT IN (SELECT image FROM pin)")
            base.execute(
                "DELETE FROM origin WHERE diff_id IS NOT NULL"
                " AND diff_id NOT IN (SELECT diff_id FROM layer)"
            )
            base.execute(
                "DELETE FROM origin WHERE content IS NOT NULL"
                " AND content NOT IN (SELECT config FROM image)"
            )

    def _find(self, diff_id: str) -> CachedLayer | None:
        row = self._base.execute(
            f"{_SELECT} WHERE diff_id = ? AND condemned = 0",
            (diff_id,),
        ).fetchone()
        return _read(row) if row else None

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._lock, _usable():
            self._base.execute("BEGIN IMMEDIATE")
            try:
                yield self._base
                self._base.execute("COMMIT")
            except BaseException:
                if self._base.in_transaction:
                    self._base.execute("ROLLBACK")
                raise


_SELECT: Final = (
    "SELECT diff_id, bytes, inodes, uses, used_at, tree,"
    " (SELECT count(*) FROM (SELECT DISTINCT set_id, generation FROM pin"
    " WHERE pin.diff_id = layer.diff_id)) FROM layer"
)


def _read(row: tuple[str, int, int, int, float, str, int]) -> CachedLayer:
    diff_id, size, inodes, uses, used_at, tree, pins = row
    return CachedLayer(Digest.parse(diff_id), size, inodes, uses, used_at, pins, tree)


@contextmanager
def _usable() -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        raise CacheUnusable(f"the cache's tables cannot be used: {error}") from error
