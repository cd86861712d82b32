"""The commands about quotas: what projects and repositories use, and what they may."""

import re
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Annotated

import typer

from climg import output, tables
from climg.errors import WrongUsage
from climg.tables import Column

if TYPE_CHECKING:
    from climg.registry import Quota, RegistryService

COLUMNS = (
    Column("Name", 12),
    Column("Bytes"),
    Column("Limit"),
    Column("Trash", leaves=2),
    Column("Reserved", leaves=3),
    Column("Repositories", leaves=1),
    Column("Tags", leaves=1),
)
_SIZE = re.compile(r"(\d+)\s*(|K|KiB|M|MiB|G|GiB|T|TiB)", re.IGNORECASE | re.ASCII)
_SHIFTS = {"": 0, "k": 10, "m": 20, "g": 30, "t": 40}
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Number = Annotated[
    str | None, typer.Option(help="A number, any, or default.", metavar="N|any|default")
]


def add_to(app: typer.Typer) -> None:
    """Give *app* these commands."""
    app.command("quota-show")(quota_show)
    app.command("quota-set")(quota_set)


def quota_show(
    context: typer.Context,
    name: Annotated[
        str | None,
        typer.Argument(metavar="PROJECT|PROJECT/REPOSITORY", help="Else all your projects."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Show what a project or a repository uses, and what it may.

    What was deleted counts until it left the trash and was collected; uploads that are not
    finished reserve what they have.

    Examples:
        climg quota-show

        climg quota-show library

        climg quota-show library/app

    """
    with _opened(context) as service:
        found = service.quotas() if name is None else [service.quota(name)]
    _print(found, as_json=as_json)


def quota_set(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="PROJECT|PROJECT/REPOSITORY")],
    size: Annotated[
        str | None,
        typer.Option("--bytes", help="A size, any, or default.", metavar="SIZE|any|default"),
    ] = None,
    repositories: Number = None,
    tags: Number = None,
    as_json: Json = False,
) -> None:
    """Limit a project (administrators) or a repository (managers of its project).

    What is not named stays as it is; default takes back what was set.

    Examples:
        climg quota-set library --bytes 500GiB --tags 10000

        climg quota-set library/app --bytes 20GiB

        climg quota-set library --bytes default

    """
    said = {"bytes": size, "repositories": repositories, "tags": tags}
    changes = {kind: _limit(kind, text) for kind, text in said.items() if text is not None}
    if not changes:
        raise WrongUsage("say what to limit: --bytes, --repositories or --tags")
    with _opened(context) as service:
        own = {**service.quota(name).own, **changes}
        kept = {kind: limit for kind, limit in own.items() if limit is not None}
        found = service.limit(name, kept)
    _print([found], as_json=as_json)


def _limit(kind: str, text: str) -> int | None:
    """A limit as people write it; None: none of its own."""
    if text == "default":
        return None
    if text == "any":
        return -1
    found = _SIZE.fullmatch(text.strip()) if kind == "bytes" else re.fullmatch(r"(\d+)()", text)
    if found is None or len(found[1]) > 15:
        example = "500GiB" if kind == "bytes" else "100"
        raise WrongUsage(f"--{kind} {text!r}: write {example}, any or default")
    return int(found[1]) << _SHIFTS[found[2][:1].lower()]


def _print(found: list["Quota"], *, as_json: bool) -> None:
    if as_json:
        output.as_json([each.document for each in found])
    else:
        output.lines(tables.layout(COLUMNS, [_cells(each) for each in found], output.width()))


def _cells(each: "Quota") -> tuple[str, ...]:
    used, limits = each.used, each.limits
    return (
        each.name,
        str(used["bytes"]),
        _shown(limits.get("bytes")),
        str(used["trash"]),
        str(used["reserved"]),
        f"{used['repositories']}/{_shown(limits.get('repositories'))}",
        f"{used['tags']}/{_shown(limits.get('tags'))}",
    )


def _shown(limit: int | None) -> str:
    return "any" if limit is None else str(limit)


def _opened(context: typer.Context) -> "AbstractContextManager[RegistryService]":
    from climg.opening import opened_registry  # noqa: PLC0415 - not for --help and completion

    return opened_registry(context.obj())
