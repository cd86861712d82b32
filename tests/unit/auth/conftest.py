"""Tokens over keys in memory, by a clock that stands still."""

import pytest

from registry.auth.tokens import Tokens
from registry.storage.memory.ledger import MemoryLedger
from support.ledgers import Clock
from support.signing import start_tokens


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def keys(clock: Clock) -> MemoryLedger:
    return MemoryLedger(clock=clock)


@pytest.fixture
async def tokens(keys: MemoryLedger, clock: Clock) -> Tokens:
    return await start_tokens(keys, clock)
