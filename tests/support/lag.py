"""Swift's listings as they lag: what was written lately may be missing, what was deleted there."""

import json
import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

WINDOW = 5.0
"""Seconds for which a listing may not know of a change."""
HIDDEN = 0.7
"""The share of what is new that it does not tell."""


@dataclass
class Lag:
    """What was changed when, by paths of objects."""

    clock: Callable[[], float] = time.monotonic
    born: dict[str, float] = field(default_factory=dict)
    gone: dict[str, float] = field(default_factory=dict)

    def note(self, method: str, path: str) -> None:
        """A request has succeeded."""
        path = unquote(path)
        if method == "PUT":
            self.born.setdefault(path, self.clock())
            self.gone.pop(path, None)
        elif method == "DELETE":
            self.gone[path] = self.clock()
            self.born.pop(path, None)

    def apply(self, target: str, content: bytes, chance: random.Random) -> bytes:
        """A listing of *target*, as it may be told at this moment."""
        parts = urlsplit(target)
        container = unquote(parts.path).rstrip("/")
        since = self.clock() - WINDOW
        kept: list[dict[str, Any]] = []
        for entry in json.loads(content):
            path = f"{container}/{entry.get('name', entry.get('subdir'))}"
            if not (self._is_young(path, since) and chance.random() < HIDDEN):
                kept.append(entry)
        query = parse_qs(parts.query)
        if "delimiter" not in query and "marker" not in query:
            kept += self._ghosts(container, query.get("prefix", [""])[0], since, kept)
        return json.dumps(kept).encode()

    def _is_young(self, path: str, since: float) -> bool:
        """Whether all that is known of it, or below it, is new."""
        if not path.endswith("/"):
            return self.born.get(path, 0) > since
        below = [time for name, time in self.born.items() if name.startswith(path)]
        return bool(below) and min(below) > since

    def _ghosts(
        self, container: str, prefix: str, since: float, kept: list[dict[str, Any]]
    ) -> list[dict[str, Any]]:
        shown = {entry.get("name") for entry in kept}
        start = f"{container}/"
        names = [
            path.removeprefix(start)
            for path, time in self.gone.items()
            if time > since and path.startswith(f"{start}{prefix}")
        ]
        # A container's own deletion is not noted below it.
        moment = "2026-01-01T00:00:00.000000"
        return [
            {"name": name, "bytes": 1, "hash": "0" * 32, "last_modified": moment,
             "content_type": "application/octet-stream"}
            for name in sorted(names) if name not in shown
        ]  # fmt: skip
