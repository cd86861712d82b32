"""The server dies by SIGKILL at every point: nothing acknowledged is lost or half there."""

import itertools
import os
import queue
import sys
from collections import Counter
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from support.crashes import Death, ForkServer, Run, hits_of, play
from support.faultpoints import all_points
from support.planted import FAULTS

pytestmark = pytest.mark.timeout(1500)

SERVERS = 2
"""Runs at one time."""

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


def baseline(directory: Path, planted: str | None = None) -> tuple[Run, dict[bool, Counter[str]]]:
    """A day without a death, and how often it comes by each point: served, and in the rebuild."""
    with ForkServer() as forks:
        run = play(directory, forks, None, planted)
    return run, {rebuild: hits_of(directory, rebuild=rebuild) for rebuild in (False, True)}


def report(deaths: int, counts: dict[bool, Counter[str]]) -> None:
    lines = [f"{deaths} deaths; times that a day comes by each point (served, rebuilt):"]
    lines += [
        f"  {each:<36} {counts[False][each]:>4} {counts[True][each]:>4}" for each in all_points()
    ]
    sys.stdout.write("\n" + "\n".join(lines) + "\n")


def times(count: int) -> Iterable[int]:
    return range(1, count + 1) if EVERY or count < 2 else (1, count)


def play_all(directory: Path, deaths: list[Death], planted: str | None = None) -> dict[Death, Run]:
    """Every death in a run of its own."""
    forks: queue.SimpleQueue[ForkServer] = queue.SimpleQueue()
    for _ in range(SERVERS):
        forks.put(ForkServer())
    numbers = itertools.count()

    def run(death: Death) -> Run:
        server = forks.get()
        try:
            return play(directory / str(next(numbers)), server, death, planted)
        finally:
            forks.put(server)

    try:
        with ThreadPoolExecutor(SERVERS) as pool:
            return dict(zip(deaths, pool.map(run, deaths), strict=True))
    finally:
        for _ in range(SERVERS):
            with forks.get():
                pass


@pytest.mark.timeout(900)
def test_killed_at_every_point_nothing_acknowledged_is_lost(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, counts = baseline(tmp_path / "baseline")
    assert run == Run(died=False, complaint=None)
    never = [point for point in all_points() if not counts[False][point] + counts[True][point]]
    assert never == [], "the day never comes by these"
    deaths = [
        Death(point, time, rebuild)
        for rebuild in (False, True)
        for point in all_points()
        for time in times(counts[rebuild][point])
    ]
    runs = play_all(tmp_path, deaths)
    with capsys.disabled():
        report(len(deaths), counts)
    complaints = [f"{death}: {run.complaint}" for death, run in runs.items() if run.complaint]
    assert not complaints, "\n".join(complaints)
    # Batches and wakeups differ from run to run, so a last occurrence may not come again.
    survived = [str(death) for death, run in runs.items() if not run.died and death.time == 1]
    assert survived == []
    assert sum(run.died for run in runs.values()) > len(runs) * 3 // 4


@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_is_found(tmp_path: Path, fault: str) -> None:
    run, counts = baseline(tmp_path / "baseline", fault)
    if run.complaint:
        return
    deaths = [
        Death(point, time)
        for point in PLANTED[fault]
        for time in range(1, min(counts[False][point], 12) + 1)
    ]
    runs = play_all(tmp_path, deaths, fault)
    found = [run.complaint for run in runs.values() if run.complaint]
    assert found, f"{len(runs)} deaths, and nobody saw that {fault}"
    assert any("was acknowledged" in each or "half" in each for each in found), found[0]
