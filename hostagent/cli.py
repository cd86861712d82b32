"""The agent's commands: ``berth agent``, and ``berth agent doctor``."""

import logging
from pathlib import Path
from typing import Annotated

import typer

from hostagent import doctor
from hostagent.config import Config
from hostagent.errors import HostError
from hostagent.serving import serve
from settings.reading import ConfigError, load, printable

app = typer.Typer(
    epilog="Exit codes: 0 done, 1 failed, 2 wrong usage or configuration.",
    pretty_exceptions_enable=False,
)
ConfigFile = Annotated[
    Path | None, typer.Option("--config", "-c", help="TOML file.", metavar="FILE")
]


@app.callback(invoke_without_command=True)
def agent(context: typer.Context, config: ConfigFile = None) -> None:
    """The host agent: runs sets of containers until told to end (SIGTERM or Ctrl-C); they run on.

    Examples:
        berth agent --config /etc/berth-agent.toml

        climg --agent unix:/run/berth-agent/agent.sock set-list

    """
    context.obj = config
    if context.invoked_subcommand is not None:
        return
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    logging.getLogger("httpx").setLevel(logging.WARNING)
    try:
        settings = load(Config, config)
        typer.echo(f"the agent listens on unix:{settings.agent.address}", err=True)
        serve(settings)
    except (ConfigError, HostError) as error:
        typer.echo(f"berth: {printable(str(error))}", err=True)
        raise typer.Exit(2) from error


@app.command("doctor")
def examine(context: typer.Context, config: ConfigFile = None) -> None:
    """Say what this host lacks, and what was picked where there is a choice; 1 if it lacks some.

    Examples:
        berth agent doctor --config /etc/berth-agent.toml

    """
    try:
        findings = list(doctor.examine(load(Config, config or context.obj)))
    except (ConfigError, HostError) as error:
        typer.echo(f"berth: {printable(str(error))}", err=True)
        raise typer.Exit(2) from error
    for each in findings:
        typer.echo(f"{'ok  ' if each.good else 'LACK'}  {each.what}")
    if not all(each.good for each in findings):
        raise typer.Exit(1)
