"""The command that looks at everything: doctor."""

import asyncio
import json
import os
from dataclasses import asdict

import typer
from rich.console import Console
from rich.table import Table

from registry import wiring
from registry.cli_stores import ConfigFile, Json
from registry.doctor.examine import examine
from registry.doctor.findings import Finding
from settings.reading import ConfigError

SIGNS = {True: "[green]ok[/]", False: "[red]bad[/]", None: "[yellow]?[/]"}


def add_to(app: typer.Typer) -> None:
    """Give *app* this command."""
    app.command("doctor")(doctor)


def doctor(
    config: ConfigFile = None,
    as_json: Json = False,
) -> None:
    """Look at all that the registry stands on: directory, ledger, Keystone, Swift, Glance, clocks.

    What it tries out it takes away again; servers may run. Exit code 1 if something is to be
    mended, and the table says what.

    Examples:
        berth doctor

        berth doctor --config /etc/berth.toml --json

    """
    if config is not None:
        os.environ[wiring.CONFIG_VARIABLE] = str(config)
    try:
        found = asyncio.run(examine(wiring.load_config()))
    except ConfigError as error:
        found = [Finding("configuration", good=False, found=str(error))]
    good = all(each.good is not False for each in found)
    if as_json:
        typer.echo(json.dumps({"good": good, "checks": [asdict(each) for each in found]}))
    else:
        Console(highlight=False).print(_table(found))
    if not good:
        raise typer.Exit(1)


def _table(found: list[Finding]) -> Table:
    table = Table(box=None, pad_edge=False)
    table.add_column("")
    for head in ("check", "found", "what to do"):
        table.add_column(head, overflow="fold")
    for each in found:
        mend = "" if each.good else each.mend
        table.add_row(SIGNS[each.good], each.what, _plain(each.found), _plain(mend))
    return table


def _plain(text: str) -> str:
    return text.replace("[", "\\[")
