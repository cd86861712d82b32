"""A directory of blobs that says of a deletion that it is done, and does it later."""

import random
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Final

from registry.oci.digest import Digest
from registry.storage.filesystem import FilesystemBlobStore
from registry.storage.records import BlobRecord, Segment

LATE: Final = 0.6
"""Of all deletions."""
KINDS: Final = ("at once", "after the next push", "some time later")


class LateBlobStore(FilesystemBlobStore):
    """What is to be deleted stands in a file until then, whoever dies meanwhile.

    It is done right after the next push of the digest, or when somebody ``catch``es ``up``.
    """

    def __init__(self, directory: Path, chance: random.Random) -> None:
        super().__init__(directory)
        self._chance = chance
        self._waiting = directory / "late"
        self._waiting.mkdir(exist_ok=True)
        self._told = directory / "late.log"

    async def delete(self, object_name: str) -> None:
        if self._chance.random() < LATE:
            (self._waiting / object_name.replace("/", "=")).touch()
        else:
            await super().delete(object_name)
            self._tell(KINDS[0])

    async def put(
        self, digest: Digest, size: int | None, chunks: AsyncIterator[bytes]
    ) -> BlobRecord:
        stored = await super().put(digest, size, chunks)
        await self._do(f"{digest.algorithm}={digest.encoded}=*", KINDS[1])
        return stored

    async def commit(self, upload: str, segments: Sequence[Segment], digest: Digest) -> BlobRecord:
        stored = await super().commit(upload, segments, digest)
        await self._do(f"{digest.algorithm}={digest.encoded}=*", KINDS[1])
        return stored

    async def catch_up(self, share: float = 1.0) -> None:
        """Do some of what waits."""
        await self._do("*", KINDS[2], share)

    async def _do(self, pattern: str, when: str, share: float = 1.0) -> None:
        for waiting in sorted(self._waiting.glob(pattern)):
            if self._chance.random() < share:
                await super().delete(waiting.name.replace("=", "/"))
                waiting.unlink(missing_ok=True)
                self._tell(when)

    def _tell(self, when: str) -> None:
        with self._told.open("a") as file:
            file.write(f"{when}\n")
