"""The stress of the collector, in its short form: nothing that was acknowledged is lost."""

import re
import subprocess
import sys

import pytest

from support.environment import ROOT

LAST = re.compile(r"gc_stress: pushed=(\d+) collected=(\d+) lost=(\d+)")


@pytest.mark.parametrize("ledger", ["sqlite", "postgresql"])
def test_what_was_acknowledged_survives_collections_without_grace(ledger: str) -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / "bench" / "gc_stress.py"),
         "--seconds", "8", "--grace", "0", "--ledger", ledger],
        capture_output=True, text=True, timeout=200, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    last = LAST.fullmatch(done.stdout.splitlines()[-1])
    assert last is not None, done.stdout
    pushed, collected, lost = map(int, last.groups())
    assert lost == 0
    assert pushed > 10
    assert collected > 0
