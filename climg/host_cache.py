"""A host's image cache: what is in it and what comes, collecting it, checking it."""

from typing import Annotated

import typer

from climg import output, pulls, tables
from climg.set_views import Json, agent_of
from climg.tables import Column


def add_to(app: typer.Typer) -> None:
    """Give *app* these commands."""
    app.command("image-cache")(cache)
    app.command("image-collect")(collect)
    app.command("image-check")(check)


def cache(
    context: typer.Context,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Show how far pulls are, until none is left.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Show a host's image cache: layers with their bytes, files, pins and uses, and what comes.

    Examples:
        climg --agent unix:/run/berth-agent/agent.sock image-cache

        climg --agent unix:/run/berth-agent/agent.sock image-cache --follow

    """
    agent = agent_of(context)
    if follow:
        pulls.follow(lambda: list(agent.call("GET", "/cache")["coming"]))
    found = agent.call("GET", "/cache")
    if as_json:
        output.as_json(found)
        return
    names = ("diff_id", "bytes", "inodes", "pins", "uses")
    rows = [tuple(str(each[name]) for name in names) for each in found["layers"]]
    columns = (Column("Layer", tables.ID_LEAST), *(Column(each.capitalize()) for each in names[1:]))
    lines = tables.layout(columns, rows, output.width())
    if found["coming"]:
        lines += tables.layout(pulls.COLUMNS, pulls.rows(found["coming"]), output.width())
    total = f"{found['bytes']} bytes, {found['hits']} hits, {found['fetched_layers']} fetched"
    output.lines([*lines, f"**** Total: {len(rows)}; {total} ****"])


def collect(
    context: typer.Context,
    everything: Annotated[
        bool, typer.Option("--all", help="Whatever nobody needs, not only above the marks.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Let a host's image layers go that nothing needs, the longest unused first.

    Agents do so by themselves when bytes or inodes run short.

    Examples:
        climg --agent unix:/run/berth-agent/agent.sock image-collect --all

    """
    found = agent_of(context).call("POST", "/cache/collect", all="yes" if everything else None)
    if as_json:
        output.as_json(found)
        return
    for each in found["held"]:
        names = ", ".join(f"{one['set']} ({one['generation']})" for one in each["holders"])
        typer.echo(f"{each['diff_id']} stays, {each['bytes']} bytes: {names or 'just used'}")
    rows = [(each,) for each in found["gone"]]
    lines = tables.layout((Column("Layer", tables.ID_LEAST),), rows, output.width())
    output.lines([*lines, f"**** Total: {len(rows)}; {found['bytes']} bytes ****"])
    if found["short"]:
        typer.echo("The cache is still above its marks: all that is left is needed.", err=True)


def check(context: typer.Context, as_json: Json = False) -> None:
    """Look whether a host's image layers are as they were unpacked; 1 if some are not.

    Spoiled ones are taken away, and pulled anew for the next start. A container's that runs stay.

    Examples:
        climg --agent unix:/run/berth-agent/agent.sock image-check

    """
    found = agent_of(context).call("POST", "/cache/check")
    if as_json:
        output.as_json(found)
    else:
        rows = [(each["diff_id"], "taken away" if each["gone"] else "in use") for each in found]
        columns = Column("Spoiled layer", tables.ID_LEAST), Column("What became of it")
        output.lines(tables.counted(columns, rows, output.width()))
    if found:
        raise typer.Exit(1)
