"""The command that collects what nothing needs: gc."""

import json
import time
from dataclasses import asdict
from typing import Annotated

import typer
from rich.progress import SpinnerColumn, TextColumn

from registry import wiring
from registry.cli_stores import (
    ConfigFile,
    Json,
    fail,
    find_digest,
    find_repository,
    opened,
    run,
    shown,
)
from registry.config import Config
from registry.gc import collect, orphans, plan, reasons, sweep
from registry.gc.orphans import Orphans
from registry.oci.digest import Digest
from registry.oci.names import RepositoryName
from registry.storage.storage import Storage

SAMPLE = 20
"""Lines of a list that people read; --json has all."""


def add_to(app: typer.Typer) -> None:
    """Give *app* this command."""
    app.command("gc")(gc)


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
        str | None,
        typer.Option(
            help="Only what this repository has; a cloud's project by ID.", metavar="NAME"
        ),
    ] = None,
    orphaned: Annotated[
        bool,
        typer.Option("--orphans", help="Also list the store, for what no row knows. Slow."),
    ] = False,
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

        berth gc --orphans

    """
    settings = wiring.loaded(config)
    where = find_repository(repository, settings)
    if explain is not None:
        lines = run(_explain(settings, find_digest(explain), where))
        typer.echo(json.dumps(lines) if as_json else "\n".join(lines))
        return
    if dry_run:
        made = run(_plan(settings, where))
        strays = run(_sweep(settings, dry=True, force=force)) if orphaned else None
        typer.echo(
            json.dumps(_as_json(made, strays)) if as_json else "\n".join(_as_lines(made, strays))
        )
        return
    made, report = run(_collect(settings, where, force=force))
    if report.braked:
        fail(
            f"{made.doomed.bytes} of {made.totals.bytes} bytes would go, more than half: nothing "
            "was deleted. Look at --dry-run, then say --force"
        )
    strays = run(_sweep(settings, dry=False, force=force)) if orphaned else None
    if strays is not None and strays.braked:
        fail(
            f"{strays.bytes} of {strays.listed.bytes} bytes in the store are known to no row, more "
            "than half: none of these was deleted. Is the ledger this store's? Look at --dry-run "
            "--orphans, then say --force"
        )
    told = asdict(report)
    del told["braked"]
    if strays is not None:
        told |= {"orphans": strays.removed, "orphan_uploads": strays.uploads + strays.aside}
        told["waiting"] += strays.waiting
    typer.echo(json.dumps(told) if as_json else "\n".join(_report(told)))


async def _explain(settings: Config, digest: Digest, where: RepositoryName | None) -> list[str]:
    async with opened(settings) as (storage, collection):
        await _require(storage, where)
        facts = await collection.facts(digest)
        lines = reasons.explain(facts, wiring.rules(settings), time.time(), where)
        lying = {each.name: each async for each in storage.blobs.objects(digest)}
        strays = await collection.unknown_objects(list(lying))
        return lines + reasons.explain_strays(
            [lying[name] for name in strays], wiring.rules(settings), time.time()
        )


async def _sweep(settings: Config, *, dry: bool, force: bool) -> Orphans:
    with shown(SpinnerColumn(), TextColumn("{task.description}")) as bar:
        task = bar.add_task("listing")
        async with (
            opened(settings) as (storage, collection),
            collect.alone(collection, orphans.JOB),
        ):
            return await orphans.sweep(
                storage, collection, wiring.rules(settings), time.time(), dry=dry, force=force,
                progress=lambda count: bar.update(task, description=f"listing: {count} objects"),
            )  # fmt: skip


async def _plan(settings: Config, where: RepositoryName | None) -> plan.Plan:
    async with opened(settings) as (storage, collection):
        await _require(storage, where)
        return await plan.make(collection, wiring.rules(settings), time.time(), repository=where)


async def _collect(
    settings: Config, where: RepositoryName | None, *, force: bool
) -> tuple[plan.Plan, sweep.Report]:
    with shown(SpinnerColumn(), TextColumn("{task.description}")) as bar:
        task = bar.add_task("looking")

        def tell(step: str, count: int) -> None:
            bar.update(task, description=f"{step}: {count} links")

        async with opened(settings) as (storage, collection):
            await _require(storage, where)
            return await collect.run(
                storage, collection, wiring.rules(settings), time.time(),
                repository=where, force=force, progress=tell,
            )  # fmt: skip


async def _require(storage: Storage, where: RepositoryName | None) -> None:
    """Raise NameUnknown where there is no such repository: it may be misspelt."""
    if where is not None:
        await storage.ledger.list_tags(where, limit=1)


def _report(told: dict[str, int]) -> list[str]:
    """What went, by class: how many, and bytes where they are counted."""
    rows = [("class", "count", "bytes")]
    rows += [
        (name, str(count), str(told.get(f"{name}_bytes", "")))
        for name, count in told.items()
        if not name.endswith("_bytes")
    ]
    widths = [max(len(row[place]) for row in rows) for place in (0, 1, 2)]
    return [
        f"{row[0]:<{widths[0]}}  {row[1]:>{widths[1]}}  {row[2]:>{widths[2]}}".rstrip()
        for row in rows
    ]


def _as_lines(made: plan.Plan, strays: Orphans | None) -> list[str]:
    received = sum(each.offset for each in made.uploads)
    untagged = sum(each.size for each in made.untagged)
    lines = [
        f"{made.link_count} links that nothing names, to {made.link_bytes} bytes at most",
        f"{len(made.unlinked)} blobs without a link, {made.unlinked_bytes} bytes",
        f"{len(made.untagged)} manifests that nothing holds, {untagged} bytes",
        f"{len(made.uploads)} uploads that nobody goes on with, {received} bytes",
        f"{made.trash.blobs} entries of the trash whose term is over, {made.trash.bytes} bytes",
    ]
    if strays is not None:
        lines.append(
            f"{strays.objects} objects that no row knows, {strays.bytes} bytes "
            f"({strays.young} more are younger than the grace)"
        )
    pairs = [(name, digest) for name, digests in made.links.items() for digest in digests]
    lines += [f"  {name} {digest}" for name, digest in pairs[:SAMPLE]]
    if len(pairs) > SAMPLE:
        lines.append(f"  and {len(pairs) - SAMPLE} more; --json has all")
    return lines


def _as_json(made: plan.Plan, strays: Orphans | None) -> dict[str, object]:
    told: dict[str, object] = {
        "links": {str(name): list(map(str, digests)) for name, digests in made.links.items()},
        "link_bytes": made.link_bytes,
        "unlinked": list(map(str, made.unlinked)),
        "unlinked_bytes": made.unlinked_bytes,
        "untagged": [f"{each.repository}@{each.digest}" for each in made.untagged],
        "uploads": [each.id for each in made.uploads],
        "trash": made.trash.blobs,
        "trash_bytes": made.trash.bytes,
    }
    if strays is not None:
        told["orphans"] = strays.names
        told["orphan_bytes"] = strays.bytes
    return told
