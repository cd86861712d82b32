"""What a sender sends, hashed as it goes by, and held to its digest and size."""

import time
from collections.abc import AsyncIterator
from typing import Final

from registry.oci.digest import Digest, new_hasher
from registry.oci.errors import DigestInvalid, SizeInvalid
from registry.storage.work import PIECE, Work, hash_all

GATHERED: Final = 2 * PIECE
"""Bytes that are hashed and sent at a time: with 1 MiB the threads' hops cost 8 % more."""
PATIENCE: Final = 10.0
"""Seconds after which what has come of a slow sender goes on: Swift waits for 60 at most."""


class Verified:
    """The pieces of one body; ``verify`` after the last."""

    def __init__(self, digest: Digest, size: int | None, chunks: AsyncIterator[bytes]) -> None:
        self._digest = digest
        self._size = size
        self._chunks = chunks
        self._hasher = new_hasher(digest.algorithm)
        self._work = Work()
        self.received = 0
        """Bytes so far."""

    async def pieces(self) -> AsyncIterator[list[bytes]]:
        """All that comes, in lists of some GATHERED bytes, none empty.

        Raises SizeInvalid as soon as there is more than was announced.
        """
        buffers: list[bytes] = []
        size = 0
        due = time.monotonic() + PATIENCE
        async for chunk in self._chunks:
            if not chunk:
                continue
            buffers.append(chunk)
            size += len(chunk)
            if size >= GATHERED or time.monotonic() > due:
                yield await self._taken(buffers, size)
                buffers, size = [], 0
                due = time.monotonic() + PATIENCE
        if buffers:
            yield await self._taken(buffers, size)

    async def verify(self) -> None:
        """Raise SizeInvalid or DigestInvalid if what came is not what was announced."""
        if self._size not in {None, self.received}:
            raise SizeInvalid(f"{self._size} bytes were announced, and {self.received} came")
        await self._work.finish()
        found = self._hasher.hexdigest()
        if found != self._digest.encoded:
            raise DigestInvalid(
                f"the {self.received} bytes that came are {self._digest.algorithm}:{found}"
            )

    async def _taken(self, buffers: list[bytes], size: int) -> list[bytes]:
        self.received += size
        if self._size is not None and self.received > self._size:
            raise SizeInvalid(f"{self._size} bytes were announced, and more came")
        await self._work.finish()
        # While these are hashed they go to Swift, and the next ones are received.
        self._work.start(hash_all, self._hasher, buffers)
        return buffers
