"""A ledger, a journal and what flushes the one into the other, for each test."""

import pytest

from registry.storage.flusher import Flusher
from support.flushing import Outbox, SlowJournal


@pytest.fixture
def ledger() -> Outbox:
    return Outbox()


@pytest.fixture
def journal() -> SlowJournal:
    return SlowJournal()


@pytest.fixture
def flusher(ledger: Outbox, journal: SlowJournal) -> Flusher:
    return Flusher(ledger, journal, settle_after=0.02)
