import os
import threading
import time
from pathlib import Path

import pytest

from programs.bounded import Done, OutOfTime, call


def threads() -> list[str]:
    return [each.name for each in threading.enumerate() if each.name.startswith("end-of-")]


def test_a_program_hears_says_and_ends() -> None:
    told = call(["/bin/sh", "-c", "cat; echo oh >&2; exit 3"], seconds=30, given="grüße\n")
    assert told == Done(3, "grüße\n", "oh\n")
    assert told.said == "oh"
    assert call(["cat"], seconds=30) == Done(0, "", "")


def test_of_a_long_complaint_the_end_is_told() -> None:
    script = "yes x | head -c 100000 >&2; echo the end >&2"
    told = call(["/bin/sh", "-c", script], seconds=30)
    assert (len(told.said), told.said.endswith("the end")) == (1000, True)


def test_who_does_not_listen_is_no_failure() -> None:
    assert call(["true"], seconds=30, given="x" * 1_000_000).code == 0


def test_a_program_that_is_not_there_is_told_as_such() -> None:
    with pytest.raises(FileNotFoundError, match="nothing-like-it"):
        call(["nothing-like-it"], seconds=30)


@pytest.mark.parametrize(
    "script",
    ["exec sleep 600", "trap '' TERM INT; while :; do sleep 1; done", "exec sleep 600 >&-"],
)
def test_who_does_not_end_is_killed_and_leaves_nothing(
    script: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    began = time.monotonic()
    with pytest.raises(OutOfTime, match=r"sh has not ended within 0\.5 s, and was killed"):
        call(["/bin/sh", "-c", f"echo $$ > pid; {script}"], seconds=0.5)
    assert time.monotonic() - began < 5
    pid = int(Path("pid").read_text())
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    assert threads() == []
