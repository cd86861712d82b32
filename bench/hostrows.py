"""What is measured on a host, row by row."""

import socket
import statistics
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from bench import hostinside
from bench.hostbed import Bed, document, free_kib, link_of, wait

CLIENTS = 4
"""Who tell the agent of many sets, each of the next one as soon as it knows of the last."""


@dataclass(frozen=True, slots=True)
class Asked:
    """How much is measured."""

    quick: bool
    containers: int
    network: bool


def starts(bed: Bed, asked: Asked) -> dict[str, float]:
    """Sets of one container, one after the other: from the order until its process runs."""
    took = []
    for _ in range(20 if asked.quick else 200):
        began = time.monotonic()
        set_id = bed.create(document({}, network=asked.network))
        wait(lambda: bed.started() == 1, 0.001)
        took.append((time.monotonic() - began) * 1000)
        bed.delete(set_id)
        wait(lambda: bed.count("sets") == 0, 0.005)
    return {"sets": len(took), **_shares(took)}


def gray(bed: Bed, asked: Asked) -> dict[str, float]:
    """A web server's gray updates: how long nobody answers at the set's address."""
    set_id = bed.create(document({"image": "serve:1"}, network=True))
    wait(lambda: bed.count("containers WHERE was_ready") == 1, 0.01)
    (found,) = bed.sets()
    link = link_of(bed.place, set_id)
    gaps = []
    with _Asking(found["addresses"][0].partition("/")[0]) as asking:
        wait(lambda: asking.edition == "1", 0.01)
        for number in range(10 if asked.quick else 100):
            edition = "21"[number % 2]
            asking.longest = 0.0
            bed.change_image(set_id, "c0", f"serve:{edition}")
            wait(lambda: asking.edition == edition, 0.005)  # noqa: B023 - it is waited for here
            wait(lambda: _is_settled(bed), 0.005)
            gaps.append(asking.longest * 1000)
            assert link_of(bed.place, set_id) == link, "it is another network namespace"
    bed.delete(set_id)
    wait(lambda: bed.count("sets") == 0, 0.01)
    return {"updates": len(gaps), **_shares(gaps), "namespaces": 1}


def _is_settled(bed: Bed) -> bool:
    """Whether nothing is left of what was replaced."""
    return (
        bed.count("containers WHERE next IS NULL AND good IS NULL AND was_ready") == 1
        and bed.count("attempts") == 1
    )


class _Asking:
    """Asks a web server which edition it is, all the time."""

    def __init__(self, address: str) -> None:
        self._address = address
        self.edition = ""
        self.longest = 0.0
        """Seconds from the end of an answer to the end of the next one, at most."""
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()

    def _run(self) -> None:
        last = time.monotonic()
        while not self._over.wait(0.002):
            edition = self._ask()
            if edition:
                now = time.monotonic()
                self.longest = max(self.longest, now - last)
                last = now
                self.edition = edition

    def _ask(self) -> str:
        try:
            with socket.create_connection((self._address, 8080), timeout=1) as link:
                link.sendall(b"GET /edition HTTP/1.0\r\n\r\n")
                answer = link.makefile("rb").read()
        except OSError:
            return ""
        head, _, body = answer.partition(b"\r\n\r\n")
        return body.decode() if b" 200 " in head else ""


def inside(bed: Bed, asked: Asked) -> dict[str, float]:
    """Work inside a container, and the same work beside it."""
    return hostinside.inside(bed, quick=asked.quick)


def full(bed: Bed, asked: Asked) -> Iterator[tuple[str, dict[str, float]]]:
    """Many sets of two containers at once; the agent killed and started over them; their end."""
    count = asked.containers // 2
    free = free_kib()
    began = time.monotonic()
    text = document({}, {}, network=asked.network)
    with ThreadPoolExecutor(CLIENTS) as clients:
        sets = list(clients.map(bed.create, [text] * count))
    told = time.monotonic() - began
    wait(lambda: bed.started() == 2 * count, 0.1)
    up = time.monotonic() - began
    pids = bed.pids()
    assert len(pids) == 2 * count, len(pids)
    time.sleep(2)
    each = (free - free_kib()) / 1024 / (2 * count)
    yield "up", {"containers": 2 * count, "told_s": told, "s": up, "per_s": 2 * count / up,
                 "MiB_each": each}  # fmt: skip
    bed.kill()
    began = time.monotonic()
    bed.start()
    answers = time.monotonic() - began
    wait(lambda: sum(map(_runs, bed.sets())) == count, 0.1)
    told = time.monotonic() - began
    assert bed.pids() == pids, "the containers are not the same processes"
    yield "adopt", {"containers": 2 * count, "answers_s": answers, "all_told_running_s": told}
    began = time.monotonic()
    for each_set in sets:
        bed.delete(each_set)
    wait(lambda: bed.count("sets") == 0, 0.1)
    took = time.monotonic() - began
    yield "down", {"containers": 2 * count, "s": took, "per_s": 2 * count / took}


def _runs(found: dict[str, object]) -> bool:
    return found["state"] == "running"


def _shares(values: list[float]) -> dict[str, float]:
    """The values that half and 99 % are at most."""
    cuts = statistics.quantiles(values, n=100, method="inclusive")
    return {"p50_ms": cuts[49], "p99_ms": cuts[98]}
