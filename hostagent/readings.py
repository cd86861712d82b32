"""What was seen of containers' readiness; kept in memory, as a look can be repeated."""

import threading
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Reading:
    """The last look at a container, and since when every look was good (CLOCK_BOOTTIME)."""

    looked_at: float
    good_since: float | None


class Readings:
    """The last look at each attempt that is not known to be ready yet."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: dict[str, Reading] = {}

    def of(self, attempt: str) -> Reading | None:
        """The last look; None where nobody has looked."""
        with self._lock:
            return self._known.get(attempt)

    def put(self, attempt: str, now: float, *, is_good: bool) -> None:
        """Keep what was seen just now."""
        with self._lock:
            former = self._known.get(attempt)
            since = former.good_since if former else None
            self._known[attempt] = Reading(now, (since or now) if is_good else None)

    def forget(self, attempt: str) -> None:
        """The attempt is gone."""
        with self._lock:
            self._known.pop(attempt, None)
