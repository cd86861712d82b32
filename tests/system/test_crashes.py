"""The server dies by SIGKILL at every point: nothing acknowledged is lost or half there."""

import contextlib
import itertools
import os
import queue
import sys
from collections import Counter
from collections.abc import Generator, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from support.crashes import Death, ForkServer, Run, hits_of, play, rehearse
from support.faultpoints import all_points
from support.planted import FAULTS

pytestmark = pytest.mark.timeout(1500)

SERVERS = 3
"""Runs at one time: each waits a good part of its time, for the disk and for claims to end."""

REHEARSED = "rehearsed"
"""Where below a test's directory the day without a death lies."""

EVERY = os.environ.get("BERTH_CRASHES") == "every"
"""Whether to die at every occurrence of a point, not only at the first and the last."""

PLANTED = {
    "acknowledge_before_the_journal": ["Ledger.find_blob:before", "Ledger.list_tags:before"],
    "acknowledge_before_the_bytes": ["Ledger.finish_upload:after", "BlobStore.put:before"],
    "put_a_manifest_in_two_transactions": ["Ledger.put_manifest:after", "Transaction.commit:after"],
    "delete_later": ["Ledger.find_manifest:before", "Ledger.put_manifest:before"],
    "trust_an_empty_ledger": [],
}
"""Points at which each planted fault shows; the last one shows without any death."""


Forks = queue.SimpleQueue[ForkServer]
"""Those that are free."""


@pytest.fixture(scope="module")
def forks() -> Iterator[Forks]:
    """As many as there are runs at one time."""
    free = Forks()
    with contextlib.ExitStack() as opened:
        for _ in range(SERVERS):
            free.put(opened.enter_context(ForkServer()))
        yield free


def rehearsal(
    directory: Path, forks: Forks, planted: str | None = None
) -> tuple[Run, dict[bool, Counter[str]]]:
    """A day without a death, and how often it comes by each point: served, and in the rebuild."""
    server = forks.get()
    try:
        run = rehearse(directory, server, planted)
    finally:
        forks.put(server)
    return run, {rebuild: hits_of(directory, rebuild=rebuild) for rebuild in (False, True)}


def report(deaths: int, counts: dict[bool, Counter[str]]) -> None:
    lines = [f"{deaths} deaths; times that a day comes by each point (served, rebuilt):"]
    lines += [
        f"  {each:<36} {counts[False][each]:>4} {counts[True][each]:>4}" for each in all_points()
    ]
    sys.stdout.write("\n" + "\n".join(lines) + "\n")


def times(count: int) -> Iterable[int]:
    return range(1, count + 1) if EVERY or count < 2 else (1, count)


def play_all(
    directory: Path, forks: Forks, deaths: list[Death], planted: str | None = None
) -> Generator[tuple[Death, Run]]:
    """Every death in a run of its own, which begins as the day that was rehearsed there.

    Whoever closes this early has those that have not begun left out.
    """
    numbers = itertools.count()

    def run(death: Death) -> Run:
        server = forks.get()
        try:
            place = directory / str(next(numbers))
            return play(directory / REHEARSED, place, server, death, planted)
        finally:
            forks.put(server)

    with ThreadPoolExecutor(SERVERS) as pool:
        try:
            yield from zip(deaths, pool.map(run, deaths), strict=True)
        finally:
            pool.shutdown(cancel_futures=True)


@pytest.mark.timeout(900)
def test_killed_at_every_point_nothing_acknowledged_is_lost(
    tmp_path: Path, forks: Forks, capsys: pytest.CaptureFixture[str]
) -> None:
    run, counts = rehearsal(tmp_path / REHEARSED, forks)
    assert run == Run(died=False, complaint=None)
    never = [point for point in all_points() if not counts[False][point] + counts[True][point]]
    assert never == [], "the day never comes by these"
    deaths = [
        Death(point, time, rebuild)
        for rebuild in (False, True)
        for point in all_points()
        for time in times(counts[rebuild][point])
    ]
    runs = dict(play_all(tmp_path, forks, deaths))
    with capsys.disabled():
        report(len(deaths), counts)
    complaints = [f"{death}: {run.complaint}" for death, run in runs.items() if run.complaint]
    assert not complaints, "\n".join(complaints)
    # Batches and wakeups differ from run to run, so a last occurrence may not come again.
    survived = [str(death) for death, run in runs.items() if not run.died and death.time == 1]
    assert survived == []
    assert sum(run.died for run in runs.values()) > len(runs) * 3 // 4


@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_is_found(tmp_path: Path, forks: Forks, fault: str) -> None:
    run, counts = rehearsal(tmp_path / REHEARSED, forks, fault)
    if run.complaint:
        return
    deaths = [
        Death(point, time)
        for point in PLANTED[fault]
        for time in range(1, min(counts[False][point], 12) + 1)
    ]
    with contextlib.closing(play_all(tmp_path, forks, deaths, fault)) as runs:
        complaints = (run.complaint or "" for _, run in runs)
        found = any("was acknowledged" in each or "half" in each for each in complaints)
    assert found, f"{len(deaths)} deaths, and nobody saw that {fault}"
