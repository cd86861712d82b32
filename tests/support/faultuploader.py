"""Blobs pushed in every way that there is, and taken up again where that broke."""

import asyncio
from collections.abc import AsyncIterator, Callable
from http import HTTPStatus
from typing import Any

import httpx

from registry.oci.digest import Digest
from support.faultadapted import LEASE
from support.faultasker import Asker
from support.faultmodel import Wrong

OK, CREATED, ACCEPTED = HTTPStatus.OK, HTTPStatus.CREATED, HTTPStatus.ACCEPTED
TRIES = 4
OVER = -1
"""Instead of an offset: there is no such upload, or none any more."""


class Uploader(Asker):
    """Pushes blobs, and reads them."""

    async def send_blob(self, content: bytes) -> bool:
        """Push one, in one of the ways there are; whether it was acknowledged."""
        ways = [self._in_one, self._by_session, self._in_chunks, self._as_stream, self._mount]
        losses = self.world.losses
        if not await self.chance.choice(ways)(content):
            return False
        self._promised(content, losses)
        return True

    def _promised(self, content: bytes, losses: int) -> None:
        """It was acknowledged; of a blob that no manifest names the journal knows nothing."""
        self.tally.blobs += 1
        if losses == self.world.losses and not self.world.is_lost:
            self.repository.blobs.add(Digest.of(content))

    async def has_blob(self, content: bytes) -> bool:
        digest = Digest.of(content)
        losses = self.world.losses
        answer = await self.ask("HEAD", self.path(f"blobs/{digest}"), 200, 404)
        if answer is None:
            return False
        if answer.status_code == HTTPStatus.NOT_FOUND:
            is_old = self.world.is_lost or losses != self.world.losses
            if self.graceful and digest in self.repository.blobs and not is_old:
                raise Wrong(f"{digest} was acknowledged, and is absent")
            return False
        return True

    async def _in_one(self, content: bytes) -> bool:
        path = self.path(f"blobs/uploads/?digest={Digest.of(content)}")
        return await self.ask("POST", path, CREATED, body=lambda: content) is not None

    async def _by_session(self, content: bytes) -> bool:
        place = await self._begin()
        return place is not None and await self._close(place, content, content)

    async def _in_chunks(self, content: bytes) -> bool:
        place = await self._begin()
        if place is None:
            return False
        step = -(-len(content) // self.chance.randint(1, 4))
        at = 0
        for _ in range(TRIES * 4):
            if at >= len(content):
                return await self._close(place, b"", content)
            stop = min(at + step, len(content))
            moved = await self._append(place, at, stop, _slice(content, at, stop))
            if moved is None or moved == OVER:
                return False
            at = moved
        return False

    async def _as_stream(self, content: bytes) -> bool:
        """As docker does it; perhaps the connection breaks, and the rest comes later."""
        place = await self._begin()
        if place is None:
            return False
        breaks = self.chance.random() < 0.3
        half = len(content) // 2

        async def body() -> AsyncIterator[bytes]:
            for at in range(0, half if breaks else len(content), 4096):
                yield content[at : min(at + 4096, half if breaks else len(content))]
            if breaks:
                raise httpx.WriteError("the client hangs up")

        at = await self._append(place, None, None, body)
        if at is None or at == OVER:
            return False
        return await self._close(place, content[at:], content, at=at)

    async def _mount(self, content: bytes) -> bool:
        path = f"blobs/uploads/?mount={Digest.of(content)}&from={self.chance.choice(self.others)}"
        answer = await self.ask("POST", self.path(path), CREATED, ACCEPTED)
        if answer is None:
            return False
        if answer.status_code == CREATED:
            return True
        return await self._close(answer.headers["Location"], content, content)

    async def _begin(self) -> str | None:
        answer = await self.ask("POST", self.path("blobs/uploads/"), ACCEPTED)
        return None if answer is None else str(answer.headers["Location"])

    async def _append(
        self, place: str, start: int | None, stop: int | None, body: Callable[[], Any],
        *, replica: int | None = None,
    ) -> int | None:  # fmt: skip
        """Send a chunk; answer how many bytes the session has afterwards, None: it is lost."""
        headers = {} if start is None or stop is None else {"Content-Range": f"{start}-{stop - 1}"}
        answer = await self.ask("PATCH", place, 202, 404, 409, 416,
                                body=body, headers=headers, replica=replica)  # fmt: skip
        if answer is not None and answer.status_code == ACCEPTED:
            return _offset(answer)
        return await self._where(place)

    async def _where(self, place: str) -> int | None:
        for _ in range(TRIES):
            answer = await self.ask("GET", place, 204, 404)
            if answer is not None and answer.status_code == HTTPStatus.NO_CONTENT:
                return _offset(answer)
            if answer is not None:
                return OVER
            await asyncio.sleep(LEASE / 4)
        return None

    async def _close(self, place: str, rest: bytes, whole: bytes, *, at: int | None = None) -> bool:
        """The closing PUT, again where no answer came; whether it was acknowledged."""
        target = f"{place}{'&' if '?' in place else '?'}digest={Digest.of(whole)}"
        for _ in range(TRIES):
            resumes = at is not None and rest
            headers = {"Content-Range": f"{at}-{len(whole) - 1}"} if resumes else {}
            answer = await self.ask("PUT", target, 201, 404, 409, 416,
                                    body=_slice(rest, 0, len(rest)), headers=headers)  # fmt: skip
            if answer is not None and answer.status_code == CREATED:
                if answer.headers["Docker-Content-Digest"] != str(Digest.of(whole)):
                    raise Wrong(f"{place} was acknowledged as another blob")
                return True
            if answer is not None and answer.status_code == HTTPStatus.NOT_FOUND:
                return False  # a collection without grace ended it
            at = await self._where(place)
            if at is None:
                return False
            if at == OVER:  # a repeat tells whether it was finished
                at = len(whole)
            rest = whole[at:]
            await asyncio.sleep(LEASE / 4)
        return False

    async def read_blob(self, content: bytes, replica: int | None) -> bool:
        path = self.path(f"blobs/{Digest.of(content)}")
        start, stop = 0, len(content)
        headers = {}
        if self.chance.random() < 0.25:
            start = self.chance.randrange(len(content))
            stop = self.chance.randint(start + 1, len(content))
            headers = {"Range": f"bytes={start}-{stop - 1}"}
        answer = await self.ask("GET", path, 206 if headers else 200,
                                replica=replica, headers=headers)  # fmt: skip
        if answer is None:
            return False
        if answer.content != content[start:stop]:
            raise Wrong(f"{path} was served as other bytes")
        self.tally.bytes_checked += stop - start
        return True

    # -- two writers ----------------------------------------------------------------------------

    async def be_taken_over(self, content: bytes) -> None:
        """Write, stand still past the lease, be taken over at the other replica, and wake."""
        losses = self.world.losses
        place = await self._begin()
        if place is None:
            return
        third = max(1, len(content) // 3)
        wakes = asyncio.Event()

        async def body() -> AsyncIterator[bytes]:
            yield content[:third]
            await wakes.wait()
            yield bytes(third)  # what must never count

        paused = asyncio.create_task(
            self.ask("PATCH", place, 202, 404, 409, 416, replica=0, body=body)
        )
        try:
            await asyncio.sleep(LEASE * 1.3)
            at = await self._where(place)
            if at is None or at == OVER or at > 2 * third:
                return
            rest = content[at : 2 * third]
            at = await self._append(place, at, 2 * third, lambda: rest, replica=1)
        finally:
            wakes.set()
            await paused
        if at != 2 * third:
            return  # nobody took over, so what the first one wrote in the end counts
        if await self._close(place, content[at:], content, at=at):
            self._promised(content, losses)
            if await self.has_blob(content):
                await self.read_blob(content, None)


def _offset(answer: httpx.Response) -> int:
    first, _, last = answer.headers["Range"].partition("-")
    # A session without a byte shows 0-0, as one of one byte does; none here has one byte.
    return 0 if (first, last) == ("0", "0") else int(last) + 1


def _slice(content: bytes, start: int, stop: int) -> Callable[[], bytes]:
    return lambda: content[start:stop]
