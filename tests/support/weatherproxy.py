"""A proxy before one of a cloud's services that does to requests what the weather says."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Self
from urllib.parse import urlsplit, urlunsplit

from support.lag import Lag
from support.listening import listening
from support.messages import (
    Head,
    answer_body,
    body,
    ends_at_close,
    plain,
    reset,
    write,
    write_slowly,
)
from support.weather import GLANCE, IMAGE, SWIFT, Weather

LIMIT = 4 * 1024 * 1024
LINE = 64
"""Bytes that no chunk's own line has: what is longer is data, but for its last two."""
HANG = 30.0
"""Seconds for which a silent answer is held back: whoever waits gives up before."""
LATE = 30.0
"""Seconds that a service has for what was put off; no answer to it is waited for any longer."""
DELETED = json.dumps(
    {"Number Deleted": 1, "Number Not Found": 0, "Response Status": "200 OK", "Errors": []}
).encode()
LOOKS = (1, 2)
"""For so many looks an image is missing: whoever looks twice, apart, knows better."""
PAGE = b"<html>busy</html>"
"""What no service of a cloud says."""
BROKEN = (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError)


@dataclass(frozen=True, slots=True)
class Late:
    """A deletion that was answered and is not done yet."""

    raw: bytes
    digest: str
    """Where the object's digest stands in its name: the next push of it lets it happen."""


@dataclass
class WeatherProxy:
    """Between Berth and *service* at *target*; connections are kept, as the service's own are."""

    service: str
    target: str
    weather: Weather
    url: str = ""
    lag: Lag = field(default_factory=Lag)
    late: list[Late] = field(default_factory=list)
    hidden: dict[str, int] = field(default_factory=dict)
    """Images that were said to be missing, and how many looks at each are yet to say so too."""
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    @classmethod
    @asynccontextmanager
    async def before(cls, service: str, target: str, weather: Weather) -> AsyncIterator[Self]:
        """Listen on the loopback; ``url`` has the path of *target*."""
        proxy = cls(service, target, weather)
        async with listening(proxy._serve, limit=LIMIT) as port:
            proxy.url = urlunsplit(urlsplit(target)._replace(netloc=f"127.0.0.1:{port}"))
            try:
                yield proxy
            finally:
                for task in list(proxy._tasks):
                    task.cancel()
                await asyncio.gather(*proxy._tasks, return_exceptions=True)

    async def clear_up(self) -> None:
        """Do now what was put off."""
        late, self.late = self.late, []
        await asyncio.gather(*(self._do(each) for each in late))

    def _start(self, work: Any) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    # -- connections ----------------------------------------------------------------------------

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                request = await Head.read(reader)
                kind = self.weather.choose(self.service, request)
                if not await self._exchange(request, kind, reader, writer):
                    break
        except BROKEN:
            pass
        finally:
            reset(writer)

    async def _exchange(
        self,
        request: Head,
        kind: str | None,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> bool:
        """Whether the connection goes on."""
        if self._hides(request, kind):
            self._count("missing-image")
            await self._answer(request, 404, reader, writer)
            return True
        if kind in {"500", "503", "401", "stale-404"}:
            self._count(kind)
            await self._answer(request, int(kind[-3:]), reader, writer)
            return True
        if kind == "late-delete":
            self._count(kind)
            await self._put_off(request, reader, writer)
            return True
        if kind == "reset-before":
            self._count(kind)
            return False
        async with self._upstream() as (answers, upstream):
            if kind in {"reset-in-request", "401-in-mid-stream"}:
                await self._break_off(request, kind, reader, writer, upstream)
                return False
            sending = asyncio.create_task(self._send(request, kind, reader, upstream))
            try:
                return await self._pass_on(request, kind, reader, writer, answers, sending)
            finally:
                sending.cancel()
                await asyncio.gather(sending, return_exceptions=True)

    @asynccontextmanager
    async def _upstream(self) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
        address = urlsplit(self.target)
        reader, writer = await asyncio.open_connection(address.hostname, address.port, limit=LIMIT)
        try:
            yield reader, writer
        finally:
            writer.transport.abort()

    # -- what the service does not see ----------------------------------------------------------

    async def _answer(
        self,
        request: Head,
        status: int,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        content: bytes = b"",
    ) -> None:
        if not request.waits:
            async for _ in body(reader, request):
                pass
        bodiless = request.method == "HEAD"
        await write(writer, plain(status, b"" if bodiless else content))

    async def _put_off(
        self, request: Head, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        """Say that it is deleted; delete it later, perhaps after the next push of the digest."""
        raw = request.raw.replace(b"\r\n", b"\r\nConnection: close\r\n", 1)
        late = Late(raw, _digest_in(request.target))
        whole = "multipart-manifest" in request.target
        if self.service == SWIFT:
            await self._answer(request, 200 if whole else 204, reader, writer,
                               DELETED if whole else b"")  # fmt: skip
        else:  # one database knows what was deleted: it is the answer that came too early
            await self._answer(request, 503, reader, writer)
        self.late.append(late)
        if self.weather.chance.random() < 0.3:
            self._start(self._do_later(late, self.weather.chance.random()))

    async def _do_later(self, late: Late, seconds: float) -> None:
        await asyncio.sleep(seconds)
        if late in self.late:
            self.late.remove(late)
            await self._do(late)

    async def _do(self, late: Late) -> None:
        async with self._upstream() as (answers, upstream):
            await write(upstream, late.raw)
            with contextlib.suppress(TimeoutError, *BROKEN):
                async with asyncio.timeout(LATE):  # its end may tell it, and need not
                    answer = await Head.read(answers)
                    async for _ in answer_body(answers, answer, "DELETE"):
                        pass

    # -- what it sees ---------------------------------------------------------------------------

    async def _break_off(
        self,
        request: Head,
        kind: str,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        upstream: asyncio.StreamWriter,
    ) -> None:
        """The service sees the beginning of a body, and the sender no more than this."""
        await write(upstream, request.raw)
        if request.waits:
            await write(writer, b"HTTP/1.1 100 Continue\r\n\r\n")
        data = await anext(body(reader, request))
        await write(upstream, data[: len(data) // 2])
        self._count(kind)
        if kind == "401-in-mid-stream":
            await write(writer, plain(401))

    async def _send(
        self,
        request: Head,
        kind: str | None,
        reader: asyncio.StreamReader,
        upstream: asyncio.StreamWriter,
    ) -> None:
        await write(upstream, request.raw.replace(b"\r\n", b"\r\nConnection: close\r\n", 1))
        async for data in body(reader, request):
            if kind == "flipped-byte" and len(data) > LINE:
                self._count(kind)
                kind = None
                await write(upstream, data[:-LINE] + bytes([data[-LINE] ^ 1]) + data[1 - LINE :])
            elif kind == "slow-request":
                self._count(kind)
                kind = None
                await write_slowly(upstream, data)
            else:
                await write(upstream, data)

    async def _pass_on(
        self,
        request: Head,
        kind: str | None,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        answers: asyncio.StreamReader,
        sending: asyncio.Task[None],
    ) -> bool:
        answer = await Head.read(answers)
        while answer.status == 100:
            await write(writer, answer.raw)
            answer = await Head.read(answers)
        content = answer_body(answers, answer, request.method)
        self._learn(request, answer)
        if kind in {"reset-after", "timeout-after", "503-after"}:
            await sending
            async for _ in content:
                pass
            return await self._lose(kind, reader, writer)
        raw = answer.without("connection")
        if kind == "wrong-etag" and "etag" in answer.headers:
            self._count(kind)
            raw = Head(raw, answer.first, {}).replaced("etag", "0" * 32)
        if kind in {"lagging-listing", "missing-image"} and answer.status == 200:
            await self._show_less(kind, request, raw, content, writer)
        elif kind == "wrong-answer":
            self._count(kind)
            await write(writer, plain(200, PAGE))
            return False
        else:
            await write(writer, raw)
            if not await self._pass_body(kind, content, writer):
                return False
        over = sending.done() and sending.exception() is None
        return over and not ends_at_close(answer, request.method)

    async def _lose(
        self, kind: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> bool:
        """The service has done it; nobody is told."""
        self._count(kind)
        if kind == "timeout-after":
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(reader.read(1), HANG)
        if kind == "503-after":
            await write(writer, plain(503))
        return kind == "503-after"

    async def _show_less(
        self,
        kind: str,
        request: Head,
        raw: bytes,
        content: AsyncIterator[bytes],
        writer: asyncio.StreamWriter,
    ) -> None:
        found = b"".join([piece async for piece in content])
        if kind == "missing-image":
            shown = self._without_one(found)
        else:
            shown = self.lag.apply(request.target, found, self.weather.chance)
        if shown != found:
            self._count(kind)
        await write(writer, Head(raw, "", {}).replaced("content-length", str(len(shown))))
        await write(writer, shown)

    async def _pass_body(
        self, kind: str | None, content: AsyncIterator[bytes], writer: asyncio.StreamWriter
    ) -> bool:
        """Whether all of it went."""
        async for data in content:
            if kind == "truncated-answer":
                self._count(kind)
                await write(writer, data[: len(data) // 2])
                return False
            if kind == "slow-answer":
                self._count(kind)
                kind = None
                await write_slowly(writer, data)
            else:
                await write(writer, data)
        return True

    def _hides(self, request: Head, kind: str | None) -> bool:
        """Whether an image is said to be missing: in two looks at most, after a list without it."""
        found = IMAGE.search(request.target)
        if self.service != GLANCE or found is None or "?" in request.target:
            return False
        image = found[1]
        if request.method == "GET" and kind == "missing-image" and image not in self.hidden:
            self.hidden[image] = self.weather.chance.choice(LOOKS)
        due = request.method == "GET" and self.hidden.get(image, 0) > 0
        if due:
            self.hidden[image] -= 1
        return due and self.weather.rains

    def _without_one(self, content: bytes) -> bytes:
        """A list of images that lacks one of them, if none of them was missing before."""
        document = json.loads(content)
        new = [each for each in document.get("images", []) if each["id"] not in self.hidden]
        if new:
            document["images"].remove(new[0])
            self.hidden[new[0]["id"]] = self.weather.chance.choice(LOOKS)
        return json.dumps(document).encode()

    def _learn(self, request: Head, answer: Head) -> None:
        """What listings may not tell yet; whether a deletion that was put off is due."""
        if answer.status >= 300:
            return
        self.lag.note(request.method, urlsplit(request.target).path)
        if request.method == "PUT" and (digest := _digest_in(request.target)):
            for each in [late for late in self.late if late.digest == digest]:
                self.late.remove(each)
                self._start(self._do(each))

    def _count(self, kind: str) -> None:
        self.weather.count(self.service, kind)


def _digest_in(target: str) -> str:
    """``sha256/<hex>`` of an object's name, or nothing."""
    parts = urlsplit(target).path.split("/")
    return "/".join(parts[4:6]) if len(parts) > 6 else ""
