"""The command of the image records: sync-images."""

import asyncio
import logging
from typing import Annotated

import typer
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn

from registry import wiring
from registry.catalogue.reconciler import Report
from registry.cli_stores import ConfigFile, fail, shown
from registry.config import Config
from registry.oci.errors import RegistryError
from registry.storage.ports.projection import Lag


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
        fail("glance.enabled is false: no image records go to Glance", status=2)
    logging.basicConfig(format="%(message)s", level=logging.WARNING)
    try:
        lag, report = _run(settings, everything=everything)
    except RegistryError as error:
        fail(error.reason)
    typer.echo(
        f"{report.looked} records looked at in Glance: {report.shared} shared otherwise, "
        f"{report.restored} to be restored, {report.missing} missing, {report.untagged} untagged"
    )
    if lag.count or lag.parked:
        fail(
            f"{lag.count + lag.parked} records wait; what Glance says of them stands above or in "
            "the servers' log"
        )
    typer.echo("Glance has every record")


def _run(settings: Config, *, everything: bool) -> tuple[Lag, Report]:
    columns = (TextColumn("sending"), BarColumn(), MofNCompleteColumn(), TextColumn("records"))
    with shown(*columns) as bar:
        task = bar.add_task("records", total=None)
        most = 0

        def advance(lag: Lag) -> None:
            nonlocal most
            most = max(most, lag.count)
            bar.update(task, total=most, completed=most - lag.count)

        return asyncio.run(wiring.sync_images(settings, everything=everything, progress=advance))
