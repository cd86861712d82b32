"""The command that reads blobs again: fsck."""

import json
import time
from typing import Annotated

import typer
from rich.progress import BarColumn, TextColumn

from registry import wiring
from registry.cli_stores import ConfigFile, Json, opened, run, shown
from registry.config import Config
from registry.gc import collect, fsck, orphans, policy
from registry.storage.ports.collection import Facts

MIB = 1024 * 1024
TOLD = {
    "bad": "bad",
    "missing": "not there, look again in an hour",
    "unread": "could not be read",
    "sound": "sound after all",
    "adopted": "mended by another object",
}


def add_to(app: typer.Typer) -> None:
    """Give *app* this command."""
    app.command("fsck")(fsck_command)


def fsck_command(
    config: ConfigFile = None,
    older: Annotated[
        float, typer.Option(help="Only blobs not hashed for so many days.", metavar="DAYS", min=0)
    ] = 0.0,
    rate: Annotated[
        float, typer.Option(help="MiB to read a second, at most.", metavar="MIB", min=0.1)
    ] = 100.0,
    repair: Annotated[
        bool,
        typer.Option(
            "--repair", help="Look at bad blobs again, and for good objects of them in the store."
        ),
    ] = False,
    as_json: Json = False,
) -> None:
    """Read blobs again and hash them anew. One that is not its digest's content is absent then.

    So is one whose object was not there twice, an hour apart. The next push heals it, for all
    repositories. May be broken off: it goes on where it ended. Exit code 1 if a blob is bad, or
    could not be read.

    Examples:
        berth fsck

        berth fsck --older 7 --rate 20

        berth fsck --repair

    """
    settings = wiring.loaded(config)
    before = time.time() - older * policy.DAY
    verdict, mended = run(_check(settings, before, rate * MIB, repair=repair))
    lists = {
        "bad": verdict.bad, "missing": verdict.missing, "unread": verdict.unread,
        "sound": mended.sound, "adopted": mended.adopted,
    }  # fmt: skip
    broken = [line for facts in mended.broken for line in _broken(facts)]
    if as_json:
        told = {name: [str(each.digest) for each in some] for name, some in lists.items()}
        counts = {"blobs": verdict.blobs, "bytes": verdict.bytes}
        typer.echo(json.dumps({**counts, **told, "broken": broken}))
    else:
        typer.echo(f"{verdict.blobs} blobs, {verdict.bytes} bytes hashed")
        for name, some in lists.items():
            for each in some:
                typer.echo(f"{TOLD[name]}: {each.digest}, object {each.object}")
        for line in broken:
            typer.echo(line)
    if mended.broken or verdict.missing or verdict.unread:
        raise typer.Exit(1)


async def _check(
    settings: Config, before: float, rate: float, *, repair: bool
) -> tuple[fsck.Verdict, fsck.Repair]:
    columns = (TextColumn("hashing"), BarColumn(), TextColumn("{task.completed} of {task.total}"))
    with shown(*columns) as bar:
        async with (
            opened(settings) as (storage, collection),
            collect.alone(collection, fsck.JOB),
            collect.alone(collection, orphans.JOB),
        ):
            task = bar.add_task("hashing", total=(await collection.totals()).blobs)
            verdict = await fsck.check(
                storage, collection, before=before, rate=rate,
                progress=lambda found: bar.update(task, completed=found.blobs),
            )  # fmt: skip
            if repair:
                return verdict, await fsck.repair(storage, collection)
            return verdict, fsck.Repair(broken=await collection.bad_blobs())


def _broken(facts: Facts) -> list[str]:
    """What a bad blob breaks, a line for each manifest that names it."""
    lines = [
        f"breaks: {each.repository} {', '.join(each.tags) or 'untagged'} ({each.digest}) "
        f"needs {facts.digest}"
        for each in (holder.by for holder in facts.holders)
    ]
    more = [f"breaks: {facts.more_holders} more need {facts.digest}"] if facts.more_holders else []
    return [*lines, *more] or [f"breaks nothing: {facts.digest} is named by no manifest"]
