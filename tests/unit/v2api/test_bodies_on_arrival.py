"""Bodies as uvicorn's cycle hands them on, with our keeping of their pieces."""

import asyncio
import logging
from typing import Any

import pytest
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from registry.v2api.arrival import JOINED, Arrival


class _Still:
    """A transport on which nothing happens."""

    def is_closing(self) -> bool:
        return False

    def resume_reading(self) -> None:
        pass


@pytest.fixture
def cycle() -> RequestResponseCycle:
    still: Any = _Still()
    return RequestResponseCycle(
        scope={"type": "http"},  # type: ignore[typeddict-item]
        transport=still,
        flow=FlowControl(still),
        logger=logging.getLogger("test"),
        access_logger=logging.getLogger("test"),
        access_log=False,
        default_headers=[],
        message_event=asyncio.Event(),
        expect_100_continue=False,
        keep_alive=True,
        on_response=lambda: None,
    )


async def test_a_large_piece_is_not_copied(cycle: RequestResponseCycle) -> None:
    arrival = Arrival(cycle)
    pieces = [bytes(JOINED), bytes(JOINED - 1)]
    for piece in pieces:
        arrival.add(piece)
    for piece in pieces:
        message = await cycle.receive()
        assert message["type"] == "http.request"
        assert message["body"] is piece
        assert message["more_body"]
    assert arrival.size == 0


async def test_small_ones_are_put_together_as_far_as_is_worth_it(
    cycle: RequestResponseCycle,
) -> None:
    arrival = Arrival(cycle)
    for letter in b"abcde":
        arrival.add(bytes([letter]) * (JOINED // 4))
    assert arrival.size == JOINED // 4 * 5
    got = [(await cycle.receive())["body"] for _ in range(2)]  # type: ignore[typeddict-item]
    assert got == [b"".join(bytes([x]) * (JOINED // 4) for x in b"abcd"), b"e" * (JOINED // 4)]


async def test_the_last_piece_is_told_to_be_the_last(cycle: RequestResponseCycle) -> None:
    arrival = Arrival(cycle)
    arrival.add(bytes(JOINED))
    arrival.add(b"end")
    cycle.more_body = False
    told = [await cycle.receive() for _ in range(2)]
    assert [each["more_body"] for each in told] == [True, False]  # type: ignore[typeddict-item]


async def test_an_empty_body_is_one_message(cycle: RequestResponseCycle) -> None:
    Arrival(cycle)
    cycle.more_body = False
    cycle.message_event.set()
    assert await cycle.receive() == {"type": "http.request", "body": b"", "more_body": False}


async def test_it_is_waited_for_what_comes_and_for_the_end(cycle: RequestResponseCycle) -> None:
    arrival = Arrival(cycle)
    waiting = asyncio.create_task(cycle.receive())
    await asyncio.sleep(0.01)
    assert not waiting.done()
    arrival.add(b"late")
    async with asyncio.timeout(5):
        assert (await waiting)["body"] == b"late"  # type: ignore[typeddict-item]
    cycle.disconnected = True
    cycle.message_event.set()
    assert await cycle.receive() == {"type": "http.disconnect"}
