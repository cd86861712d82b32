"""The command of quotas: what is used, and whether it is counted rightly."""

import json
from dataclasses import asdict
from typing import Annotated

import typer

from registry import wiring
from registry.cli_stores import ConfigFile, Json, opened, run
from registry.config import Config
from registry.oci.names import RepositoryName
from registry.storage.ledger import SqlLedger
from registry.storage.ports.quota import Difference, Usage


def add_to(app: typer.Typer) -> None:
    """Give *app* this command."""
    app.command("quota")(quota)


def quota(
    config: ConfigFile = None,
    check: Annotated[
        bool, typer.Option("--check", help="Count anew, and say where the counters differ.")
    ] = False,
    mend: Annotated[
        bool, typer.Option("--mend", help="The same, and put what was found in their place.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Say what each project uses. Servers may run; pushes wait while it counts anew.

    Exit code 1 if a counter was wrong.

    Examples:
        berth quota

        berth quota --check

    """
    settings = wiring.loaded(config)
    if not (check or mend):
        _tell(run(_usage(settings)), as_json=as_json)
        return
    found = run(_differences(settings, mend=mend))
    if as_json:
        typer.echo(json.dumps([asdict(each) for each in found]))
    else:
        for each in found:
            where = f"{each.project}/{each.repository}".rstrip("/")
            typer.echo(f"{where}: {each.counter}: counted {each.counted}, found {each.found}")
        typer.echo(f"{len(found)} counters were wrong" if found else "all counters are exact")
    if found:
        raise typer.Exit(1)


def _tell(used: dict[str, Usage], *, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps({name: asdict(each) for name, each in used.items()}))
        return
    for name, each in used.items():
        typer.echo(f"{name}: {each.repositories} repositories, {each.tags} tags")
        typer.echo(f"  {each.bytes} bytes, {each.trash} in the trash, {each.reserved} reserved")


async def _usage(settings: Config) -> dict[str, Usage]:
    async with opened(settings) as (storage, _):
        assert isinstance(storage.ledger, SqlLedger)
        quotas = storage.ledger.quotas
        names = [RepositoryName(each, "") for each in await quotas.list_projects()]
        return {name.project: (await quotas.standing(name)).usage for name in names}


async def _differences(settings: Config, *, mend: bool) -> list[Difference]:
    async with opened(settings) as (storage, _):
        assert isinstance(storage.ledger, SqlLedger)
        return await storage.ledger.quotas.differences(mend=mend)
