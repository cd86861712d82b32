"""The command that reads blobs again: fsck."""

import json
import time
from typing import Annotated

import typer
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from registry import wiring
from registry.cli_stores import ConfigFile, Json, errors, opened, run
from registry.config import Config
from registry.gc import fsck, policy

MIB = 1024 * 1024


def add_to(app: typer.Typer) -> None:
    """Give *app* this command."""
    app.command("fsck")(fsck_command)


def fsck_command(
    config: ConfigFile = None,
    older: Annotated[
        float, typer.Option(help="Only blobs not hashed for so many days.", metavar="DAYS")
    ] = 0.0,
    rate: Annotated[
        float, typer.Option(help="MiB to read a second, at most.", metavar="MIB", min=0.1)
    ] = 100.0,
    as_json: Json = False,
) -> None:
    """Read blobs again and hash them anew. One that is not its digest's content is absent then.

    The next push of it heals it, for all repositories. May be broken off: it goes on where it
    ended. Exit code 1 if a blob is bad, or could not be read.

    Examples:
        berth fsck

        berth fsck --older 7 --rate 20

    """
    settings = wiring.loaded(config)
    verdict, broken = run(_check(settings, time.time() - older * policy.DAY, rate * MIB))
    if as_json:
        bad = [str(each.digest) for each in verdict.bad]
        unread = [str(each.digest) for each in verdict.unread]
        told = {"blobs": verdict.blobs, "bytes": verdict.bytes, "bad": bad, "unread": unread}
        typer.echo(json.dumps(told | {"broken": broken}))
    else:
        typer.echo(f"{verdict.blobs} blobs, {verdict.bytes} bytes hashed")
        for each in verdict.bad:
            typer.echo(f"bad: {each.digest}, object {each.object}")
        for each in verdict.unread:
            typer.echo(f"could not be read: {each.digest}, object {each.object}")
        for line in broken:
            typer.echo(line)
    if verdict.bad or verdict.unread:
        raise typer.Exit(1)


async def _check(settings: Config, before: float, rate: float) -> tuple[fsck.Verdict, list[str]]:
    columns = (TextColumn("hashing"), BarColumn(), TextColumn("{task.completed} of {task.total}"))
    with Progress(*columns, TimeElapsedColumn(), console=errors, transient=True) as bar:
        async with opened(settings) as (storage, collection):
            task = bar.add_task("hashing", total=(await collection.totals()).blobs)
            verdict = await fsck.check(
                storage, collection, before=before, rate=rate,
                progress=lambda found: bar.update(task, completed=found.blobs),
            )  # fmt: skip
            broken = [
                f"breaks: {each.repository} "
                f"{', '.join(each.tags) or 'untagged'} ({each.digest}) needs {facts.digest}"
                for facts in await collection.bad_blobs()
                for each in (holder.by for holder in facts.holders)
            ]
    return verdict, broken
