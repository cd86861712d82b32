"""The journal in files: the port's promises, and what crashes and other processes leave."""

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from contract.journal_contract import (
    HATS,
    IDENTITY,
    SHOES,
    JournalContract,
    everything,
    line,
    of,
)
from registry.oci.errors import StorageFull, StorageUnavailable
from registry.storage.journal_file import FilesystemJournal
from registry.storage.ports.journal import Journal
from support.disk import small_disk

MIB = 1024 * 1024


class TestFilesystemJournal(JournalContract):
    @pytest.fixture
    def journal(self, tmp_path: Path) -> Journal:
        return FilesystemJournal(tmp_path)


class TestFilesystemJournalOfSmallFiles(JournalContract):
    @pytest.fixture
    def journal(self, tmp_path: Path) -> Journal:
        return FilesystemJournal(tmp_path, rotate_at=1)


class TestOneOfTwoFilesystemJournals(JournalContract):
    """Each call goes to the other one: what a second process sees."""

    @pytest.fixture
    def journal(self, tmp_path: Path) -> Journal:
        return Alternating(*(FilesystemJournal(tmp_path, rotate_at=200) for _ in range(2)))


class Alternating(FilesystemJournal):
    def __init__(self, *journals: FilesystemJournal) -> None:
        self._journals = list(journals)

    def __getattribute__(self, name: str) -> object:
        if name in {
            "append",
            "read",
            "heads",
            "identity",
            "found",
            "fold",
            "folded",
            "contradicted",
        }:
            journals = object.__getattribute__(self, "_journals")
            journals.append(journals.pop(0))
            return getattr(journals[0], name)
        return object.__getattribute__(self, name)


@pytest.fixture
def journal(tmp_path: Path) -> FilesystemJournal:
    return FilesystemJournal(tmp_path)


def last(directory: Path) -> Path:
    return max((directory / "journal").glob("*.log"))


# -- what lies there --------------------------------------------------------------------------


async def test_a_new_process_goes_on_where_the_last_one_ended(
    journal: FilesystemJournal, tmp_path: Path
) -> None:
    await journal.append([line(SHOES, 1), line(HATS, 1)])
    again = FilesystemJournal(tmp_path)
    assert await again.heads() == {SHOES: 1, HATS: 1}
    await again.append([line(SHOES, 2)])
    assert of(await everything(journal), SHOES) == [line(SHOES, 1), line(SHOES, 2)]


async def test_files_are_rotated_and_the_last_one_tells_all_heads(tmp_path: Path) -> None:
    journal = FilesystemJournal(tmp_path, rotate_at=500)
    await journal.append([line(HATS, 1)])
    for n in range(1, 41):
        await journal.append([line(SHOES, n)])
    assert int(last(tmp_path).stem) > 5
    again = FilesystemJournal(tmp_path, rotate_at=500)
    assert await again.heads() == {HATS: 1, SHOES: 40}
    assert of(await everything(again), SHOES) == [line(SHOES, n) for n in range(1, 41)]


@pytest.mark.parametrize("keep", [1, 20, 70, -1])
async def test_a_torn_last_line_was_never_there(
    journal: FilesystemJournal, tmp_path: Path, keep: int
) -> None:
    await journal.append([line(SHOES, 1)])
    whole = last(tmp_path).stat().st_size
    await journal.append([line(SHOES, 2)])
    text = last(tmp_path).read_bytes()
    os.truncate(last(tmp_path), len(text) - 1 if keep < 0 else whole + keep)
    for reader in (journal_at(tmp_path), journal_at(tmp_path)):
        assert await everything(reader) == [line(SHOES, 1)]
        assert await reader.heads() == {SHOES: 1}
    again = journal_at(tmp_path)
    await again.append([line(SHOES, 2)])
    assert await everything(again) == [line(SHOES, 1), line(SHOES, 2)]
    assert last(tmp_path).read_bytes() == text


async def test_a_torn_line_is_mended_before_a_file_is_rotated(tmp_path: Path) -> None:
    journal = FilesystemJournal(tmp_path, rotate_at=1)
    await journal.append([line(SHOES, 1)])
    with last(tmp_path).open("ab") as file:
        file.write(b"torn")
    await journal.append([line(SHOES, 2)])
    assert await everything(journal) == [line(SHOES, 1), line(SHOES, 2)]


async def test_a_bad_line_within_is_damage_and_says_where(
    journal: FilesystemJournal, tmp_path: Path
) -> None:
    await journal.append([line(SHOES, n) for n in (1, 2, 3)])
    path = last(tmp_path)
    path.write_bytes(path.read_bytes().replace(b"%b 2" % SHOES.encode(), b"%b 3" % SHOES.encode()))
    lines = journal_at(tmp_path).read()
    assert await anext(lines) == line(SHOES, 1)
    with pytest.raises(StorageUnavailable, match=r"line 3 of 00000001\.log.*checksum"):
        await anext(lines)
    for attempt in (journal_at(tmp_path).heads, journal_at(tmp_path).heads):
        with pytest.raises(StorageUnavailable, match=r"line 3 of 00000001\.log"):
            await attempt()
    with pytest.raises(StorageUnavailable, match=r"line 3 of 00000001\.log"):
        await journal_at(tmp_path).append([line(SHOES, 4)])


async def test_a_bad_last_line_that_is_whole_is_damage(
    journal: FilesystemJournal, tmp_path: Path
) -> None:
    await journal.append([line(SHOES, 1)])
    path = last(tmp_path)
    path.write_bytes(path.read_bytes()[:-3] + b"?}\n")
    with pytest.raises(StorageUnavailable, match="line 2"):
        await everything(journal_at(tmp_path))


async def test_a_line_that_is_no_line_is_damage(journal: FilesystemJournal, tmp_path: Path) -> None:
    await journal.append([line(SHOES, 1)])
    with last(tmp_path).open("ab") as file:
        file.write(b"\0\0\0\n")
    with pytest.raises(StorageUnavailable, match="no line of a journal"):
        await everything(journal_at(tmp_path))


@pytest.mark.parametrize("victim", [0, 1])
async def test_a_file_that_is_missing_is_noticed(tmp_path: Path, victim: int) -> None:
    journal = FilesystemJournal(tmp_path, rotate_at=1)
    for n in (1, 2, 3):
        await journal.append([line(SHOES, n)])
    paths(tmp_path)[victim].unlink()
    with pytest.raises(StorageUnavailable):
        await everything(journal_at(tmp_path))


async def test_lines_missing_from_an_old_file_are_noticed(tmp_path: Path) -> None:
    journal = FilesystemJournal(tmp_path, rotate_at=1)
    for n in (1, 2):
        await journal.append([line(SHOES, n)])
    first = paths(tmp_path)[0]
    first.write_bytes(first.read_bytes().splitlines(keepends=True)[0])
    with pytest.raises(StorageUnavailable, match=r"line 1 of 00000002\.log"):
        await everything(journal_at(tmp_path))


async def test_a_file_that_became_shorter_is_noticed(
    journal: FilesystemJournal, tmp_path: Path
) -> None:
    await journal.append([line(SHOES, 1)])
    os.truncate(last(tmp_path), 3)
    with pytest.raises(StorageUnavailable, match="shorter"):
        await journal.append([line(SHOES, 2)])


async def test_a_damaged_identity_is_no_identity_of_another(
    journal: FilesystemJournal, tmp_path: Path
) -> None:
    await journal.found(IDENTITY)
    (tmp_path / "meta" / "store.json").write_bytes(b"{")
    with pytest.raises(StorageUnavailable, match=r"store\.json"):
        await journal.identity()
    with pytest.raises(StorageUnavailable, match=r"store\.json"):
        await journal.found(IDENTITY)


def journal_at(directory: Path) -> FilesystemJournal:
    return FilesystemJournal(directory)


def paths(directory: Path) -> list[Path]:
    return sorted((directory / "journal").glob("*.log"))


# -- other processes --------------------------------------------------------------------------

APPENDER = """
import asyncio, sys
from pathlib import Path
from registry.storage.journal_file import FilesystemJournal
from registry.storage.records import JournalLine, Position

async def main(directory, project, count, batch):
    journal = FilesystemJournal(Path(directory), rotate_at=20_000)
    sequence = (await journal.heads()).get(project, 0)
    while sequence < count:
        numbers = range(sequence + 1, sequence + 1 + batch)
        content = '{"change": "%s %d"}'
        await journal.append([
            JournalLine(Position(project, n), (content % (project, n)).encode()) for n in numbers
        ])
        sequence += batch
        print(sequence, flush=True)

asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])))
"""


def appender(directory: Path, project: str, count: int, batch: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", APPENDER, str(directory), project, str(count), str(batch)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def run_together(directory: Path, count: int) -> list[int]:
    processes = [appender(directory, f"project-{n}", count, 3) for n in range(4)]
    for process in processes:
        process.communicate(timeout=60)
    return [process.returncode for process in processes]


async def test_processes_that_append_at_once_lose_and_mix_nothing(tmp_path: Path) -> None:
    assert run_together(tmp_path, 300) == [0, 0, 0, 0]
    journal = journal_at(tmp_path)
    lines = await everything(journal)
    for n in range(4):
        assert of(lines, f"project-{n}") == [line(f"project-{n}", s) for s in range(1, 301)]
    assert len(paths(tmp_path)) > 3


def kill_at_random(directory: Path, delay: float) -> tuple[int, int]:
    """What two appenders had acknowledged when one was killed and the other had ended."""
    victim = appender(directory, SHOES, 10**9, 7)
    other = appender(directory, HATS, 10**9, 3)
    assert victim.stdout is not None
    assert other.stdout is not None
    first = victim.stdout.readline(), other.stdout.readline()
    time.sleep(delay)
    victim.send_signal(signal.SIGKILL)
    other.send_signal(signal.SIGKILL)
    rest = victim.communicate()[0], other.communicate()[0]
    shoes, hats = ((first[n] + rest[n]).splitlines(keepends=True) for n in (0, 1))
    return acknowledged(shoes), acknowledged(hats)


def acknowledged(printed: list[str]) -> int:
    return max(int(text) for text in printed if text.endswith("\n"))


async def test_what_was_acknowledged_before_a_kill_is_read_back(tmp_path: Path) -> None:
    chance = random.Random(7)
    for _ in range(12):
        shoes, hats = kill_at_random(tmp_path, chance.uniform(0, 0.03))
        journal = journal_at(tmp_path)
        lines = await everything(journal)
        heads = await journal.heads()
        assert heads[SHOES] >= shoes
        assert heads[HATS] >= hats
        for project in (SHOES, HATS):
            assert of(lines, project) == [line(project, n) for n in range(1, heads[project] + 1)]


# -- a full disk ------------------------------------------------------------------------------


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    with small_disk(tmp_path / "disk", MIB) as directory:
        yield directory


async def test_a_full_disk_says_so_and_the_journal_stays_whole(disk: Path) -> None:
    journal = FilesystemJournal(disk)
    await journal.append([line(SHOES, 1)])
    ballast = disk / "ballast"
    ballast.write_bytes(bytes(MIB // 2))
    large = line(SHOES, 2, f'{{"manifest": "{"x" * 600_000}"}}')
    with pytest.raises(StorageFull):
        await journal.append([large, line(SHOES, 3)])
    assert await everything(journal) == [line(SHOES, 1)]
    assert await journal.heads() == await journal_at(disk).heads() == {SHOES: 1}
    ballast.unlink()
    await journal.append([large, line(SHOES, 3)])
    assert await everything(journal) == [line(SHOES, 1), large, line(SHOES, 3)]


async def test_a_disk_too_full_for_a_new_file_leaves_the_old_one_whole(disk: Path) -> None:
    journal = FilesystemJournal(disk, rotate_at=1)
    await journal.append([line(SHOES, 1)])
    ballast = disk / "ballast"
    with pytest.raises(OSError, match="No space"):
        ballast.write_bytes(bytes(2 * MIB))
    with pytest.raises(StorageFull):
        await journal.append([line(SHOES, 2)])
    assert await everything(journal) == [line(SHOES, 1)]
    ballast.unlink()
    await journal.append([line(SHOES, 2)])
    assert await everything(journal_at(disk)) == [line(SHOES, 1), line(SHOES, 2)]
