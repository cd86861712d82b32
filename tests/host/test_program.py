"""A program on a read-only mount: it runs as it is now, and nobody writes into it."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from hostbase import trees
from hostbase.program import ReadOnlyProgram


def said(program: ReadOnlyProgram) -> str:
    """What it says, run by its path."""
    done = subprocess.run([program.path], check=True, capture_output=True, encoding="utf-8")
    return done.stdout


@pytest.fixture
def script(tmp_path: Path) -> Path:
    """A program that says 1."""
    path = tmp_path / "programs" / "say"
    path.parent.mkdir()
    path.write_text("#!/bin/sh\necho 1\n")
    path.chmod(0o755)
    return path


@pytest.fixture
def program(script: Path, tmp_path: Path) -> Iterator[ReadOnlyProgram]:
    """It, by a link from elsewhere."""
    link = tmp_path / "link"
    link.symlink_to(script)
    made = ReadOnlyProgram(str(link))
    yield made
    made.close()


def test_nobody_writes_through_it(program: ReadOnlyProgram, script: Path) -> None:
    assert said(program) == "1\n"
    assert os.path.samefile(program.path, script)  # noqa: PTH121 - text
    with pytest.raises(OSError, match="Read-only file system"):
        Path(program.path).write_text("not mine")
    assert said(program) == "1\n"
    script.write_text("#!/bin/sh\necho 3\n")  # where it lies, who may write it still may
    assert said(program) == "3\n"


def test_a_new_edition_is_used_at_once(program: ReadOnlyProgram, script: Path) -> None:
    new = script.with_name("new")
    shutil.copy2(script, new)
    new.write_text("#!/bin/sh\necho 2\n")
    new.replace(script)
    assert said(program) == "2\n"


def test_it_is_mounted_nowhere_and_leaves_no_handle(script: Path) -> None:
    def mounted() -> bytes:
        return Path("/proc/self/mountinfo").read_bytes()

    before = mounted(), sorted(os.listdir("/proc/self/fd"))  # noqa: PTH208 - numbers
    program = ReadOnlyProgram(str(script))
    assert mounted() == before[0]
    program.close()
    assert (mounted(), sorted(os.listdir("/proc/self/fd"))) == before  # noqa: PTH208


def test_where_the_kernel_cannot_it_is_the_program_where_it_lies(
    script: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: int) -> None:
        raise OSError(38, "Function not implemented")

    monkeypatch.setattr(trees, "make_read_only", refuse)
    before = sorted(os.listdir("/proc/self/fd"))  # noqa: PTH208 - numbers
    program = ReadOnlyProgram(str(script))
    assert program.path == str(script)
    assert sorted(os.listdir("/proc/self/fd")) == before  # noqa: PTH208
    program.close()


def test_an_absent_program_is_one_that_cannot_be_run(tmp_path: Path) -> None:
    program = ReadOnlyProgram(str(tmp_path / "absent" / "program"))
    with pytest.raises(FileNotFoundError):
        said(program)
    program.close()
