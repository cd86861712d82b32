"""Where a process of a race stands still for a moment, or dies: anywhere, by chance.

The points are those of support/faultpoints.py, and each statement of a transaction that changes or
locks rows.
"""

import json
import os
import random
import signal
import threading
import time
from pathlib import Path
from typing import Any, Final

from sqlalchemy import event
from sqlalchemy.engine import Engine

from support.faultpoints import FaultPoints

STATEMENT: Final = "Transaction.statement"
STOPS: Final = {STATEMENT: (0.08, 0.015), "": (0.02, 0.004)}
"""How often somebody stands still at such a point, and for how many seconds on average."""
LONGEST: Final = 0.25
"""Seconds."""
SOON: Final = 60
"""Points among which a process dies whose time has come."""


class RacePoints(FaultPoints):
    """Stands still at points, and dies by SIGKILL at one of those after *lifetime* seconds."""

    def __init__(self, log: Path, chance: random.Random, lifetime: float | None) -> None:
        super().__init__(log)
        self._chance = chance
        self._ends = None if lifetime is None else time.monotonic() + lifetime
        self._left = chance.randrange(1, SOON)
        self._drawing = threading.Lock()

    def reach(self, point: str) -> None:
        """Whatever comes at this point."""
        often, long = STOPS.get(point, STOPS[""])
        with self._drawing:
            dies = False
            if self._ends is not None and time.monotonic() > self._ends:
                self._left -= 1
                dies = self._left == 0
            stops = self._chance.random() < often
            seconds = min(self._chance.expovariate(1 / long), LONGEST) if stops else 0.0
        if dies:
            os.write(self._log, json.dumps(["died", point]).encode() + b"\n")
            os.kill(os.getpid(), signal.SIGKILL)
        if seconds:
            time.sleep(seconds)

    def watch_statements(self) -> None:
        """From now on whatever changes or locks a row is followed by a point."""

        def told(_: object, __: object, statement: str, *___: Any) -> None:
            if not statement.startswith("SELECT") or "FOR UPDATE" in statement:
                self.reach(STATEMENT)

        event.listen(Engine, "after_cursor_execute", told)
