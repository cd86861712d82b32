"""The model keeps the port's promises."""

import pytest

from contract.journal_contract import JournalContract
from registry.storage.memory.journal import MemoryJournal
from registry.storage.ports.journal import Journal


class TestMemoryJournal(JournalContract):
    @pytest.fixture
    def journal(self) -> Journal:
        return MemoryJournal()
