"""The large ledger's figures, in their short form: all garbage is found, and nothing else."""

import re
import subprocess
import sys

from support.environment import ROOT

LAST = re.compile(r"million: plan_seconds=([\d.]+) peak_MiB=(\d+) garbage=(\d+)")


def test_a_plan_finds_all_garbage_of_a_filled_ledger() -> None:
    script = str(ROOT / "bench" / "million.py")
    done = subprocess.run(
        [sys.executable, script, "--blobs", "5000", "--manifests", "500"],
        capture_output=True, text=True, timeout=200, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    last = LAST.fullmatch(done.stdout.splitlines()[-1])
    assert last is not None, done.stdout
    assert int(last[3]) == 500
    assert int(last[2]) < 500
    assert done.stdout.count("ratio") == 3
    assert "sweep of 500 blobs" in done.stdout
