"""An agent's memory beside callers who send much, or nothing."""

import asyncio
from collections.abc import Iterator

import pytest
from starlette.types import Message

from hostagent import bodies
from hostagent.bodies import BodyTooLarge, BoundedBodies, Busy, TooSlow
from setspec.strict import SET_BOUNDS

PIECE = b"a" * (1 << 20)


class Application:
    """One that reads all of a body, and waits before it answers."""

    def __init__(self) -> None:
        self.bounded = BoundedBodies(self)
        self.go_on = asyncio.Event()
        self.go_on.set()
        self.full = asyncio.Event()
        self.read = 0

    async def __call__(self, _scope: object, receive: object, _send: object) -> None:
        assert callable(receive)
        more = True
        while more:
            message = await receive()
            self.read += len(message["body"])
            more = message["more_body"]
        if self.read >= bodies.TOGETHER:
            self.full.set()
        await self.go_on.wait()

    async def ask(self, pieces: int) -> None:
        """Send so many pieces, and hear what comes of it."""
        sent = iter(messages(pieces))

        async def receive() -> Message:
            return next(sent)

        async def send(_: Message) -> None:
            return

        await self.bounded({"type": "http"}, receive, send)


def messages(pieces: int) -> Iterator[Message]:
    for left in reversed(range(pieces)):
        yield {"type": "http.request", "body": PIECE, "more_body": left > 0}


async def test_one_body_has_a_bound() -> None:
    application = Application()
    await application.ask(SET_BOUNDS.size // len(PIECE))
    with pytest.raises(BodyTooLarge, match="at most 4194304 bytes"):
        await application.ask(1 << 20)


async def test_all_bodies_together_have_a_bound_and_room_comes_back() -> None:
    application = Application()
    application.go_on.clear()
    whole = bodies.TOGETHER // (4 * len(PIECE))
    many = [asyncio.create_task(application.ask(4)) for _ in range(whole)]
    await application.full.wait()
    with pytest.raises(Busy):
        await application.ask(1)
    application.go_on.set()
    await asyncio.gather(*many)
    await application.ask(4)


async def test_who_sends_nothing_more_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bodies, "PATIENCE", 0.01)
    application = Application()

    async def receive() -> Message:
        await asyncio.Event().wait()
        raise AssertionError

    async def send(_: Message) -> None:
        return

    with pytest.raises(TooSlow):
        await application.bounded({"type": "http"}, receive, send)
