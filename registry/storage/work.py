"""What threads do for one stream of bytes."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Final, ParamSpec, TypeVar

from registry.oci.digest import Hasher
from registry.storage.durable import BUFFERS, GrowingFile
from registry.storage.faults import unavailable_on

PIECE: Final = 1024 * 1024
"""Bytes handed to a thread at a time: its hop costs little beside them, and memory stays small."""

Arguments = ParamSpec("Arguments")
Answer = TypeVar("Answer")


def in_thread(
    job: Callable[Arguments, Answer], *arguments: Arguments.args, **named: Arguments.kwargs
) -> asyncio.Future[Answer]:
    """*job* in a thread; leaner than asyncio.to_thread, which makes a task and a context for it."""
    if named:
        raise TypeError("threads take arguments by position")
    return asyncio.get_running_loop().run_in_executor(None, job, *arguments)


def heard(job: asyncio.Future[None]) -> None:
    """Take note of how *job* ended, so that nobody complains if its caller is gone."""
    if not job.cancelled():
        job.exception()


class Work:
    """What threads are doing for one stream, so that nothing is let go of under their hands."""

    def __init__(self) -> None:
        self._running: list[asyncio.Future[None]] = []

    def start(self, job: Callable[..., None], *arguments: object) -> None:
        """Begin *job* in a thread of its own."""
        self._running.append(in_thread(job, *arguments))

    async def finish(self) -> None:
        """Wait for what was started; raise what it raised."""
        if self._running:
            await asyncio.wait(self._running)
            done, self._running = self._running, []
            with unavailable_on(OSError):
                for job in done:
                    job.result()

    async def carry_out(self, job: Callable[..., None], *arguments: object) -> None:
        """Do *job* in a thread, after all that was started."""
        await self.finish()
        self.start(job, *arguments)
        await self.finish()

    async def undo(self, file: GrowingFile) -> None:
        """Remove *file* once no thread is at work in it."""
        await asyncio.gather(*self._running, return_exceptions=True)
        await asyncio.to_thread(file.remove)


async def gathered(chunks: AsyncIterator[bytes]) -> AsyncIterator[list[bytes]]:
    """*chunks* as they are, without empty ones, in lists of about PIECE bytes.

    Where they break off, what came before is answered first.
    """
    buffers: list[bytes] = []
    size = 0
    try:
        async for chunk in chunks:
            if chunk:
                buffers.append(chunk)
                size += len(chunk)
            if size >= PIECE or len(buffers) >= BUFFERS:
                yield buffers
                buffers, size = [], 0
    except Exception:
        if buffers:
            yield buffers
        raise
    if buffers:
        yield buffers


def hash_all(hasher: Hasher, buffers: Sequence[bytes]) -> None:
    """Let *hasher* know *buffers*."""
    for buffer in buffers:
        hasher.update(buffer)
