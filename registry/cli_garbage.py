"""The commands of the collector: gc and fsck."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, NoReturn, TypeVar

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from registry import agreement, stores, wiring
from registry.config import Config
from registry.gc import collect, fsck, plan, policy, sweep
from registry.oci.digest import Digest
from registry.oci.errors import RegistryError
from registry.oci.names import RepositoryName, parse_repository
from registry.storage.ledger.garbage import SqlCollection
from registry.storage.storage import Storage

Answer = TypeVar("Answer")
_errors = Console(stderr=True, highlight=False)
MIB = 1024 * 1024
SAMPLE = 20
"""Lines of a list that people read; --json has all."""

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
ConfigFile = Annotated[
    Path | None,
    typer.Option("--config", "-c", help="TOML file; BERTH_… variables go over it.", metavar="FILE"),
]


def add_to(app: typer.Typer) -> None:
    """Give *app* these commands."""
    app.command("gc")(gc)
    app.command("fsck")(fsck_command)


def gc(
    config: ConfigFile = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would go, and change nothing.")
    ] = False,
    explain: Annotated[
        str | None,
        typer.Option(help="Say why a digest stays, or when it goes.", metavar="DIGEST"),
    ] = None,
    repository: Annotated[
        str | None, typer.Option(help="Only what this repository has.", metavar="NAME")
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Also where more than half of all bytes would go.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Collect what nothing needs any more. Servers may run, and pushes go on meanwhile.

    Examples:
        berth gc --dry-run

        berth gc --explain sha256:1f3a…

        berth gc --repository library/app

    """
    settings = wiring.loaded(config)
    if explain is not None:
        lines = _run(_explain(settings, explain))
        typer.echo(json.dumps(lines) if as_json else "\n".join(lines))
        return
    where = None
    if repository is not None:
        where = _parse_repository(repository, settings)
    if dry_run:
        made = _run(_plan(settings, where))
        typer.echo(json.dumps(_as_json(made)) if as_json else "\n".join(_as_lines(made)))
        return
    made, report = _run(_collect(settings, where, force=force))
    if report.braked:
        _fail(
            f"{made.doomed.bytes} of {made.totals.bytes} bytes would go, more than half: nothing "
            "was deleted. Look at --dry-run, then say --force"
        )
    told = asdict(report)
    del told["braked"]
    if as_json:
        typer.echo(json.dumps(told))
        return
    width = max(map(len, told))
    for name, count in told.items():
        typer.echo(f"{name:<{width}}  {count}")


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
    verdict, broken = _run(_check(settings, time.time() - older * policy.DAY, rate * MIB))
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


@asynccontextmanager
async def _opened(settings: Config) -> AsyncIterator[tuple[Storage, SqlCollection]]:
    async with stores.opened(settings) as storage:
        await agreement.settle(storage)
        collection = SqlCollection(settings.ledger_url)
        try:
            yield storage, collection
        finally:
            await collection.close()


async def _explain(settings: Config, text: str) -> list[str]:
    async with _opened(settings) as (_, collection):
        facts = await collection.facts(Digest.parse(text))
        return policy.explain(facts, wiring.rules(settings), time.time())


async def _plan(settings: Config, where: RepositoryName | None) -> plan.Plan:
    async with _opened(settings) as (_, collection):
        return await plan.make(collection, wiring.rules(settings), time.time(), repository=where)


async def _collect(
    settings: Config, where: RepositoryName | None, *, force: bool
) -> tuple[plan.Plan, sweep.Report]:
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=_errors, transient=True) as bar:
        task = bar.add_task("looking")

        def tell(step: str, count: int) -> None:
            bar.update(task, description=f"{step}: {count} links")

        async with _opened(settings) as (storage, collection):
            return await collect.run(
                storage, collection, wiring.rules(settings), time.time(),
                repository=where, force=force, progress=tell,
            )  # fmt: skip


async def _check(settings: Config, before: float, rate: float) -> tuple[fsck.Verdict, list[str]]:
    columns = (TextColumn("hashing"), BarColumn(), TextColumn("{task.completed} of {task.total}"))
    with Progress(*columns, TimeElapsedColumn(), console=_errors, transient=True) as bar:
        async with _opened(settings) as (storage, collection):
            task = bar.add_task("hashing", total=(await collection.totals()).blobs)
            verdict = await fsck.check(
                storage, collection, before=before, rate=rate,
                progress=lambda found: bar.update(task, completed=found.blobs),
            )  # fmt: skip
            broken = [
                f"breaks: {holder.repository} "
                f"{', '.join(holder.tags) or 'untagged'} ({holder.digest}) needs {facts.digest}"
                for facts in await collection.bad_blobs()
                for holder in facts.holders
            ]
    return verdict, broken


def _run(work: Coroutine[Any, Any, Answer]) -> Answer:
    try:
        return asyncio.run(work)
    except collect.Busy:
        _fail("somebody collects at this moment; look again later")
    except RegistryError as error:
        _fail(str(error))


def _parse_repository(text: str, settings: Config) -> RepositoryName:
    try:
        return parse_repository(text, default_project=settings.default_project)
    except RegistryError as error:
        _fail(str(error), status=2)


def _as_lines(made: plan.Plan) -> list[str]:
    received = sum(each.offset for each in made.uploads)
    lines = [
        f"{made.link_count} links that nothing names, to {made.link_bytes} bytes at most",
        f"{len(made.unlinked)} blobs without a link, {made.unlinked_bytes} bytes",
        f"{len(made.untagged)} manifests that nothing holds",
        f"{len(made.uploads)} uploads that nobody goes on with, {received} bytes",
    ]
    pairs = [(name, digest) for name, digests in made.links.items() for digest in digests]
    lines += [f"  {name} {digest}" for name, digest in pairs[:SAMPLE]]
    if len(pairs) > SAMPLE:
        lines.append(f"  and {len(pairs) - SAMPLE} more; --json has all")
    return lines


def _as_json(made: plan.Plan) -> dict[str, object]:
    return {
        "links": {str(name): list(map(str, digests)) for name, digests in made.links.items()},
        "link_bytes": made.link_bytes,
        "unlinked": list(map(str, made.unlinked)),
        "unlinked_bytes": made.unlinked_bytes,
        "untagged": [f"{each.repository}@{each.digest}" for each in made.untagged],
        "uploads": [each.id for each in made.uploads],
    }


def _fail(message: str, status: int = 1) -> NoReturn:
    _errors.print(f"berth: {message}", markup=False)
    raise typer.Exit(status)
