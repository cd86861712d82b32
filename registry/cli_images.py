"""The command of the image records: sync-images."""

import asyncio
import logging
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from registry import wiring
from registry.catalogue.reconciler import Report
from registry.config import Config
from registry.oci.errors import RegistryError
from registry.storage.projection import Lag

_errors = Console(stderr=True, highlight=False)

ConfigFile = Annotated[
    Path | None,
    typer.Option("--config", "-c", help="TOML file; BERTH_… variables go over it.", metavar="FILE"),
]


def add_to(app: typer.Typer) -> None:
    """Give *app* this command."""
    app.command("sync-images")(sync_images)


def sync_images(
    config: ConfigFile = None,
    everything: Annotated[
        bool, typer.Option("--all", help="Every record, also those that Glance should have.")
    ] = False,
) -> None:
    """Send image records to Glance that wait, also those that were refused before.

    Servers do so by themselves; this is for after something was mended, and says what came of it.
    Then it looks once at what people said and deleted there. Servers may run. Exit code 1 if some
    records could not be sent.

    Examples:
        berth sync-images

        berth sync-images --all

    """
    settings = wiring.loaded(config)
    if not settings.glance.enabled:
        _errors.print("berth: glance.enabled is false: no image records go to Glance")
        raise typer.Exit(2)
    logging.basicConfig(format="%(message)s", level=logging.WARNING)
    try:
        lag, report = _run(settings, everything=everything)
    except RegistryError as error:
        _errors.print(f"berth: {error}", markup=False)
        raise typer.Exit(1) from error
    typer.echo(
        f"{report.looked} records looked at in Glance: {report.shared} shared otherwise, "
        f"{report.restored} to be restored, {report.missing} missing, {report.untagged} untagged"
    )
    if lag.count or lag.parked:
        _errors.print(
            f"berth: {lag.count + lag.parked} records wait; what Glance says of them stands above "
            "or in the servers' log",
            markup=False,
        )
        raise typer.Exit(1)
    typer.echo("Glance has every record")


def _run(settings: Config, *, everything: bool) -> tuple[Lag, Report]:
    columns = (TextColumn("sending"), BarColumn(), MofNCompleteColumn(), TextColumn("records"))
    with Progress(*columns, TimeElapsedColumn(), console=_errors, transient=True) as bar:
        task = bar.add_task("records", total=None)
        most = 0

        def advance(lag: Lag) -> None:
            nonlocal most
            most = max(most, lag.count)
            bar.update(task, total=most, completed=most - lag.count)

        return asyncio.run(wiring.sync_images(settings, everything=everything, progress=advance))
