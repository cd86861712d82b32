"""The commands of backups: backup and restore, of the embedded store."""

import asyncio
import contextlib
import itertools
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Annotated, TypeVar

import typer
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn
from sqlalchemy import make_url

from registry import agreement, cli_stores, stores, wiring
from registry.backup import restore as restoring
from registry.backup import take
from registry.backup.faults import BackupFailed
from registry.backup.place import Place
from registry.backup.take import Store, Taken
from registry.cli_stores import ConfigFile, fail, shown, tell
from registry.config import Config
from registry.gc import collect
from registry.oci.errors import RegistryError
from registry.storage.ports.collection import Collection

Answer = TypeVar("Answer")
Told = Callable[[str, int, int], None]
SHOWN = 20
"""Damaged objects that are named."""

Directory = Annotated[Path, typer.Argument(metavar="DIR", help="The backup's directory.")]


def add_to(app: typer.Typer) -> None:
    """Give *app* these commands."""
    app.command("backup")(backup)
    app.command("restore")(restore)


def backup(
    directory: Directory,
    config: ConfigFile = None,
    copying: Annotated[
        bool, typer.Option("--copy", help="Copy blobs, also where they could be linked.")
    ] = False,
    verify: Annotated[
        bool, typer.Option("--verify", help="Back nothing up; read all that is there.")
    ] = False,
) -> None:
    """Back up the embedded store into DIR, while it is used. Repeated, it adds what is new.

    Blobs are linked where DIR lies on the same file system: that saves from mistakes, and not from
    the disk. Collections wait meanwhile. Broken off, the backup before it still counts.

    Examples:
        berth backup /mnt/backup/berth

        berth backup --verify /mnt/backup/berth

    """
    if verify:
        with _shown() as told:
            state, bad = _run(lambda: restoring.verify(Place(directory), told))
        _tell_bad([*bad, *state.missing])
        typer.echo(f"{state.blobs} blobs, {state.size} bytes are what was backed up")
        return
    settings = wiring.loaded(config)
    _require_embedded(settings)
    with _shown() as told:
        taken = _run(lambda: asyncio.run(_take(settings, directory, told, copying=copying)))
    state, tally = taken.state, taken.tally
    typer.echo(
        f"{state.blobs} blobs, {state.size} bytes: {tally.copied} copied, {tally.linked} linked, "
        f"{taken.removed} removed"
    )
    _tell_bad(list(state.missing))


def restore(directory: Directory, config: ConfigFile = None) -> None:
    """Make a store of the backup in DIR, where the configuration says; every blob is verified.

    There must be none yet. A blob that is damaged in the backup is absent then, is named here, and
    comes back by the next push of it; exit code 1.

    Example:
        berth restore /mnt/backup/berth --config /etc/berth.toml

    """
    settings = wiring.loaded(config)
    _require_embedded(settings)
    target, ledger = settings.storage.directory.absolute(), _ledger(settings)
    with _shown() as told:
        state, bad = _run(lambda: restoring.restore(Place(directory), target, ledger, told))
    disagreement = _run(lambda: asyncio.run(_settle(settings)))
    if disagreement is not None:
        fail(disagreement)
    typer.echo(f"restored: {state.blobs - len(bad)} blobs, into {target}")
    _tell_bad([*bad, *state.missing])


async def _take(settings: Config, directory: Path, told: Told, *, copying: bool) -> Taken:
    stopping = threading.Event()
    async with cli_stores.opened(settings) as (storage, collection):
        identity = await storage.journal.identity()
        assert identity is not None  # for they agree
        store = Store(settings.storage.directory.absolute(), _ledger(settings), identity)
        async with _no_collections(collection, told):
            work = asyncio.create_task(
                asyncio.to_thread(
                    take.run, store, Place(directory), time.time(), told, stopping, copying=copying
                )
            )
            try:
                return await asyncio.shield(work)
            except asyncio.CancelledError:
                stopping.set()
                await asyncio.wait({work})
                raise


@contextlib.asynccontextmanager
async def _no_collections(collection: Collection, told: Told) -> AsyncIterator[None]:
    """Wait for the end of a collection, and hold off others."""
    async with contextlib.AsyncExitStack() as stack:
        for waited in itertools.count(1):
            try:
                await stack.enter_async_context(collect.alone(collection))
                break
            except collect.Busy:
                told("waiting for a collection's end", waited, 0)
                await asyncio.sleep(0.5)
        yield


async def _settle(settings: Config) -> str | None:
    async with stores.opened(settings) as storage:
        await agreement.settle(storage)
        return storage.disagreement


def _ledger(settings: Config) -> Path:
    return Path(make_url(settings.ledger_url).database or "").absolute()


def _require_embedded(settings: Config) -> None:
    if settings.storage.kind != "directory" or not settings.ledger_url.startswith("sqlite"):
        fail(
            "only a store in a directory with its ledger in SQLite is backed up like this. Bytes "
            "and journal in Swift are what must be kept: a PostgreSQL that is lost or restored to "
            "an earlier state is made whole by `berth rebuild`",
            status=2,
        )


def _run(work: Callable[[], Answer]) -> Answer:
    try:
        return work()
    except BackupFailed as error:
        fail(str(error))
    except RegistryError as error:
        fail(error.reason)


def _tell_bad(names: list[str]) -> None:
    if names:
        for name in names[:SHOWN]:
            tell(f"damaged or gone: {name}")
        fail(f"{len(names)} blobs are damaged or gone; the next push of each brings it back")


@contextlib.contextmanager
def _shown() -> Iterator[Told]:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with shown(*columns) as bar:
        task = bar.add_task("looking", total=None)

        def told(step: str, done: int, total: int) -> None:
            bar.update(task, description=step, completed=done, total=total or None)

        yield told
