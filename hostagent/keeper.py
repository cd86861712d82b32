"""Keeps every set as it should be: looks, plans, carries out, and looks again.

One worker at a time has a set, and any number of sets are worked on at once. A set is looked at
when it is told to, when one of its processes ends, and when its plan said so.
"""

import heapq
import logging
import threading
from collections import deque
from typing import Final

from hostagent.draft import Plan
from hostagent.errors import HostError, NotHere
from hostagent.host import Host
from hostagent.logs import rotate
from hostagent.reconcile import plan
from hostagent.records import SetRow, Trouble
from hostagent.seen import look
from hostagent.step import Step

_ROUNDS: Final = 10_000
"""A plan that never comes to an end is an error of ours."""
_LONGEST: Final = 60.0
"""Seconds between two tries of a step that fails."""
_SOON: Final = 5.0
"""Seconds until a set is looked at again about which nothing could be written down."""
_AUDIT: Final = 10.0
"""Seconds after which every set is looked at, whatever was told, and logs are turned over."""

log = logging.getLogger("hostagent")


class Keeper:
    """The agent's heart: workers, and one thread that knows what time it is."""

    def __init__(self, host: Host, workers: int = 8) -> None:
        self._host = host
        self._lock = threading.Lock()
        self._queued_one = threading.Condition(self._lock)
        self._timed = threading.Condition(self._lock)
        self._queue: deque[str] = deque()
        self._queued: set[str] = set()
        self._busy: set[str] = set()
        self._timers: list[tuple[float, str]] = []
        self._is_closed = False
        names = [(f"worker-{n}", self._work) for n in range(workers)] + [("clock", self._tick)]
        self._threads = [threading.Thread(target=run, name=n, daemon=True) for n, run in names]

    def start(self) -> None:
        """Begin, with every set."""
        for thread in self._threads:
            thread.start()
        self._audit()

    def close(self) -> None:
        """End; steps that were begun are finished, containers run on."""
        with self._lock:
            self._is_closed = True
            self._queued_one.notify_all()
            self._timed.notify_all()
        for thread in self._threads:
            thread.join()

    def wake(self, set_id: str) -> None:
        """Have a set looked at."""
        with self._lock:
            if set_id not in self._queued:
                self._queued.add(set_id)
                self._queue.append(set_id)
                self._queued_one.notify()

    def settle(self, set_id: str) -> Plan:
        """Do all that can be done for a set now; answer the plan in which nothing was left."""
        for _ in range(_ROUNDS):
            try:
                row = self._host.store.find(SetRow, set=set_id)
            except NotHere:
                return Plan((), None)
            seen = look(self._host, row)
            current = plan(seen)
            if not current.steps:
                if seen.troubles and current.wake_at is None:  # nothing of that is asked any more
                    self._host.store.remove(Trouble, set=set_id)
                return current
            for step in current.steps:
                if self._is_closed or not self._carry_out(step):
                    break
                if step.key in seen.troubles:
                    self._host.store.remove(Trouble, set=set_id, step=step.key)
            if self._is_closed:
                return current
        raise HostError(f"the plan of set {set_id} does not come to an end")

    def _carry_out(self, step: Step) -> bool:
        try:
            step.carry_out(self._host)
        except Exception as error:
            is_told = isinstance(error, HostError | OSError)
            if not is_told:
                log.exception("%s of set %s", step.name(), step.set)
            self._note(step, str(error) if is_told else f"{type(error).__name__}: {error}")
            return False
        return True

    def _note(self, step: Step, text: str) -> None:
        """Write down that a step has failed, and when it is tried again."""
        store = self._host.store
        with store.transaction():
            if not store.rows(SetRow, set=step.set):
                return
            former = store.rows(Trouble, set=step.set, step=step.key)
            count = former[0].count + 1 if former else 1
            wait = min(2.0 ** min(count - 1, 10), _LONGEST)
            retry_at = self._host.now() + wait
            store.put(
                Trouble(set=step.set, step=step.key, text=text, count=count, retry_at=retry_at)
            )
        log.warning("%s of set %s: %s; again in %.0f s", step.name(), step.set, text, wait)

    def _work(self) -> None:
        while True:
            with self._lock:
                set_id = self._take()
                while set_id is None and not self._is_closed:
                    self._queued_one.wait()
                    set_id = self._take()
                if set_id is None or self._is_closed:
                    return
            try:
                left = self.settle(set_id)
                if left.wake_at is not None:
                    self._at(left.wake_at, set_id)
            except HostError as error:
                log.warning("set %s: %s", set_id, error)
                self._at(self._host.now() + _SOON, set_id)
            except Exception:
                log.exception("set %s", set_id)
                self._at(self._host.now() + _LONGEST, set_id)
            finally:
                with self._lock:  # whoever was woken for it meanwhile has left it to this one
                    self._busy.discard(set_id)

    def _take(self) -> str | None:
        """A set that nobody has, out of the queue."""
        for _ in range(len(self._queue)):
            set_id = self._queue.popleft()
            if set_id not in self._busy:
                self._queued.discard(set_id)
                self._busy.add(set_id)
                return set_id
            self._queue.append(set_id)
        return None

    def _at(self, moment: float, set_id: str) -> None:
        with self._lock:
            heapq.heappush(self._timers, (moment, set_id))
            if self._timers[0][0] == moment:
                self._timed.notify()

    def _tick(self) -> None:
        audit_at = self._host.now() + _AUDIT
        while True:
            with self._lock:
                if self._is_closed:
                    return
                now = self._host.now()
                due = set()
                while self._timers and self._timers[0][0] <= now:
                    due.add(heapq.heappop(self._timers)[1])
                if not due and now < audit_at:
                    first = self._timers[0][0] if self._timers else audit_at
                    self._timed.wait(max(min(first, audit_at) - now, 0.001))
                    continue
            for set_id in due:
                self.wake(set_id)
            if now >= audit_at:
                self._audit()
                audit_at = now + _AUDIT

    def _audit(self) -> None:
        rotate(self._host)
        for row in self._host.store.rows(SetRow):
            self.wake(row.set)
