"""Bytes as they come from a network, and a store's answers as they go there."""

from collections.abc import AsyncIterable, AsyncIterator


async def stream(*chunks: bytes) -> AsyncIterator[bytes]:
    """*chunks*, one after another."""
    for chunk in chunks:
        yield chunk


class Gone(Exception):
    """The sender hung up."""


async def broken(*chunks: bytes) -> AsyncIterator[bytes]:
    """*chunks*, and then the sender hangs up."""
    for chunk in chunks:
        yield chunk
    raise Gone


async def collect(pieces: AsyncIterable[bytes]) -> bytes:
    """All that comes."""
    return b"".join([piece async for piece in pieces])
