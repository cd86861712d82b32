"""The OCI conformance suite, the released spec and the newest text, with login and without."""

import subprocess
import sys

import pytest

from support.environment import ROOT
from support.server import KIND


@pytest.mark.parametrize("auth", ["none", "htpasswd"])
@pytest.mark.parametrize("spec", ["1.1", "dev"])
def test_the_suite_passes_whole(spec: str, auth: str) -> None:
    command = [sys.executable, str(ROOT / "conformance" / "run.py")]
    done = subprocess.run(
        [*command, "--spec", spec, "--auth", auth, "--server", KIND],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    print(done.stdout)  # noqa: T201 - pytest shows it beside a failure
    assert done.returncode == 0, done.stdout.splitlines()[-1:]
