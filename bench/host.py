#!/usr/bin/env python3
"""Measure the host agent: starts, gray updates, work inside a container, 1,000 containers at once.

    .venv/bin/python bench/host.py [--quick] [--full] [--containers N] [--network] [--rows PATTERN]

Run as root on an idle machine. The agent is the daemon, its images come from our registry, roots
are overlays; bench/README.md says what each row is.
"""

import argparse
import fnmatch
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
# Instead of bench/, where registry.py would pass for the package `registry`.
sys.path[:1] = [str(ROOT), str(ROOT / "tests")]

from bench.hostbed import Bed, bed  # noqa: E402 - needs the lines above
from bench.hostrows import Asked, full, gray, inside, starts  # noqa: E402


@dataclass
class Told:
    """Prints figures as they come, and keeps them."""

    figures: dict[str, dict[str, float]] = field(default_factory=dict)

    def tell(self, row: str, found: dict[str, float]) -> None:
        """One row."""
        self.figures[row] = found
        words = "  ".join(f"{name} {value:.4g}" for name, value in found.items())
        sys.stdout.write(f"{row}: {words}\n")
        sys.stdout.flush()


Row = Callable[[Bed, Asked], dict[str, float]]
ROWS: dict[str, Row] = {"start": starts, "gray": gray, "inside": inside}


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--quick", action="store_true", help="fewer of everything")
    parser.add_argument("--full", action="store_true", help="many containers at once, too")
    parser.add_argument("--containers", type=int, default=1000, help="with --full, two a set")
    parser.add_argument("--network", action="store_true", help="every set has a port on a bridge")
    parser.add_argument("--workers", type=int, help="the agent's, else what it has by itself")
    parser.add_argument("--rows", default="*", help="some rows only")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    asked = Asked(quick=given.quick, containers=given.containers, network=given.network)
    told = Told()
    settings = {"workers": given.workers} if given.workers else {}
    with bed(**settings) as daemon:
        for name, row in ROWS.items():
            if fnmatch.fnmatch(name, given.rows):
                told.tell(name, row(daemon, asked))
        if given.full:
            for name, found in full(daemon, asked):
                told.tell(name, found)
    if given.json:
        given.json.write_text(json.dumps(told.figures, indent=2) + "\n")


if __name__ == "__main__":
    main()
