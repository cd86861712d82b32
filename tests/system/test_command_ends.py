"""How commands end that nobody reads or that are broken off: no traceback, never a false 0."""

import os
import signal
import subprocess
from pathlib import Path

import pytest

from support.environment import ROOT, wait_until
from support.programs import run
from support.server import Settings, running_server

FULL = "berth: cannot print: No space left on device"


def shell(tmp_path: Path, line: str) -> subprocess.CompletedProcess[str]:
    """A line of a shell in which `berth` and `climg` are found, in *tmp_path*."""
    path = f"{ROOT}/.venv/bin:{os.environ['PATH']}"
    return subprocess.run(
        ["/bin/bash", "-o", "pipefail", "-c", line],
        cwd=tmp_path,
        env={"PATH": path, "LANG": "C.UTF-8"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize(
    "command", ["berth --help", "berth check-config", "berth doctor --json", "berth agent --help",
                "echo secret | berth passwd alice"]
)  # fmt: skip
def test_an_output_that_is_full_or_gone_fails_and_is_told(tmp_path: Path, command: str) -> None:
    full = shell(tmp_path, f"{command} >/dev/full")
    assert (full.returncode, full.stderr.splitlines()) == (1, [FULL])
    gone = shell(tmp_path, f"{command} | true")
    assert gone.returncode in {0, 1}  # true may have been slow
    assert "Traceback" not in gone.stderr
    closed = shell(tmp_path, f"{command} >&- 2>&-")
    assert (closed.returncode, closed.stderr) == (0, "")


def test_nobody_at_the_keyboard_gives_no_password(tmp_path: Path) -> None:
    ended = shell(tmp_path, "berth passwd alice <&-")
    assert (ended.returncode, ended.stdout) == (2, "")
    assert "1 to 72 bytes" in ended.stderr


@pytest.mark.parametrize("program", ["berth", "climg"])
def test_ctrl_c_while_a_command_loads_ends_it_without_a_word(program: str) -> None:
    with subprocess.Popen(
        [ROOT / ".venv" / "bin" / program, "--help"],
        env={"PATH": os.environ["PATH"]},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        # Python's own beginning, and then the command's
        wait_until(lambda: _catches(process.pid), "a handler", poll=0.001)
        wait_until(lambda: not _catches(process.pid), "none", poll=0.001)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert (process.returncode, out, err) == (-signal.SIGINT, "", "")


def _catches(process: int) -> bool:
    """Whether Ctrl-C has a handler there (proc(5), status)."""
    (caught,) = (
        line.split()[1]
        for line in Path(f"/proc/{process}/status").read_text().splitlines()
        if line.startswith("SigCgt:")
    )
    return bool(int(caught, 16) >> signal.SIGINT - 1 & 1)


def test_the_help_names_the_agent_too() -> None:
    assert "agent" in run("berth", "--help").out
    assert "check-config" in run("berth").err + run("berth").out
    completed = run("berth", _BERTH_COMPLETE="complete_bash", COMP_WORDS="berth a", COMP_CWORD="1")
    assert completed.lines == ["agent"]


@pytest.mark.parametrize("program", ["berth", "climg"])
@pytest.mark.parametrize("columns", ["0", "-5", "x", ""])
def test_a_width_that_is_none_hides_nothing(program: str, columns: str) -> None:
    ended = run(program, "--help", COLUMNS=columns)
    assert (ended.status, ended.err) == (0, "")
    assert f"Usage: {program}" in ended.out


def test_the_doctor_speaks_on_a_terminal_of_no_width(tmp_path: Path) -> None:
    ended = run("berth", "doctor", COLUMNS="0", BERTH_STORAGE_DIRECTORY=str(tmp_path))
    assert "directory" in ended.out


def test_what_serve_says_of_climg_can_be_pasted(tmp_path: Path) -> None:
    with running_server(Settings()) as server:
        said = server.log.read_text("utf-8")
        (line,) = [each for each in said.splitlines() if each.lstrip().startswith("chain:")]
        done = subprocess.run(
            ["/bin/sh", "-c", line.partition(":")[2]],
            cwd=tmp_path,
            env={"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8"},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert (done.returncode, done.stderr) == (0, "")


def test_who_reads_no_further_what_a_count_says_is_no_fault() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    try:
        words = [ROOT / "scripts" / "thin"]
        done = subprocess.run(words, cwd=ROOT, stdout=writing, stderr=subprocess.PIPE, check=False)
    finally:
        os.close(writing)
    assert done.stderr == b""


@pytest.mark.parametrize(
    "words", [["image-undelete", "\udcff"], ["image-list", "--limit", "9" * 20]]
)
def test_what_is_no_text_or_no_number_is_told_in_one_line(words: list[str]) -> None:
    ended = run("climg", "--url", "http://127.0.0.1:9", *words)
    assert (ended.status, ended.out, len(ended.err.splitlines())) == (2, "", 1), ended.err


def test_what_is_quoted_in_a_complaint_steers_no_terminal() -> None:
    ended = run("berth", "restore", "\x1b[31m")
    assert ended.status != 0
    assert r"\x1b[31m" in ended.err
    assert "\x1b" not in ended.err


@pytest.mark.parametrize("name", ["/dev/zero", "-"])
def test_a_document_without_an_end_is_not_read_for_ever(tmp_path: Path, name: str) -> None:
    told = shell(tmp_path, f"climg --agent unix:/none set-create {name} </dev/zero")
    assert (told.returncode, "has more than 4 MiB" in told.stderr) == (2, True)
