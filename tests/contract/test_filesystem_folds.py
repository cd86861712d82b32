"""Logs of the journal in files that are folded: broken off, read meanwhile, damaged."""

import errno
import os
from collections.abc import Mapping
from pathlib import Path

import pytest

from contract.journal_contract import (
    IDENTITY,
    everything,
    names_of,
)
from contract.ledger_journal_contract import change_everything, observe
from registry import agreement
from registry.oci.errors import StorageUnavailable
from registry.storage.journal_file import FilesystemJournal
from registry.storage.memory.ledger import MemoryLedger


async def rebuilt(
    journal: FilesystemJournal,
) -> tuple[dict[str, object], Mapping[str, int]]:
    """What a new ledger makes of *journal*."""
    copy = MemoryLedger()
    await agreement.rebuild(journal, copy, lambda _: None)
    return names_of(await observe(copy)), await copy.heads()


@pytest.fixture
async def used(tmp_path: Path) -> FilesystemJournal:
    """A journal of many small files."""
    journal, source = FilesystemJournal(tmp_path, rotate_at=1), MemoryLedger()
    await change_everything(source)
    for each in await source.pending_lines():
        await journal.append([each])
    await journal.found(IDENTITY)
    return journal


@pytest.mark.parametrize("step", ["writing", "renaming", "removing the first", "removing the last"])
async def test_a_fold_that_was_broken_off_leaves_the_same_names(
    used: FilesystemJournal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    before = await rebuilt(used)
    removed, closed = 0, len([*(tmp_path / "journal").glob("*.log")]) - 1

    def rename(path: Path, target: Path) -> None:
        raise OSError(errno.EIO, f"{path} {target}")

    def unlink(path: Path, *, missing_ok: bool) -> None:
        nonlocal removed
        removed += 1
        if removed == (1 if step == "removing the first" else closed):
            raise OSError(errno.EIO, f"{path} {missing_ok}")
        os.unlink(path)  # noqa: PTH108 - Path's own is what is replaced

    with monkeypatch.context() as broken:
        if step == "writing":
            broken.setattr(os, "fsync", lambda _: os.fstat(-1))
        elif step == "renaming":
            broken.setattr(Path, "rename", rename)
        else:
            broken.setattr(Path, "unlink", unlink)
        with pytest.raises(StorageUnavailable):
            await used.fold()
    for journal in (used, FilesystemJournal(tmp_path)):
        assert await rebuilt(journal) == before
    assert await used.fold() is not None or step.startswith("removing")
    assert await rebuilt(FilesystemJournal(tmp_path)) == before


async def test_what_reads_keeps_logs_from_being_folded(used: FilesystemJournal) -> None:
    lines = used.read()
    await anext(lines)
    assert await used.fold() is None
    async for _ in lines:
        pass
    assert await used.fold() is not None


async def test_a_damaged_fold_is_told_and_nothing_taken_for_whole(
    used: FilesystemJournal, tmp_path: Path
) -> None:
    await used.fold()
    (path,) = (tmp_path / "journal").glob("*.fold")
    whole = path.read_bytes()
    for damaged in (whole[: len(whole) // 2], whole[:-20] + bytes(20), b"", b"nonsense"):
        path.write_bytes(damaged)
        with pytest.raises(StorageUnavailable):
            await everything(FilesystemJournal(tmp_path))
