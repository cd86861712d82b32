"""Plays a race, and counts what happened in it: deeds, deaths, late deletions, what met what."""

import bisect
import json
import os
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from support.environment import ROOT, temporary_directory
from support.ledgers import own_schema
from support.raceactor import Actor
from support.racecollector import Collector

EXTRA: Final = 150.0
"""Seconds that a race may take beyond its own time."""
TRASH: Final = (1.0, 0.0)
"""Terms of the trash, in seconds: one race has this, the next one that."""
DEEDS: Final = (
    *(name for name in vars(Actor) if name[0] != "_" and name not in {"live", "do", "deeds"}),
    *(name for name in vars(Collector) if name[0] != "_" and name not in {"live", "do", "deeds"}),
)
"""All that anybody does."""
DEATHS: Final = (
    "in a transaction", "before a COMMIT", "after a COMMIT",
    "Ledger", "BlobStore", "SegmentWriter", "Journal", "Collection",
)  # fmt: skip
"""Where somebody dies: the others are ports, before or after one of their calls."""


@dataclass(slots=True)
class Tally:
    """Of one race, or of several."""

    deeds: Counter[str] = field(default_factory=Counter)
    outcomes: Counter[tuple[str, str]] = field(default_factory=Counter)
    deaths: Counter[str] = field(default_factory=Counter)
    late: Counter[str] = field(default_factory=Counter)
    """When deletions were done."""
    meetings: Counter[tuple[str, str]] = field(default_factory=Counter)
    """Deeds of two processes that were under way at one time."""
    checked: int = 0
    """Tags that were read whole at the end of races."""
    races: int = 0
    complaints: list[str] = field(default_factory=list)

    def add(self, other: "Tally") -> None:
        """Count another one in."""
        for mine, theirs in (
            (self.deeds, other.deeds), (self.deaths, other.deaths), (self.late, other.late),
        ):  # fmt: skip
            mine.update(theirs)
        self.outcomes.update(other.outcomes)
        self.meetings.update(other.meetings)
        self.checked += other.checked
        self.races += other.races
        self.complaints += other.complaints

    def missing(self) -> list[str]:
        """Kinds of deeds and deaths that never happened."""
        return [
            *(name for name in DEEDS if not self.deeds[name]),
            *(name for name in DEATHS if not self.deaths[name]),
        ]

    def line(self) -> str:
        """The last line of a run."""
        acknowledged = sum(
            count for (_, told), count in self.outcomes.items() if told.startswith("acknowledged")
        )
        parts = {
            "races": self.races,
            "deeds": self.deeds.total(),
            "acknowledged": acknowledged,
            "meetings": self.meetings.total(),
            "pairs": len(self.meetings),
            "crashes": self.deaths.total(),
            "late": self.late.total(),
            "checked": self.checked,
            "findings": len(self.complaints),
        }
        return "gc_race: " + " ".join(f"{name}={value}" for name, value in parts.items())


def play(url: str, seed: str, seconds: float, trash: float, plant: str | None = None) -> Tally:
    """Play one race in schemas of its own of the PostgreSQL at *url*."""
    with temporary_directory("race") as directory, own_schema(url) as mine, own_schema(url) as copy:
        words = ["--seed", seed, "--seconds", str(seconds), "--trash", str(trash)]
        if plant is not None:
            words += ["--plant", plant]
        path = os.pathsep.join([str(ROOT), str(ROOT / "tests")])
        done = subprocess.run(
            [sys.executable, "-m", "support.racerun", directory, mine, copy, *words],
            env={**os.environ, "PYTHONPATH": path}, cwd=ROOT,
            timeout=seconds + EXTRA, check=False,
        )  # fmt: skip
        tally = count(directory)
        if done.returncode != 0 and not tally.complaints:
            log = directory / "errors.log"
            told = log.read_text()[-3000:] if log.exists() else ""
            tally.complaints.append(f"{seed}: a process ended with {done.returncode}: {told}")
        return tally


def count(directory: Path) -> Tally:
    """What the logs of a race say."""
    tally = Tally(races=1)
    spans: dict[str, list[tuple[float, float, str]]] = {}
    for path in sorted(directory.glob("*.log")):
        if path.stem == "errors":
            continue
        for text in path.read_text().splitlines():
            kind, *line = json.loads(text)
            if kind == "died":
                tally.deaths[_where(line[0])] += 1
            elif kind == "complaint":
                tally.complaints.append(line[0])
            elif kind == "deed" and line[0] == "verdict":
                tally.checked += int(line[3])
            elif kind == "deed" and path.stem != "first":
                deed, began, ended, outcome = line
                tally.deeds[deed] += 1
                tally.outcomes[deed, outcome] += 1
                spans.setdefault(path.stem, []).append((began, ended, deed))
    late = directory / "store" / "late.log"
    tally.late.update(late.read_text().splitlines() if late.exists() else [])
    _meet(tally, spans)
    return tally


def _meet(tally: Tally, spans: dict[str, list[tuple[float, float, str]]]) -> None:
    names = sorted(spans)
    for place, name in enumerate(names):
        for other in names[place + 1 :]:
            theirs = spans[other]  # one after the other, so their ends are in order too
            ends = [ended for _, ended, _ in theirs]
            for began, ended, deed in spans[name]:
                for start, _, met in theirs[bisect.bisect_right(ends, began) :]:
                    if start >= ended:
                        break
                    first, second = sorted((deed, met))
                    tally.meetings[first, second] += 1


def _where(point: str) -> str:
    if point == "Transaction.statement":
        return DEATHS[0]
    if point.startswith("Transaction.commit"):
        return DEATHS[1 if point.endswith(":before") else 2]
    return point.partition(".")[0]
