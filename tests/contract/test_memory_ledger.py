"""The model: names in dicts."""

import pytest

from contract.ledger_contract import LedgerContract
from registry.storage.memory.ledger import MemoryLedger
from registry.storage.ports.ledger import Ledger
from support.ledgers import Clock


class TestMemoryLedger(LedgerContract):
    @pytest.fixture
    def ledger(self, clock: Clock) -> Ledger:
        return MemoryLedger(clock=clock)
