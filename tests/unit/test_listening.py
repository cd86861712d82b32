"""Servers of streams that tests start: who has connected at any moment is let go in the end."""

import asyncio
import contextlib
import gc
import socket
import sys

import pytest

from support.listening import listening


@pytest.mark.parametrize("turns", range(8))
async def test_whoever_came_at_the_very_end_is_let_go(
    turns: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def talk(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await reader.read()

    complaints: list[object] = []
    monkeypatch.setattr(sys, "unraisablehook", lambda told: complaints.append(told.exc_value))
    with socket.socket() as client:
        client.settimeout(5)
        async with listening(talk) as port:
            client.connect(("127.0.0.1", port))
            for _ in range(turns):
                await asyncio.sleep(0)
        with contextlib.suppress(ConnectionError):
            assert await asyncio.to_thread(client.recv, 1) == b""
    await asyncio.sleep(0.01)
    gc.collect()
    assert complaints == []
