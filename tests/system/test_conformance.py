"""The OCI conformance suite: both specs, with login and without, on one server and on two."""

import subprocess
import sys

import pytest

from support.environment import ROOT
from support.server import KIND


@pytest.mark.parametrize("auth", ["none", "htpasswd"])
@pytest.mark.parametrize("spec", ["1.1", "dev"])
def test_the_suite_passes_whole(spec: str, auth: str) -> None:
    hold_passed("--spec", spec, "--auth", auth, "--server", KIND)


@pytest.mark.skipif(KIND != "berth", reason="the other server has no ledger to share")
def test_it_passes_on_two_replicas_that_take_turns() -> None:
    hold_passed("--spec", "dev", "--auth", "htpasswd", "--replicas", "2")


def hold_passed(*words: str) -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / "conformance" / "run.py"), *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    print(done.stdout)  # noqa: T201 - pytest shows it beside a failure
    assert done.returncode == 0, done.stdout.splitlines()[-1:]
