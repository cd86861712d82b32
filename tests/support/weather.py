"""What a cloud's services, or the network before them, do to requests: kinds, chance and counts."""

import random
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from support.messages import Head

IMAGE = re.compile(r"/images(?:/|\?id=in%3A|.*&id=in%3A)([0-9a-f-]{36})(?:$|&|%2C|\?)")
KEYSTONE, SWIFT, GLANCE = "keystone", "swift", "glance"


def _any(_: Head) -> bool:
    return True


def _writes(request: Head) -> bool:
    return request.method in {"PUT", "POST", "DELETE", "PATCH"}


def _has_body(request: Head) -> bool:
    return request.has_body and request.method == "PUT"


def _has_document(request: Head) -> bool:
    return request.has_body


def _reads(request: Head) -> bool:
    return request.method == "GET"


def _is_listing(request: Head) -> bool:
    return _reads(request) and "format=json" in urlsplit(request.target).query


def _reads_object(request: Head) -> bool:
    depth = len(urlsplit(request.target).path.strip("/").split("/"))
    return request.method in {"GET", "HEAD"} and depth > 3


def _reads_old(request: Head) -> bool:
    """What may come from a replica that knows of no change yet: X-Newest asks all of them."""
    return _reads_object(request) and "x-newest" not in request.headers


def _deletes(request: Head) -> bool:
    """But not of a member: one that came later than the next word could not be told from a word."""
    return request.method == "DELETE" and "/members/" not in request.target


def _reads_image(request: Head) -> bool:
    """Of one or of several, by their ids: what is said to be missing is so for one look only."""
    return _reads(request) and IMAGE.search(request.target) is not None


@dataclass(frozen=True, slots=True)
class Kind:
    """One way in which things go wrong."""

    name: str
    fits: Callable[[Head], bool]
    """Whether it can happen to this request."""
    services: frozenset[str]
    weight: float = 1.0


_ALL = frozenset({KEYSTONE, SWIFT, GLANCE})
_STORES = frozenset({SWIFT, GLANCE})
_SWIFT = frozenset({SWIFT})
_GLANCE = frozenset({GLANCE})
KINDS = [
    Kind("500", _any, _ALL),
    Kind("503", _any, _ALL),
    Kind("503-after", _writes, _ALL),
    Kind("401", _any, _STORES),
    Kind("401-in-mid-stream", _has_body, _SWIFT),
    Kind("reset-before", _any, _ALL),
    Kind("reset-in-request", _has_body, _SWIFT),
    Kind("reset-after", _any, _ALL),
    Kind("timeout-after", _any, _ALL, 0.3),
    Kind("slow-request", _has_body, _SWIFT),
    Kind("slow-answer", _reads, _ALL),
    Kind("truncated-answer", _reads, _ALL),
    Kind("flipped-byte", _has_body, _SWIFT),
    Kind("wrong-etag", lambda head: _has_body(head) or _reads_object(head), _SWIFT),
    Kind("stale-404", _reads_old, _SWIFT),
    Kind("lagging-listing", _is_listing, _SWIFT),
    Kind("late-delete", _deletes, _STORES),
    Kind("reset-in-request", _has_document, _GLANCE),
    Kind("slow-request", _has_document, _GLANCE),
    Kind("wrong-answer", _reads, _GLANCE),
    Kind("missing-image", _reads_image, _GLANCE),
]
NAMES = list(dict.fromkeys(kind.name for kind in KINDS))
RARE = frozenset({"lagging-listing", "late-delete", "missing-image"})
"""Few requests are such that these can happen; so they do whenever it rains."""


@dataclass
class Weather:
    """Whether, and how, requests are spoilt: by chance, of the kinds that are about."""

    chance: random.Random
    kinds: Sequence[Kind] = tuple(KINDS)
    rate: float = 0.15
    """Of requests that are spoilt while it rains."""
    rains: bool = False
    counts: Counter[str] = field(default_factory=Counter)
    """What was done, by ``<service> <kind>``."""
    requests: Counter[str] = field(default_factory=Counter)
    """What was asked, by service."""

    def choose(self, service: str, request: Head) -> str | None:
        """What happens to a request; whoever lets it happen counts it."""
        self.requests[service] += 1
        if not self.rains:
            return None
        fitting = [kind for kind in self.kinds if service in kind.services and kind.fits(request)]
        rare = [kind for kind in fitting if kind.name in RARE]
        if rare and self.chance.random() < 0.5:
            return self.chance.choice(rare).name
        if not fitting or self.chance.random() > self.rate:
            return None
        weights = [kind.weight for kind in fitting]
        return self.chance.choices(fitting, weights)[0].name

    def count(self, service: str, name: str) -> None:
        """It has happened."""
        self.counts[f"{service} {name}"] += 1


def some_kinds(chance: random.Random) -> list[Kind]:
    """A few kinds: each by itself is met more often than among all others."""
    number = chance.choice([2, 4, 6, len(NAMES)])
    names = set(chance.sample(NAMES, number))
    return [kind for kind in KINDS if kind.name in names]
