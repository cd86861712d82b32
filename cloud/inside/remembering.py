"""Swift's cache in its proxy's own memory: one process needs no memcached to remember things."""

import json
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

Wsgi = Callable[[dict[str, Any], Any], Iterable[bytes]]


class Memory:
    """What of swift.common.memcached.MemcacheRing the proxy uses, with the same words."""

    def __init__(self) -> None:
        self._kept: dict[str, tuple[float, str]] = {}

    def get(self, key: str, raise_on_error: bool = False) -> Any:
        """What was set, unless its time is over; a copy, as over a network."""
        del raise_on_error
        until, text = self._kept.get(key, (0.0, "null"))
        return json.loads(text) if until > time.monotonic() else None

    def set(
        self,
        key: str,
        value: Any,
        serialize: bool = True,
        time: float = 0,
        min_compress_len: int = 0,
        raise_on_error: bool = False,
    ) -> None:
        """Keep *value* for *time* seconds; 0: for ever."""
        del serialize, min_compress_len, raise_on_error
        self._kept[key] = (_until(time), json.dumps(value))

    def incr(self, key: str, delta: int = 1, time: float = 0) -> int:
        """Add to a number."""
        number = int(self.get(key) or 0) + delta
        self._kept[key] = (_until(time), json.dumps(number))
        return number

    def delete(self, key: str, server_key: str | None = None) -> None:
        """Forget."""
        del server_key
        self._kept.pop(key, None)

    def set_multi(self, mapping: Mapping[str, Any], server_key: str, **how: Any) -> None:
        """Keep several."""
        del server_key
        for key, value in mapping.items():
            self.set(key, value, **how)

    def get_multi(self, keys: Iterable[str], server_key: str) -> list[Any]:
        """Several, in their order."""
        del server_key
        return [self.get(key) for key in keys]


def _until(seconds: float) -> float:
    return time.monotonic() + seconds if seconds else float("inf")


def filter_factory(conf: Mapping[str, str], **more: str) -> Callable[[Wsgi], Wsgi]:
    """As paste asks for one."""
    del conf, more
    memory = Memory()

    def around(application: Wsgi) -> Wsgi:
        def answer(environment: dict[str, Any], start: Any) -> Iterable[bytes]:
            environment["swift.cache"] = memory
            return application(environment, start)

        return answer

    return around
