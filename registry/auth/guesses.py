"""Guesses at passwords, counted and slowed down."""

from collections import OrderedDict

from registry.oci.errors import TooManyRequests

FREE_FAILURES = 5
"""Wrong passwords for one user before he is slowed down."""
SLOWEST = 30.0
"""Seconds at most that a user whose password is being guessed must wait between tries."""
FORGET_FAILURES = 900.0
"""Seconds without a wrong password after which all is forgotten."""
REMEMBERED = 1024
"""Users whose failures are counted."""


class Guesses:
    """Failures by user; *now* is seconds by any clock that does not jump."""

    def __init__(self) -> None:
        self._failures: OrderedDict[str, tuple[int, float]] = OrderedDict()

    def slow_down(self, user: str, now: float) -> None:
        """Raise TooManyRequests for a try that comes too soon after too many wrong ones."""
        count, last = self._failures.get(user, (0, now))
        if count < FREE_FAILURES or now - last > FORGET_FAILURES:
            return
        wait = last + min(SLOWEST, 2.0 ** min(count - FREE_FAILURES, 10)) - now
        if wait > 0:
            raise TooManyRequests(
                "too many wrong passwords for this user",
                headers={"Retry-After": str(int(wait) + 1)},
            )

    def count(self, user: str, now: float) -> None:
        """A password was wrong."""
        count, last = self._failures.pop(user, (0, now))
        self._failures[user] = (1 if now - last > FORGET_FAILURES else count + 1, now)
        if len(self._failures) > REMEMBERED:
            self._failures.popitem(last=False)

    def forget(self, user: str) -> None:
        """A password was right."""
        self._failures.pop(user, None)
