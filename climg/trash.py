"""The commands about what was deleted: listed and taken back; repositories deleted whole."""

import time
from collections.abc import Iterable
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Annotated, Any

import typer

from climg import output, tables
from climg.asking import make_sure
from climg.errors import NotFound
from climg.tables import Column
from climg.text import one_line

if TYPE_CHECKING:
    from climg.registry import Deleted, RegistryService

COLUMNS = (
    Column("Deleted"),
    Column("Repository", 12),
    Column("Tags", 12),
    Column("Digest", 20, leaves=3),
    Column("Size", leaves=2),
    Column("Until", leaves=1),
)
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def add_to(app: typer.Typer) -> None:
    """Give *app* these commands."""
    app.command("trash-list")(trash_list)
    app.command("image-undelete")(image_undelete)
    app.command("repository-delete")(repository_delete)


def trash_list(
    context: typer.Context,
    name: Annotated[
        str | None, typer.Argument(metavar="REPOSITORY", help="Only what was deleted there.")
    ] = None,
    as_json: Json = False,
) -> None:
    """List what was deleted and can be taken back, the newest first.

    Examples:
        climg trash-list

        climg trash-list library/app

    """
    with _opened(context) as service:
        found = list(service.trash(name))
    if as_json:
        output.as_json([_as_json(each) for each in found])
        return
    rows = [_cells(each) for each in found]
    output.lines(tables.counted(COLUMNS, rows, output.width()))


def image_undelete(
    context: typer.Context,
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME[:TAG|@DIGEST]", help="A repository alone: all that went with it."
        ),
    ],
    as_json: Json = False,
) -> None:
    """Take back what was deleted: a tag, a manifest with its tags, or a whole repository.

    Examples:
        climg image-undelete library/app:1

        climg image-undelete library/app@sha256:1f3a…

        climg image-undelete library/app

    """
    repository, reference = _parse(name)
    restored: dict[str, tuple[str, ...]] = {}
    taken: dict[str, str] = {}
    more = True
    with _opened(context) as service:
        while more:
            part = service.undelete(repository, reference)
            restored.update(part.manifests)
            taken.update(part.taken)
            more = part.more
    if as_json:
        told = [{"digest": digest, "tags": list(tags)} for digest, tags in restored.items()]
        output.as_json({"repository": repository, "restored": told, "taken": taken})
        return
    lines = []
    for digest, tags in restored.items():
        lines += [f"restored {repository}:{tag} ({digest})" for tag in tags]
        if not tags:
            lines.append(f"restored {repository}@{digest}")
    lines += [f"left {repository}:{tag} on {digest}" for tag, digest in sorted(taken.items())]
    output.lines(lines or [f"nothing of {repository} was left to take back"])


def repository_delete(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="REPOSITORY")],
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Delete a repository: all its tags and manifests go to the trash.

    Broken off, it is gone on with by a repeat. image-undelete takes it back.

    Examples:
        climg repository-delete library/app

        climg image-undelete library/app

    """
    make_sure(f"Delete all of {name}?", name, yes=yes)
    manifests = tags = 0
    more = True
    with _opened(context) as service:
        while more:
            some, names, more = service.delete(name)
            manifests, tags = manifests + some, tags + names
    if not manifests:
        raise NotFound(f"there is nothing in {name}; climg trash-list {name} shows what was")
    output.lines([f"deleted {name}: {tags} tags, {manifests} manifests"])


def _parse(name: str) -> tuple[str, str | None]:
    """NAME, NAME:TAG or NAME@DIGEST."""
    repository, at, digest = name.partition("@")
    if at:
        return repository, digest
    head, slash, last = name.rpartition("/")
    path, colon, tag = last.partition(":")
    return (f"{head}{slash}{path}", tag) if colon else (name, None)


def _cells(each: "Deleted") -> tuple[str, ...]:
    return (
        _moment(each.deleted_at),
        one_line(each.repository),
        _joined(each.tags),
        one_line(each.digest),
        str(each.size),
        _moment(each.until),
    )


def _as_json(each: "Deleted") -> dict[str, Any]:
    return {
        "repository": each.repository,
        "tags": list(each.tags),
        "digest": each.digest,
        "size": each.size,
        "deleted_at": _moment(each.deleted_at),
        "until": _moment(each.until),
        "whole": each.whole,
    }


def _joined(tags: Iterable[str]) -> str:
    return one_line(",".join(tags))


def _moment(seconds: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


def _opened(context: typer.Context) -> "AbstractContextManager[RegistryService]":
    from climg.opening import opened_registry  # noqa: PLC0415 - not for --help and completion

    return opened_registry(context.obj())
