#!/usr/bin/env python3
"""Races of pushes, deletions and collections on PostgreSQL, in processes that die at any point.

    .venv/bin/python bench/gc_race.py [--seconds 600] [--seed S] [--json F] [--plant NAME]

Each race takes half a minute, and is then looked at: all that was acknowledged must resolve whole,
in the ledger and in one that is made anew of the journal, and nothing else may stay in the store.
The last line is ``gc_race: races=N … findings=N``; the exit status is 1 if something was lost, or
if a kind of deed or death never happened. docs/reliability.md tells what is done and held.
"""

import argparse
import json
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
# Instead of bench/, where registry.py would pass for the package `registry`.
sys.path[:1] = [str(ROOT), str(ROOT / "tests")]

from support import race  # noqa: E402 - needs the line above
from support.postgres import running_postgres  # noqa: E402
from support.raceplants import PLANTS  # noqa: E402

EACH = 30.0
"""Seconds of one race."""
TOLD = 10
"""Races after which a line tells how far it is."""


def main() -> int:
    """Play what the arguments say; answer the exit status."""
    words = argparse.ArgumentParser(description="Races of pushes and collections.")
    words.add_argument("--seconds", type=float, default=600)
    words.add_argument("--seed", default="1", help="a word; what is drawn by chance comes of it")
    words.add_argument("--json", type=Path, metavar="F", help="write all counts there")
    words.add_argument("--plant", choices=sorted(PLANTS), help="put this fault into the registry")
    asked = words.parse_args()
    total = race.Tally()
    begin = time.monotonic()
    with running_postgres() as url:
        while time.monotonic() - begin < asked.seconds:
            seed, trash = f"{asked.seed}-{total.races}", race.TRASH[total.races % len(race.TRASH)]
            tally = race.play(url, seed, EACH, trash, asked.plant)
            total.add(tally)
            for complaint in tally.complaints:
                sys.stdout.write(f"{seed}: {complaint}\n")
            if total.races % TOLD == 0:
                tell_progress(total, begin)
            if asked.json:  # each time: a long run may be broken off
                asked.json.write_text(json.dumps(told(total, begin), indent=1) + "\n", "utf-8")
    for (deed, outcome), count in sorted(total.outcomes.items()):
        sys.stdout.write(f"{count:8} {deed}: {outcome}\n")
    for name, counts in (("died", total.deaths), ("deleted", total.late)):
        for where, count in sorted(counts.items()):
            sys.stdout.write(f"{count:8} {name} {where}\n")
    missing = total.missing()
    if missing:
        sys.stdout.write(f"never happened: {', '.join(missing)}\n")
    sys.stdout.write(f"{total.line()} seconds={time.monotonic() - begin:.0f}\n")
    return 1 if total.complaints or missing else 0


def tell_progress(total: race.Tally, begin: float) -> None:
    """How far it is, to whoever waits."""
    findings = f"{len(total.complaints)} findings"
    sys.stderr.write(f"{total.races} races, {findings}, {time.monotonic() - begin:.0f} s\n")


def told(total: race.Tally, begin: float) -> dict[str, object]:
    """All counts."""
    return {
        "seconds": round(time.monotonic() - begin),
        "races": total.races,
        "checked": total.checked,
        "outcomes": {f"{deed}: {told}": n for (deed, told), n in sorted(total.outcomes.items())},
        "deaths": dict(total.deaths),
        "late": dict(total.late),
        "meetings": {f"{one} + {other}": n for (one, other), n in sorted(total.meetings.items())},
        "complaints": total.complaints,
    }


if __name__ == "__main__":
    sys.exit(main())
