"""A bounded memory of answers, each good for some seconds."""

from collections import OrderedDict
from collections.abc import Callable
from typing import Generic, TypeVar

Key = TypeVar("Key")
Value = TypeVar("Value")


class TtlCache(Generic[Key, Value]):
    """Forgets what is too old, and what was put first where there is too much."""

    def __init__(self, size: int, clock: Callable[[], float]) -> None:
        """*size*: answers at most; *clock*: seconds that do not jump."""
        self._size = size
        self._clock = clock
        self._kept: OrderedDict[Key, tuple[Value, float]] = OrderedDict()

    def find(self, key: Key) -> Value:
        """What was put; raises KeyError where nothing was, or too long ago."""
        value, until = self._kept[key]
        if until <= self._clock():
            del self._kept[key]
            raise KeyError(key)
        return value

    def put(self, key: Key, value: Value, seconds: float) -> None:
        """Keep *value* for *seconds*."""
        self._kept.pop(key, None)
        self._kept[key] = (value, self._clock() + seconds)
        if len(self._kept) > self._size:
            self._kept.popitem(last=False)

    def drop(self, key: Key) -> None:
        """Keep it no longer."""
        self._kept.pop(key, None)
