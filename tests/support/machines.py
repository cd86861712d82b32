"""What stateful tests of ledgers are made of: one on SQLite with its collection, and a loop."""

import asyncio
import tempfile
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

from hypothesis.stateful import RuleBasedStateMachine

from registry.oci.errors import RegistryError
from registry.storage.ledger import SqlLedger
from registry.storage.ledger.garbage import SqlCollection
from support.ledgers import Clock, Template


class LedgerMachine(RuleBasedStateMachine):
    """An empty ledger in a directory of its own, until the machine ends."""

    template = Template(Path(tempfile.mkdtemp()))

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.directory = tempfile.TemporaryDirectory()
        self.place = Path(self.directory.name)
        self.url = self.run(self.template.copy(self.place / "ledger.db"))
        self.clock = Clock()
        self.ledger = SqlLedger(self.url, clock=self.clock)
        self.collection = SqlCollection(self.url, clock=self.clock)

    def teardown(self) -> None:
        self.run(self.collection.close())
        self.run(self.ledger.close())
        self.run(self.loop.shutdown_default_executor())
        self.loop.close()
        self.directory.cleanup()

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return self.loop.run_until_complete(work)

    def attempt(self, work: Coroutine[Any, Any, Any]) -> bool:
        """Whether *work* was done, and not refused."""
        try:
            self.run(work)
        except RegistryError:
            return False
        return True
