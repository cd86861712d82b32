import random
import threading
import time
from pathlib import Path

from hostagent.logs import rotate
from inside import output
from support.agents import placed, running_agent, shop
from support.environment import wait_until
from support.hostplaces import HostPlace

KIB = 1024


def test_a_flood_of_output_stays_within_its_limit_and_its_end_is_kept(place: HostPlace) -> None:
    script = "i=0; while [ $i -lt 4000 ]; do echo line $i of very many that are told here; "
    script += "i=$((i+1)); done; echo the last line; sleep 1000"
    document = shop(
        {
            "command": {"cmd": "/bin/sh", "args": ["-c", script]},
            "limits": {"logs": "64Ki"},
            "stop": {"grace_s": 0},
        }
    )
    desired = placed(document)
    with running_agent(place) as agent:
        path = agent.host.layout.log(desired.set, "c0")
        agent.take(desired)
        agent.wait_running(desired)

        def sizes() -> int:
            rotate(agent.host)
            here = [each for each in (path, path.with_name("c0.1")) if each.exists()]
            return sum(each.stat().st_size for each in here)

        most = 0

        def is_told() -> bool:
            nonlocal most
            most = max(most, sizes())
            return "the last line" in output.read(path, 1)

        wait_until(is_told, "the last line", 60)
        assert most <= 64 * KIB
        assert output.read(path, 1) == ["the last line"]
        agent.delete(desired)


def test_lines_are_told_without_what_the_monitor_adds(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.with_name("log.1").write_text("2026-01-01T00:00:00.1+00:00 stdout F before\n")
    path.write_text(
        "2026-01-01T00:00:00.2+00:00 stdout P a long \n"
        "2026-01-01T00:00:00.3+00:00 stdout F line\n"
        "2026-01-01T00:00:00.4+00:00 stderr F \n"
        "torn\n"
    )
    assert output.read(path, None) == ["before", "a long line", ""]
    assert output.read(path, 2) == ["a long line", ""]
    assert output.read(path, 0) == []
    assert output.read(tmp_path / "nothing", 5) == []


def test_what_a_program_writes_within_a_line_ends_none(tmp_path: Path) -> None:
    """A bar of progress, an escape, a page's end: str.splitlines ends lines at all of them."""
    told = ["10 %\r20 %\r", "a\fb\vc", "d\x1ce\x85f\u2028g"]
    path = tmp_path / "log"
    stamp = "2026-01-01T00:00:00.2+00:00 stdout F"
    path.write_bytes("".join(f"{stamp} {each}\n" for each in told).encode())
    assert output.read(path, None) == told
    assert output.read(path, 1) == told[-1:]


async def test_what_comes_later_is_told_as_it_comes(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_text("2026-01-01T00:00:00.2+00:00 stdout F first\n")
    at = output.end(path)
    with path.open("a") as file:  # between the look at what was there and the first at what comes
        file.write("2026-01-01T00:00:00.3+00:00 stdout F next\n")
    assert output.read(path, None, at) == ["first"]
    rounds = iter(range(3))

    def goes_on() -> bool:
        turn = next(rounds, None)
        if turn == 1:
            with path.open("a") as file:
                file.write("2026-01-01T00:00:00.3+00:00 stdout F second\n2026 torn")
        return turn is not None

    assert [line async for line in output.follow(path, at, goes_on)] == ["next", "second"]


async def test_output_that_is_turned_over_all_the_time_is_followed(tmp_path: Path) -> None:
    path = tmp_path / "log"
    line = "2026-01-01T00:00:00.2+00:00 stdout F a line\n"
    is_over = threading.Event()

    def turn_over() -> None:
        while not is_over.is_set():
            path.write_text(line * random.randint(1, 99))
            path.rename(tmp_path / "log.1")

    thread = threading.Thread(target=turn_over)
    thread.start()
    end = time.monotonic() + 2
    try:
        told = [line async for line in output.follow(path, 0, lambda: time.monotonic() < end)]
    finally:
        is_over.set()
        thread.join()
    assert set(told) <= {"a line"}
