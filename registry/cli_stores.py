"""What the collector's commands share: stores opened and let go of, failures told in a line."""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Any, NoReturn, TypeVar

import typer
from rich.console import Console
from rich.progress import Progress, ProgressColumn, TimeElapsedColumn

from registry import agreement, stores
from registry.config import Config
from registry.gc import collect
from registry.oci.digest import Digest
from registry.oci.errors import RegistryError
from registry.oci.names import RepositoryName, parse_repository
from registry.storage.ledger.garbage import SqlCollection
from registry.storage.storage import Storage
from settings.reading import printable

Answer = TypeVar("Answer")
errors = Console(stderr=True, highlight=False)
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
ConfigFile = Annotated[
    Path | None,
    typer.Option("--config", "-c", help="TOML file; BERTH_… variables go over it.", metavar="FILE"),
]


@asynccontextmanager
async def opened(settings: Config) -> AsyncIterator[tuple[Storage, SqlCollection]]:
    """The stores and the collection that *settings* name, which belong together.

    Raises StorageUnavailable.
    """
    async with stores.opened_used(settings) as storage:
        await agreement.require(storage)
        collection = SqlCollection(settings.ledger_url, projecting=settings.glance.enabled)
        try:
            yield storage, collection
        finally:
            await collection.close()


def run(work: Coroutine[Any, Any, Answer]) -> Answer:
    """What *work* answers; what fails is told, and ends the command."""
    try:
        return asyncio.run(work)
    except collect.Busy:
        fail("somebody collects at this moment; look again later")
    except RegistryError as error:
        fail(error.reason)


def find_repository(text: str | None, settings: Config) -> RepositoryName | None:
    """The repository that an option names, or None."""
    if text is None:
        return None
    try:
        return parse_repository(text, default_project=settings.default_project)
    except RegistryError as error:
        fail(error.reason, status=2)


def find_digest(text: str) -> Digest:
    """The digest that an option names."""
    try:
        return Digest.parse(text)
    except RegistryError as error:
        fail(f"{text!r} is no digest: {error.detail}", status=2)


def shown(*columns: ProgressColumn) -> Progress:
    """A progress bar for people; whoever reads the output from a file or a pipe gets none."""
    return Progress(
        *columns,
        TimeElapsedColumn(),
        console=errors,
        transient=True,
        disable=not errors.is_terminal,
    )


def tell(message: str) -> None:
    """Say what is wrong, on one line, however wide the terminal."""
    errors.print(f"berth: {printable(message)}", markup=False, soft_wrap=True)


def fail(message: str, status: int = 1) -> NoReturn:
    """Tell *message*, and end the command."""
    tell(message)
    raise typer.Exit(status)
