import resource
import subprocess
import time

import pytest

from programs.converse import converse


def started(script: str) -> subprocess.Popen[bytes]:
    pipe = subprocess.PIPE
    return subprocess.Popen(["/bin/sh", "-c", script], stdin=pipe, stdout=pipe)


def test_a_program_hears_and_says() -> None:
    given = bytes(range(256)) * 4096  # more than pipes hold
    child = started("cat")
    assert converse(child, given, 30, 1 << 21) == (given, False)
    assert child.returncode == 0


def test_of_what_is_said_only_the_end_is_kept_however_much_it_is() -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    child = started("head -c 200000000 /dev/zero; echo the end; exit 3")
    said, has_more = converse(child, b"", 60, 1 << 16)
    assert (len(said), said.endswith(b"\0the end\n"), has_more) == (1 << 16, True, True)
    assert child.returncode == 3
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50_000  # KiB


def test_who_does_not_listen_is_not_waited_for() -> None:
    assert converse(started("exec <&-; echo bye"), b"x" * 10_000_000, 30, 99) == (b"bye\n", False)


@pytest.mark.parametrize("script", ["exec sleep 30", "exec yes", "exec sleep 30 >&-"])
def test_a_program_has_its_time(script: str) -> None:
    child = started(script)
    began = time.monotonic()
    try:
        with pytest.raises(subprocess.TimeoutExpired):
            converse(child, b"", 0.5, 99)
    finally:
        child.kill()
        for stream in (child.stdin, child.stdout):
            if stream is not None:
                stream.close()
        child.wait()
    assert time.monotonic() - began < 10
